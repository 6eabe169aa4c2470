// SPDX-License-Identifier: Apache-2.0
// Four writers of one SQLite file: the fair queue that commits in groups, beside the usual way of a connection for each thread and busy_timeout.
// Three loads: single rows by threads that block; a hundred rows a write; single rows by writers that do not wait for one answer before they ask
// again. Rounds are interleaved and ratios paired.
//   sqlite_writers_bench [ROUNDS] [MILLISECONDS]
#include <spillway/core/latency_histogram.hpp>
#include <spillway/db/sqlite.hpp>

#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <latch>
#include <memory>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace spillway;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

constexpr int writers{4};
constexpr int rows_in_batch{100};
constexpr int in_flight{64};  // of each asynchronous writer

int rounds{7};
std::chrono::milliseconds round_length{700};

/// A file of its own, for each load a new one: they would grow apart.
struct bench_file {
  explicit bench_file(bool shared_commits = true) {
    std::string name = (std::filesystem::temp_directory_path() / "spillway-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    directory = name;
    sqlite_config config;
    config.path = name + "/bench.db";
    config.database.timeout = 1min;
    if (!shared_commits) config.database.group_members = 1;
    path = config.path;
    db.emplace(open_sqlite(config).value());
    db->write([](write_session& s) { return s.execute("CREATE TABLE log (writer INTEGER)"); }).value();
  }
  ~bench_file() {
    db.reset();
    std::filesystem::remove_all(directory);
  }
  bench_file(const bench_file&) = delete;
  bench_file& operator=(const bench_file&) = delete;

  std::string directory;
  std::string path;
  std::optional<database> db;
};

/// What the writers of a round have seen.
struct record {
  latency_histogram wait;    // until the transaction has begun
  latency_histogram answer;  // until it is committed
  std::atomic<std::uint64_t> busy{0};
};

struct round_result {
  double rows_per_second;
  latency_snapshot wait;
  latency_snapshot answer;
  std::uint64_t busy;
  double share_ratio;  // of the writer that got least, to the one that got most
};

/// `make(w, seen)` gives each thread what it does until the round is over: it returns the rows written.
template <class Make>
round_result play(Make&& make) {
  record seen;
  std::atomic<bool> go{false};
  std::atomic<bool> stop{false};
  std::vector<std::uint64_t> rows(writers);
  std::vector<std::thread> threads;
  for (int w = 0; w < writers; ++w) {
    threads.emplace_back([&, w] {
      auto write = make(w, seen);
      while (!go) std::this_thread::yield();
      rows[static_cast<std::size_t>(w)] = write(stop);
    });
  }
  const auto began = clock_type::now();
  go = true;
  std::this_thread::sleep_for(round_length);
  stop = true;
  for (auto& thread : threads) thread.join();
  const std::chrono::duration<double> took = clock_type::now() - began;
  std::uint64_t sum{0};
  for (const auto one : rows) sum += one;
  const auto [least, most] = std::ranges::minmax(rows);
  return {static_cast<double>(sum) / took.count(), seen.wait.snapshot(), seen.answer.snapshot(), seen.busy.load(),
          static_cast<double>(least) / static_cast<double>(std::max<std::uint64_t>(most, 1))};
}

constexpr std::string_view insert_sql{"INSERT INTO log VALUES ($1)"};

round_result with_queue(database& db, int rows) {
  return play([&db, rows](int w, record& seen) {
    return [&db, &seen, w, rows](const std::atomic<bool>& stop) {
      std::uint64_t written{0};
      while (!stop) {
        const auto asked = clock_type::now();
        const auto done = db.write([&](write_session& s) {
          seen.wait.record(clock_type::now() - asked);
          for (int i = 0; i < rows; ++i) s.execute(insert_sql, w).value();
        });
        seen.answer.record(clock_type::now() - asked);
        if (done) written += static_cast<std::uint64_t>(rows);
        else ++seen.busy;
      }
      return written;
    };
  });
}

/// Asks again as soon as fewer than `in_flight` are unanswered.
round_result with_asynchronous_queue(database& db) {
  return play([&db](int w, record& seen) {
    return [&db, &seen, w](const std::atomic<bool>& stop) {
      std::counting_semaphore<> free{in_flight};
      std::atomic<std::uint64_t> written{0};
      const session_options options{1min};
      while (!stop) {
        free.acquire();
        const auto asked = clock_type::now();
        db.async_write(
            [w, asked, &seen](write_session& s) {
              seen.wait.record(clock_type::now() - asked);
              return s.execute(insert_sql, w);
            },
            options, [asked, &seen, &free, &written](std::exception_ptr, const result<std::uint64_t, db_error>& done) {
              seen.answer.record(clock_type::now() - asked);
              if (done) ++written;
              else ++seen.busy;
              free.release();
            });
      }
      for (int i = 0; i < in_flight; ++i) free.acquire();
      return written.load();
    };
  });
}

/// A connection with its three statements.
struct own_connection {
  explicit own_connection(const std::string& path) {
    if (sqlite3_open_v2(path.c_str(), &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK) std::abort();
    sqlite3_busy_timeout(connection, 60'000);
    sqlite3_exec(connection, "PRAGMA synchronous = NORMAL", nullptr, nullptr, nullptr);
    sqlite3_prepare_v2(connection, "BEGIN IMMEDIATE", -1, &begin, nullptr);
    sqlite3_prepare_v2(connection, "INSERT INTO log VALUES (?)", -1, &insert, nullptr);
    sqlite3_prepare_v2(connection, "COMMIT", -1, &commit, nullptr);
  }
  ~own_connection() {
    for (auto* one : {begin, insert, commit}) sqlite3_finalize(one);
    sqlite3_close(connection);
  }
  own_connection(const own_connection&) = delete;
  own_connection& operator=(const own_connection&) = delete;

  static bool run(sqlite3_stmt* statement) {
    const bool good = sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_reset(statement);
    return good;
  }

  sqlite3* connection{nullptr};
  sqlite3_stmt* begin{nullptr};
  sqlite3_stmt* insert{nullptr};
  sqlite3_stmt* commit{nullptr};
};

round_result with_busy_timeout(const std::string& path, int rows) {
  return play([&path, rows](int w, record& seen) {
    return [&seen, w, rows, own = std::make_unique<own_connection>(path)](const std::atomic<bool>& stop) {
      std::uint64_t written{0};
      while (!stop) {
        const auto asked = clock_type::now();
        if (!own_connection::run(own->begin)) {
          ++seen.busy;
          continue;
        }
        seen.wait.record(clock_type::now() - asked);
        for (int i = 0; i < rows; ++i) {
          sqlite3_bind_int(own->insert, 1, w);
          if (!own_connection::run(own->insert)) std::abort();
        }
        if (own_connection::run(own->commit)) written += static_cast<std::uint64_t>(rows);
        else ++seen.busy;
        seen.answer.record(clock_type::now() - asked);
      }
      return written;
    };
  });
}

/// Whether anybody runs before a caller who was in the queue already. All events take their number from one counter: `joined` after a caller was seen
/// in the queue, `began` before the call of another, `ran` inside the function, of which one runs at a time. So joined(A) < began(B) and
/// ran(B) < ran(A) prove that B overtook A. In rounds: the session is held while the first half joins one by one; then all others start.
struct order_check {
  std::uint64_t inversions{0};
  std::uint64_t checked{0};

  void run(database& db) {
    for (const auto until = clock_type::now() + round_length; clock_type::now() < until;) play_round(db);
  }

 private:
  struct ask {
    std::uint64_t joined{0};
    std::uint64_t began{0};
    std::uint64_t ran{0};
  };

  void play_round(database& db) {
    constexpr std::size_t early{writers / 2};
    std::atomic<std::uint64_t> next{1};
    std::latch inside{1};
    std::latch go_on{1};
    std::thread holder{[&] {
      (void)db.write([&](write_session&) {
        inside.count_down();
        go_on.wait();
      });
    }};
    inside.wait();
    std::vector<ask> asks(writers * 2);
    const auto write = [&](ask& one) {
      one.began = next++;
      (void)db.write([&](write_session& s) {
        one.ran = next++;
        return s.execute(insert_sql, 0);
      });
    };
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < early; ++i) {
      threads.emplace_back([&, i] { write(asks[i]); });
      while (db.stats().writes.waiting != i + 1) std::this_thread::yield();
      asks[i].joined = next++;
    }
    for (std::size_t i = early; i < asks.size(); ++i) threads.emplace_back([&, i] { write(asks[i]); });
    go_on.count_down();
    for (auto& thread : threads) thread.join();
    holder.join();
    for (const auto& later : asks) {
      ++checked;
      for (std::size_t i = 0; i < early; ++i) inversions += asks[i].joined < later.began && later.ran < asks[i].ran ? 1U : 0U;
    }
  }
};

double milliseconds(std::chrono::nanoseconds duration) { return std::chrono::duration<double, std::milli>{duration}.count(); }

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void goal(const char* id, double measured, const char* relation, double target) {
  const bool met = relation[0] == '<' ? measured <= target : measured >= target;
  std::printf("goal %s %.3f %s %.3f %s\n", id, measured, relation, target, met ? "met" : "missed");
}

/// All rounds of one way to write.
struct series {
  const char* load;
  const char* way;
  std::vector<round_result> all;

