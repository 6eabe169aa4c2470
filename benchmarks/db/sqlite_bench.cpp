// SPDX-License-Identifier: Apache-2.0
// What a read and a write cost.
#include <spillway/db/sqlite.hpp>

#include <benchmark/benchmark.h>
#include <sqlite3.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace spillway;

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

}  // namespace

BENCHMARK_MAIN();
