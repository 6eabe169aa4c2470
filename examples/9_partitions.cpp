// SPDX-License-Identifier: Apache-2.0
// Monthly partitions that are there before they are needed, and gone when they are old. On PostgreSQL: 9_partitions postgresql://user@host/database
#include <spillway/db/partitions.hpp>
#include <spillway/db/postgres.hpp>
#include <spillway/db/sqlite.hpp>

#include <cstdio>
#include <filesystem>
#include <random>
#include <string>

using namespace spillway;

namespace {

int keep_partitions(database& db) {
  partition_config config;
  config.table = "spillway_example_event";
  config.months_ahead = 3;  // and the current one
  config.keep_months = 12;
  partition_manager events{db, config};

  const auto done = events.run();  // once an hour, in any number of programs
  if (!done) {
    std::printf("%s\n", done.error().what().c_str());
    return 0;
  }
  for (const auto& name : done->created) std::printf("made %s\n", name.c_str());
  for (const auto& name : done->dropped) std::printf("dropped %s\n", name.c_str());
  const auto status = events.status().value();
  std::printf("runway: %lld days\n", static_cast<long long>(status.runway / std::chrono::days{1}));
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1) {
    postgres_config config;
    config.url = arguments[1];
    auto db = open_postgres(config).value();
    db.write([](write_session& s) {
      return s.execute("CREATE TABLE IF NOT EXISTS spillway_example_event (at timestamptz NOT NULL, what text) PARTITION BY RANGE (at)");
    }).value();
    return keep_partitions(db);
  }
  // SQLite has nothing of the kind, and says so.
  const auto file = std::filesystem::temp_directory_path() / ("spillway-example-" + std::to_string(std::random_device{}()) + ".db");
  auto db = open_sqlite({.path = file.string()}).value();
  const int code = keep_partitions(db);
  db.close().value();
  std::filesystem::remove(file);
  return code;
}