  void add(const round_result& r) {
    all.push_back(r);
    std::printf("%-14s %-14s %10.0f %9.3f %9.3f %9.3f %9.3f %8.3f %6llu\n", load, way, r.rows_per_second, milliseconds(r.wait.quantile(0.999)),
                milliseconds(r.wait.quantile(1.0)), milliseconds(r.answer.quantile(0.5)), milliseconds(r.answer.quantile(0.999)), r.share_ratio,
                static_cast<unsigned long long>(r.busy));
  }
  template <class Value>
  [[nodiscard]] std::vector<double> values(Value&& value) const {
    std::vector<double> found;
    for (const auto& each : all) found.push_back(value(each));
    return found;
  }
  [[nodiscard]] double rows_per_second() const {
    return median(values([](const round_result& r) { return r.rows_per_second; }));
  }
  [[nodiscard]] std::uint64_t busy() const {
    std::uint64_t sum{0};
    for (const auto& each : all) sum += each.busy;
    return sum;
  }
};

template <class Value>
double median_ratio(const series& ours, const series& other, Value&& value) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.all.size(); ++i) ratios.push_back(value(ours.all[i]) / value(other.all[i]));
  return median(ratios);
}

void print_groups(const char* load, const database_stats& stats) {
  const auto commits = static_cast<double>(std::max<std::uint64_t>(stats.shared_commits, 1));
  std::printf("%s: %llu of %llu writes shared a commit, %.1f at a time\n", load, static_cast<unsigned long long>(stats.shared_commit_writes),
              static_cast<unsigned long long>(stats.writes.committed), static_cast<double>(stats.shared_commit_writes) / commits);
}

