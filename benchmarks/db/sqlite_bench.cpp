// SPDX-License-Identifier: Apache-2.0
// What a read and a write cost, and what the queue for the writer does under contention, beside the usual way: a connection for each
// thread, and busy_timeout.
#include <spillway/core/latency_histogram.hpp>
#include <spillway/db/sqlite.hpp>

#include <benchmark/benchmark.h>
#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace spillway;
using clock_type = std::chrono::steady_clock;

/// A file of its own with a table of 100,000 rows.
struct bench_database {
  bench_database() {
    std::string name = (std::filesystem::temp_directory_path() / "spillway-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    directory = name;
    path = name + "/bench.db";
    db = std::make_unique<database>(open());
    db->write_for([](write_session& s) {
      s.execute_script("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE log (writer INTEGER)").value();
      s.execute("INSERT INTO item WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
                "SELECT i, 'item number ' || i FROM n").value();
    }, std::chrono::minutes{1}).value();
  }
  ~bench_database() {
    db.reset();
    std::filesystem::remove_all(directory);
  }
  database open() const {
    sqlite_config config;
    config.path = path;
    return open_sqlite(config).value();
  }

  std::string directory;
  std::string path;
  std::unique_ptr<database> db;
};

bench_database& shared() {
  static bench_database made;
  return made;
}

void point_read(benchmark::State& state) {
  auto& db = *shared().db;
  std::int64_t id = state.thread_index() * 7'919;
  for (auto _ : state) {
    id = (id + 7'919) % 100'000 + 1;
    auto name = db.read([&](read_session& s) { return s.query_one<std::string>("SELECT name FROM item WHERE id = $1", id); });
    benchmark::DoNotOptimize(name);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(point_read)->UseRealTime()->Threads(1)->Threads(2);

/// The transaction around it is paid once: what is left is the statement.
void point_read_in_one_transaction(benchmark::State& state) {
  shared().db->read_for([&](read_session& s) {
    std::int64_t id{0};
    for (auto _ : state) {
      id = (id + 7'919) % 100'000 + 1;
      auto name = s.query_one<std::string>("SELECT name FROM item WHERE id = $1", id);
      benchmark::DoNotOptimize(name);
    }
  }, std::chrono::hours{1}).value();
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(point_read_in_one_transaction);

/// The same with SQLite alone, for the overhead.
void point_read_of_sqlite_alone(benchmark::State& state) {
  sqlite3* connection{nullptr};
  sqlite3_stmt* statement{nullptr};
  sqlite3_open_v2(shared().path.c_str(), &connection, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr);
  sqlite3_prepare_v2(connection, "SELECT name FROM item WHERE id = ?", -1, &statement, nullptr);
  std::int64_t id{0};
  for (auto _ : state) {
    id = (id + 7'919) % 100'000 + 1;
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_step(statement);
    std::string name{reinterpret_cast<const char*>(sqlite3_column_text(statement, 0))};
    benchmark::DoNotOptimize(name);
    sqlite3_reset(statement);
  }
  sqlite3_finalize(statement);
  sqlite3_close(connection);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(point_read_of_sqlite_alone);

void single_row_write(benchmark::State& state) {
  auto& db = *shared().db;
  for (auto _ : state) db.write([](write_session& s) { return s.execute("INSERT INTO log VALUES ($1)", 1); }).value();
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(single_row_write)->UseRealTime();

void rows_in_one_write(benchmark::State& state) {
  auto& db = *shared().db;
  const std::vector<std::tuple<int>> rows(1'000, std::tuple{1});
  for (auto _ : state) db.write([&](write_session& s) { return s.execute_many("INSERT INTO log VALUES ($1)", rows); }).value();
  state.SetItemsProcessed(state.iterations() * 1'000);
}
BENCHMARK(rows_in_one_write)->UseRealTime();

// --- four writers: the queue, and the twin with busy_timeout

constexpr int writers{4};
constexpr int rounds{7};
constexpr std::chrono::milliseconds round_length{700};

struct round_result {
  double per_second;
  latency_snapshot wait;
  std::uint64_t busy;
  double share_ratio;  // of the writer that got least, to the one that got most
};

/// `make` gives each thread its step: one transaction, with the wait for the lock recorded. False: it was refused.
template <class Make>
round_result four_writers(Make&& make) {
  latency_histogram wait;
  std::atomic<bool> go{false};
  std::atomic<bool> stop{false};
  std::vector<std::uint64_t> done(writers);
  std::atomic<std::uint64_t> busy{0};
  std::vector<std::thread> threads;
  for (int w = 0; w < writers; ++w) {
    threads.emplace_back([&, w] {
      auto step = make(w, wait);
      while (!go) std::this_thread::yield();
      while (!stop) {
        if (step()) ++done[static_cast<std::size_t>(w)];
        else ++busy;
      }
    });
  }
  const auto began = clock_type::now();
  go = true;
  std::this_thread::sleep_for(round_length);
  stop = true;
  for (auto& thread : threads) thread.join();
  const std::chrono::duration<double> took = clock_type::now() - began;
  std::uint64_t sum{0};
  for (const auto one : done) sum += one;
  const auto [least, most] = std::ranges::minmax(done);
  return {static_cast<double>(sum) / took.count(), wait.snapshot(), busy.load(),
          static_cast<double>(least) / static_cast<double>(std::max<std::uint64_t>(most, 1))};
}

round_result with_queue(database& db) {
  return four_writers([&db](int w, latency_histogram& wait) {
    return [&db, w, &wait] {
      const auto asked = clock_type::now();
      return db.write_for([&](write_session& s) {
        wait.record(clock_type::now() - asked);
        return s.execute("INSERT INTO log VALUES ($1)", w);
      }, std::chrono::minutes{1}).has_value();
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

round_result with_busy_timeout(const std::string& path) {
  return four_writers([&path](int w, latency_histogram& wait) {
    return [w, &wait, own = std::make_shared<own_connection>(path)] {
      const auto asked = clock_type::now();
      if (!own_connection::run(own->begin)) return false;
      wait.record(clock_type::now() - asked);
      sqlite3_bind_int(own->insert, 1, w);
      return own_connection::run(own->insert) && own_connection::run(own->commit);
    };
  });
}

double milliseconds(std::chrono::nanoseconds duration) { return std::chrono::duration<double, std::milli>{duration}.count(); }

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void goal(const char* id, double measured, const char* relation, double target) {
  const bool met = relation[0] == '<' ? measured <= target : measured >= target;
  std::printf("goal %s %.3f %s %.3f %s\n", id, measured, relation, target, met ? "met" : "missed");
}

void compare_writers() {
  auto& bench = shared();
  std::printf("\n%d writers, single-row transactions, WAL, synchronous NORMAL, SQLite %s; %d rounds of %lld ms each\n", writers,
              sqlite3_libversion(), rounds, static_cast<long long>(round_length.count()));
  std::printf("%-14s %10s %12s %12s %8s %6s\n", "", "tx/s", "p99.9 ms", "worst ms", "share", "busy");
  std::vector<double> throughput_ratio;
  std::vector<double> wait_ratio;
  std::vector<double> queue_p999;
  std::vector<double> queue_worst;
  std::uint64_t queue_busy{0};
  const auto print = [](const char* name, const round_result& r) {
    std::printf("%-14s %10.0f %12.3f %12.3f %8.3f %6llu\n", name, r.per_second, milliseconds(r.wait.quantile(0.999)),
                milliseconds(r.wait.quantile(1.0)), r.share_ratio, static_cast<unsigned long long>(r.busy));
  };
  for (int round = 0; round < rounds; ++round) {
    const auto queue = with_queue(*bench.db);
    const auto twin = with_busy_timeout(bench.path);
    print("fair queue", queue);
    print("busy_timeout", twin);
    throughput_ratio.push_back(queue.per_second / twin.per_second);
    wait_ratio.push_back(milliseconds(twin.wait.quantile(0.999)) / milliseconds(queue.wait.quantile(0.999)));
    queue_p999.push_back(milliseconds(queue.wait.quantile(0.999)));
    queue_worst.push_back(milliseconds(queue.wait.quantile(1.0)));
    queue_busy += queue.busy + bench.db->stats().errors_of(db_errc::busy);
  }
  std::printf("\nmedian of paired ratios: throughput queue / busy_timeout %.3f, p99.9 wait busy_timeout / queue %.1f\n",
              median(throughput_ratio), median(wait_ratio));
  goal("P10-busy", static_cast<double>(queue_busy), "<=", 0);
  goal("P10-p99.9-wait-ms", median(queue_p999), "<=", 20);
  goal("P10-worst-wait-ms", std::ranges::max(queue_worst), "<=", 100);
}

}  // namespace

int main(int count, char** arguments) {
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  compare_writers();
  return 0;
}
