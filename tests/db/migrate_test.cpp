// SPDX-License-Identifier: Apache-2.0
#include "db/sqlite_fixture.hpp"

#include <spillway/db/migrate.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace spillway;
using tests::sqlite_fixture;

namespace {

constexpr std::string_view first{"CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT NOT NULL);\n"
                                 "INSERT INTO city (name) VALUES ('Bern');"};
constexpr std::string_view second{"ALTER TABLE city ADD COLUMN size INTEGER NOT NULL DEFAULT 0"};

int user_version(database& db) {
  return db.read([](read_session& s) { return s.query_one<int>("PRAGMA user_version"); }).value().value();
}

}  // namespace

TEST_CASE("migrate.runs_what_the_database_has_not_seen_in_order") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  CHECK(migrate(db, {first}).value() == 1);
  CHECK(user_version(db) == 1);
  CHECK(migrate(db, {first, second}).value() == 1);
  CHECK(user_version(db) == 2);
  CHECK(migrate(db, {first, second}).value() == 0);
  CHECK(db.read([](read_session& s) { return s.query_one<int>("SELECT size FROM city WHERE name = 'Bern'"); }).value() == 0);
  CHECK(db.read([](read_session& s) { return s.query("SELECT number, checksum FROM spillway_migration"); }).value().size() == 2);
  CHECK(migrate(db, {}).error() == db_errc::incompatible_schema);
}

TEST_CASE("migrate.a_failing_script_is_named_and_nothing_changes") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  const auto done = migrate(db, {first, "CREATE TABLE other (x); INSERT INTO nowhere VALUES (1)"});
  REQUIRE_FALSE(done);
  CHECK(done.error() == db_errc::no_such_object);
  CHECK(done.error().message() == "migration 2: no such table: nowhere (1)");
  CHECK(db.read([](read_session& s) { return s.query("SELECT 1 FROM city"); }).error() == db_errc::no_such_object);
  CHECK(user_version(db) == 0);
  CHECK(migrate(db, {first}).value() == 1);
}

TEST_CASE("migrate.a_newer_database_is_refused") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  REQUIRE(migrate(db, {first, second}));
  const auto older_program = migrate(db, {first});
  REQUIRE_FALSE(older_program);
  CHECK(older_program.error() == db_errc::incompatible_schema);
  CHECK(older_program.error().message() == "the database is at migration 2, this program knows 1: it is older than the database");
}

TEST_CASE("migrate.a_script_changed_after_it_was_run_is_refused") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  REQUIRE(migrate(db, {first}));
  const auto edited = std::string{first} + " ";
  const auto done = migrate(db, {edited, second});
  REQUIRE_FALSE(done);
  CHECK(done.error() == db_errc::incompatible_schema);
  CHECK(done.error().message() == "migration 1 was changed after it had been run: append a new one instead");
  CHECK(user_version(db) == 1);
}

TEST_CASE("migrate.a_gap_in_the_record_is_refused") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  REQUIRE(migrate(db, {first, second}));
  REQUIRE(db.write([](write_session& s) { return s.execute("DELETE FROM spillway_migration WHERE number = 1"); }));
  CHECK(migrate(db, {first, second}).error().message() == "migration 1 is missing from the database, which has 2");
}

TEST_CASE("migrate.a_script_cannot_end_the_transaction") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  CHECK(migrate(db, {"CREATE TABLE t (x); COMMIT; CREATE TABLE u (x)"}).error() == db_errc::not_allowed);
  CHECK(db.read([](read_session& s) { return s.query("SELECT 1 FROM t"); }).error() == db_errc::no_such_object);
}

TEST_CASE("migrate.has_no_deadline_unless_one_is_given") {
  const sqlite_fixture fixture;
  auto config = fixture.config();
  config.database.timeout = std::chrono::milliseconds{1};
  auto db = open_sqlite(config).value();
  const std::string_view takes_longer{
      "CREATE TABLE number AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n"};
  CHECK(migrate(db, {takes_longer}, session_options{}).error() == db_errc::timed_out);
  CHECK(migrate(db, {takes_longer}).value() == 1);
}

TEST_CASE("migrate.of_several_programs_at_once_one_does_the_work") {
  const sqlite_fixture fixture;
  std::atomic<std::size_t> ran{0};
  std::vector<std::thread> programs;
  for (int i = 0; i < 4; ++i) {
    programs.emplace_back([&] {
      auto db = fixture.open();  // a connection of its own, as another process has
      ran += migrate(db, {first, second}).value();
    });
  }
  for (auto& program : programs) program.join();
  CHECK(ran == 2);
}