void compare() {
  std::printf("%d writers, WAL, synchronous NORMAL, SQLite %s; %d rounds of %lld ms each\n", writers, sqlite3_libversion(), rounds,
              static_cast<long long>(round_length.count()));
  std::printf("%-14s %-14s %10s %9s %9s %9s %9s %8s %6s\n", "a write is", "", "rows/s", "wait", "worst", "answer", "answer", "share", "busy");
  std::printf("%-14s %-14s %10s %9s %9s %9s %9s\n", "", "", "", "p99.9 ms", "ms", "p50 ms", "p99.9 ms");

  bench_file rows_file;
  bench_file batches_file;
  bench_file stream_file;
  bench_file ungrouped_file{false};
  series rows{"1 row", "fair queue", {}};
  series rows_twin{"1 row", "busy_timeout", {}};
  series batches{"100 rows", "fair queue", {}};
  series batches_twin{"100 rows", "busy_timeout", {}};
  series stream{"1 row, async", "fair queue", {}};
  series ungrouped{"1 row, async", "not grouped", {}};
  order_check order;
  for (int round = 0; round < rounds; ++round) {
    rows.add(with_queue(*rows_file.db, 1));
    rows_twin.add(with_busy_timeout(rows_file.path, 1));
    batches.add(with_queue(*batches_file.db, rows_in_batch));
    batches_twin.add(with_busy_timeout(batches_file.path, rows_in_batch));
    stream.add(with_asynchronous_queue(*stream_file.db));
    ungrouped.add(with_asynchronous_queue(*ungrouped_file.db));
    order.run(*rows_file.db);
  }

  const auto speed = [](const round_result& r) { return r.rows_per_second; };
  const auto wait = [](const round_result& r) { return milliseconds(r.wait.quantile(0.999)); };
  const auto worst = [](const round_result& r) { return milliseconds(r.wait.quantile(1.0)); };
  std::printf("\n");
  print_groups("1 row", rows_file.db->stats());
  print_groups("100 rows", batches_file.db->stats());
  print_groups("1 row, async", stream_file.db->stats());
  std::printf("order: %llu of %llu writes overtook one that was in the queue before\n", static_cast<unsigned long long>(order.inversions),
              static_cast<unsigned long long>(order.checked));
  std::printf("medians of paired ratios, queue / busy_timeout: 1 row %.2f of the speed, %.2f of the p99.9 wait, %.2f of the worst; 100 rows %.2f of the "
              "speed; 1 row asynchronous %.2f of the speed of 1 row; grouped / not grouped %.2f\n",
              median_ratio(rows, rows_twin, speed), median_ratio(rows, rows_twin, wait), median_ratio(rows, rows_twin, worst),
              median_ratio(batches, batches_twin, speed), median_ratio(stream, rows_twin, speed), median_ratio(stream, ungrouped, speed));
  std::printf("worst wait with busy_timeout: %.1f ms\n\n", std::ranges::max(rows_twin.values(worst)));
  std::uint64_t engine_busy{0};
  for (const auto* file : {&rows_file, &batches_file, &stream_file, &ungrouped_file}) engine_busy += file->db->stats().errors_of(db_errc::busy);
  goal("P10-busy", static_cast<double>(engine_busy + rows.busy() + batches.busy() + stream.busy() + ungrouped.busy()), "<=", 0);
  goal("P10-inversions", static_cast<double>(order.inversions), "<=", 0);
  goal("P10-p99.9-wait-ms", median(rows.values(wait)), "<=", 20);
  goal("P10-worst-wait-ms", std::ranges::max(rows.values(worst)), "<=", 100);
  goal("P10-rows-per-s-grouped", batches.rows_per_second(), ">=", 200'000);
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<int> numbers;
  for (int i = 1; i < count; ++i) {
    if (const int number = std::atoi(arguments[i]); number > 0) numbers.push_back(number);
  }
  if (!numbers.empty()) rounds = numbers[0];
  if (numbers.size() > 1) round_length = std::chrono::milliseconds{numbers[1]};
  compare();
  return 0;
}
