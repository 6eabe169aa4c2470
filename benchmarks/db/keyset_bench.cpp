// SPDX-License-Identifier: Apache-2.0
// The 10,000th page beside the first, OFFSET beside both, and the memory of a stream; on SQLite and on PostgreSQL.
#include "postgres_goals.hpp"

#include "support/temp_dir.hpp"

#include <spillway/db/bulk.hpp>
#include <spillway/db/keyset.hpp>
#include <spillway/db/sqlite.hpp>

#include <cstdint>
#include <fstream>
#include <ranges>
#include <tuple>

#include <unistd.h>

using namespace spillway;
using namespace spillway::bench;

namespace {

constexpr std::int64_t row_count{1'000'000};
constexpr std::size_t page_rows{100};
constexpr std::size_t far_page{10'000};
constexpr int reads{200};

void fill(database& db) {
  const auto rows = std::views::iota(std::int64_t{0}, row_count) | std::views::transform([](std::int64_t i) {
                      return std::tuple{i, i * 7'919 % 10'007, "the name of item " + std::to_string(i)};
                    });
  db.write([&](write_session& s) {
    s.execute("CREATE TABLE item (id BIGINT PRIMARY KEY, score BIGINT NOT NULL, name TEXT NOT NULL)").value();
    bulk_insert(s, {"item", {"id", "score", "name"}}, rows).value();
    s.execute("CREATE INDEX item_score ON item (score, id)").value();
    s.execute("CREATE INDEX item_mixed ON item (score DESC, id)").value();
  }, std::chrono::minutes{5}).value();
}

keyset_config config_of(sort_direction direction) {
  keyset_config config;
  config.select = "id, score, name";
  config.from = "item";
  config.sort = {{"score", direction}, {"id"}};
  config.keys = {"a key for nothing but this"};
  return config;
}

std::string cursor_of_page(database& db, const keyset_pager& pager, std::size_t number) {
  std::string cursor;
  page_request request;
  request.size = page_rows;
  for (std::size_t page = 1; page < number; ++page) {
    const auto position = pager.open(cursor).value();
    cursor = db.read([&](read_session& s) { return pager.read(s, position, {}, request); }).value().next;
  }
  return cursor;
}

double page_us(database& db, const keyset_pager& pager, const std::string& cursor) {
  page_request request;
  request.size = page_rows;
  return seconds_of([&] {
           const auto position = pager.open(cursor).value();
           const auto page = db.read([&](read_session& s) { return pager.read(s, position, {}, request); }).value();
           if (page.rows.size() != page_rows) std::abort();
         }) * 1e6;
}

double offset_us(database& db, const std::string& order) {
  const auto sql = "SELECT id, score, name FROM item ORDER BY " + order + " LIMIT " + std::to_string(page_rows) + " OFFSET " +
                   std::to_string((far_page - 1) * page_rows);
  return seconds_of([&] { (void)db.read([&](read_session& s) { return s.query(sql); }).value(); }) * 1e6;
}

void pages(database& db, const std::string& engine) {
  std::printf("\n%s, %lld rows, pages of %zu, us a page (median of %d)\n%-12s %8s %8s %8s %10s\n", engine.c_str(),
              static_cast<long long>(row_count), page_rows, reads, "sort", "first", "10,000th", "ratio", "OFFSET");
  for (const auto& [name, order, direction] : {std::tuple{"one-way", "score, id", sort_direction::ascending},
                                              std::tuple{"two-ways", "score DESC, id", sort_direction::descending}}) {
    const keyset_pager pager{config_of(direction)};
    const auto cursor = cursor_of_page(db, pager, far_page);
    std::vector<double> first;
    std::vector<double> far;
    for (int i = 0; i < reads; ++i) {
      first.push_back(page_us(db, pager, {}));
      far.push_back(page_us(db, pager, cursor));
    }
    std::vector<double> by_offset;
    for (int i = 0; i < 5; ++i) by_offset.push_back(offset_us(db, order));
    const auto ratio = median(far) / median(first);
    std::printf("%-12s %8.0f %8.0f %8.3f %10.0f\n", name, median(first), median(far), ratio, median(by_offset));
    goal(("P9-page-10000-" + engine + "-" + name).c_str(), ratio, "<=", 1.2);
    goal(("P9-offset-slower-" + engine + "-" + name).c_str(), median(by_offset) / median(far), ">=", 100);
  }
}

double resident_mib() {
  std::ifstream statm{"/proc/self/statm"};
  std::int64_t size{0};
  std::int64_t resident{0};
  statm >> size >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

void stream(database& db, const std::string& engine) {
  const auto sql = "SELECT id, score, name FROM item";
  std::uint64_t bytes{0};
  // Once for what the session keeps anyway.
  db.read([&](read_session& s) { return s.stream(std::string{sql} + " LIMIT 1000", {}, [](row_view) {}); }).value();
  const auto before = resident_mib();
  auto most = before;
  std::uint64_t seen{0};
  const auto took = seconds_of([&] {
    db.read([&](read_session& s) {
      return s.stream(sql, {}, [&](row_view row) {
        bytes += row.get<std::string_view>(2).size();
        if (++seen % 10'000 == 0) most = std::max(most, resident_mib());
      });
    }, std::chrono::minutes{5}).value();
  });
  std::printf("\n%s, streamed %llu rows in %.2f s\n", engine.c_str(), static_cast<unsigned long long>(seen), took);
  goal(("P9-stream-growth-mib-" + engine).c_str(), most - before, "<=", 8);
}

}  // namespace

int main() {
  {
    const tests::temp_dir directory;
    sqlite_config config;
    config.path = (directory.path() / "bench.db").string();
    config.page_cache_bytes = 1U << 20U;  // what the engine keeps of the file is no growth of the stream
    auto db = open_sqlite(config).value();
    fill(db);
    stream(db, "sqlite");
    pages(db, "sqlite");
  }
  const tests::postgres_database place;
  std::printf("\nPostgreSQL %s\n", place.cluster.value("SHOW server_version").c_str());
  auto db = open(place.url());
  fill(db);
  place.cluster.sql("VACUUM ANALYZE item", 0, place.name);
  stream(db, "postgres");
  pages(db, "postgres");
}
