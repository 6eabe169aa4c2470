// SPDX-License-Identifier: Apache-2.0
// Many rows into PostgreSQL: ours beside the same by hand on libpq, in turns.
#include "postgres_goals.hpp"

#include <spillway/db/bulk.hpp>

#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <tuple>

using namespace spillway;
using namespace spillway::bench;

namespace {

using row = std::tuple<std::int64_t, std::string, double>;

constexpr std::int64_t row_count{400'000};
constexpr int rounds{5};
constexpr std::int64_t known_share{10};  // one row of so many is in the table already

std::vector<row> make_rows() {
  std::vector<row> made;
  made.reserve(row_count);
  for (std::int64_t i = 0; i < row_count; ++i) made.emplace_back(i, "the name of item " + std::to_string(i), static_cast<double>(i) / 8);
  return made;
}

struct close_connection {
  void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
struct clear_result {
  void operator()(PGresult* result) const noexcept { PQclear(result); }
};
using result_handle = std::unique_ptr<PGresult, clear_result>;

/// What somebody would write who has libpq and an afternoon.
class by_hand {
 public:
  explicit by_hand(const std::string& url) : connection_{PQconnectdb(url.c_str())} {
    if (PQstatus(connection_.get()) != CONNECTION_OK) throw std::runtime_error{PQerrorMessage(connection_.get())};
  }

  void run(const char* sql) { check(result_handle{PQexec(connection_.get(), sql)}, PGRES_COMMAND_OK); }

  void copy(const std::vector<row>& rows) {
    run("BEGIN");
    check(result_handle{PQexec(connection_.get(), "COPY item (id, name, price) FROM STDIN")}, PGRES_COPY_IN);
    std::string text;
    for (const auto& [id, name, price] : rows) {
      append(text, id);
      text += '\t';
      for (const char c : name) {
        if (c == '\\' || c == '\n' || c == '\r' || c == '\t') text += '\\';
        text += c;
      }
      text += '\t';
      append(text, price);
      text += '\n';
      if (text.size() >= 65'536) send(text);
    }
    send(text);
    if (PQputCopyEnd(connection_.get(), nullptr) != 1) fail();
    check(result_handle{PQgetResult(connection_.get())}, PGRES_COMMAND_OK);
    while (const result_handle rest{PQgetResult(connection_.get())}) {
    }
    run("COMMIT");
  }

  /// Statements of 1,000 rows each, prepared once.
  void insert_or_skip(const std::vector<row>& rows) {
    constexpr std::size_t at_once{1'000};
    std::string sql{"INSERT INTO item (id, name, price) VALUES "};
    for (std::size_t i = 0; i < at_once; ++i) {
      const auto p = 3 * i;
      sql += (i == 0 ? "($" : ", ($") + std::to_string(p + 1) + ", $" + std::to_string(p + 2) + ", $" + std::to_string(p + 3) + ")";
    }
    sql += " ON CONFLICT DO NOTHING";
    run("BEGIN");
    check(result_handle{PQprepare(connection_.get(), "many", sql.c_str(), 0, nullptr)}, PGRES_COMMAND_OK);
    std::vector<std::string> texts(3 * at_once);
    std::vector<const char*> values(3 * at_once);
    for (std::size_t first = 0; first < rows.size(); first += at_once) {
      for (std::size_t i = 0; i < at_once; ++i) {
        const auto& [id, name, price] = rows[first + i];
        texts[3 * i].clear();
        append(texts[3 * i], id);
        texts[3 * i + 2].clear();
        append(texts[3 * i + 2], price);
        values[3 * i] = texts[3 * i].c_str();
        values[3 * i + 1] = name.c_str();
        values[3 * i + 2] = texts[3 * i + 2].c_str();
      }
      check(result_handle{PQexecPrepared(connection_.get(), "many", static_cast<int>(values.size()), values.data(), nullptr, nullptr, 0)},
            PGRES_COMMAND_OK);
    }
    run("COMMIT");
    run("DEALLOCATE many");
  }

 private:
  template <class Number>
  static void append(std::string& text, Number number) {
    std::array<char, 32> digits;
    text.append(digits.begin(), std::to_chars(digits.begin(), digits.end(), number).ptr);
  }
  void send(std::string& text) {
    if (!text.empty() && PQputCopyData(connection_.get(), text.data(), static_cast<int>(text.size())) != 1) fail();
    text.clear();
  }
  void check(const result_handle& result, ExecStatusType wanted) {
    if (PQresultStatus(result.get()) != wanted) fail();
  }
  [[noreturn]] void fail() { throw std::runtime_error{PQerrorMessage(connection_.get())}; }

  std::unique_ptr<PGconn, close_connection> connection_;
};

const bulk_target target{"item", {"id", "name", "price"}};

class comparison {
 public:
  explicit comparison(const std::string& url) : hand_{url}, db_{open(url)} {
    hand_.run("CREATE TABLE item (id bigint PRIMARY KEY, name text NOT NULL, price double precision)");
  }

  void copy() {
    std::printf("\nCOPY, %lld rows, rows/s\n%10s %10s %8s\n", static_cast<long long>(row_count), "by hand", "ours", "ratio");
    std::vector<double> ratios;
    for (int round = 0; round < rounds; ++round) {
      empty();
      const auto theirs = seconds_of([&] { hand_.copy(rows_); });
      empty();
      const auto ours = seconds_of([&] { insert(on_conflict::fail()); });
      ratios.push_back(report(theirs, ours));
    }
    goal("P8-copy-vs-libpq", median(ratios), ">=", 0.95);
  }

  void skip() {
    std::printf("\nskipping duplicates, %lld rows, every %lldth known, rows/s\n%10s %10s %8s\n", static_cast<long long>(row_count),
                static_cast<long long>(known_share), "VALUES", "ours", "ratio");
    std::vector<double> ratios;
    for (int round = 0; round < rounds; ++round) {
      fill();
      const auto theirs = seconds_of([&] { hand_.insert_or_skip(rows_); });
      fill();
      const auto ours = seconds_of([&] { insert(on_conflict::skip()); });
      ratios.push_back(report(theirs, ours));
    }
    goal("P8-skip-vs-values", median(ratios), ">=", 1.5);
  }

  void others() {
    std::printf("\nours alone, rows/s\n");
    fill();
    const auto upsert = seconds_of([&] { insert(on_conflict::update({"id"})); });
    const auto update = seconds_of([&] {
      db_.write([&](write_session& s) { return bulk_update(s, "item", {"id"}, {"name", "price"}, rows_); }, std::chrono::minutes{5}).value();
    });
    std::printf("%-12s %10.0f\n%-12s %10.0f\n", "upsert", row_count / upsert, "bulk_update", row_count / update);
  }

  /// Where the way for many rows begins to be the faster one.
  void few() {
    std::printf("\nsmall batches, us a batch\n%6s %10s %10s %10s\n", "rows", "fail", "skip", "update");
    for (const std::int64_t count : {1, 2, 4, 8, 9, 16, 32, 64, 96, 97, 128, 256, 257, 2'000, 2'200, 5'000, 10'000}) {
      std::printf("%6lld", static_cast<long long>(count));
      for (const auto& conflict : {on_conflict::fail(), on_conflict::skip(), on_conflict::update({"id"})}) {
        empty();
        const auto batches = static_cast<int>(std::clamp<std::int64_t>(20'000 / count, 10, 100));
        std::vector<row> batch(rows_.begin(), rows_.begin() + count);
        std::int64_t next{0};
        const auto took = seconds_of([&] {
          for (int i = 0; i < batches; ++i) {
            for (auto& one : batch) std::get<0>(one) = next++;
            db_.write([&](write_session& s) { return bulk_insert(s, target, batch, conflict); }).value();
          }
        });
        std::printf(" %10.0f", took / batches * 1e6);
      }
      std::printf("\n");
    }
  }

 private:
  void insert(const on_conflict& conflict) {
    db_.write([&](write_session& s) { return bulk_insert(s, target, rows_, conflict); }, std::chrono::minutes{5}).value();
  }
  void empty() {
    hand_.run("TRUNCATE item");
    hand_.run("CHECKPOINT");
  }
  void fill() {
    empty();
    const auto sql = "INSERT INTO item SELECT i, 'old', 0 FROM generate_series(0, " + std::to_string(row_count - 1) + ", " +
                     std::to_string(known_share) + ") AS i";
    hand_.run(sql.c_str());
    hand_.run("VACUUM ANALYZE item");
  }
  static double report(double theirs, double ours) {
    std::printf("%10.0f %10.0f %8.3f\n", row_count / theirs, row_count / ours, theirs / ours);
    return theirs / ours;
  }

  std::vector<row> rows_{make_rows()};
  by_hand hand_;
  database db_;
};

}  // namespace

int main() {
  const tests::postgres_database place;
  std::printf("PostgreSQL %s, libpq %d\n", place.cluster.value("SHOW server_version").c_str(), PQlibVersion());
  comparison all{place.url()};
  all.copy();
  all.skip();
  all.others();
  all.few();
}
