// SPDX-License-Identifier: Apache-2.0
// Statements that sessions have prepared, and what becomes of them when the schema changes.
#include "db/postgres_fixture.hpp"

#include <spillway/db/bulk.hpp>
#include <spillway/db/postgres.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

using namespace spillway;
using tests::one;
using tests::postgres_fixture;

TEST_CASE("postgres.statements_are_prepared_once_for_each_session") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.readers = 1;
  config.statement_cache = 4;
  auto db = open_postgres(config).value();
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i) CHECK(one<int>(db, "SELECT " + std::to_string(i)) == i);
  }
  auto stats = db.stats();
  CHECK(stats.statement_cache_misses == 4);
  CHECK(stats.statement_cache_hits == 8);
  for (int i = 0; i < 20; ++i) CHECK(one<int>(db, "SELECT " + std::to_string(i)) == i);
  CHECK(db.stats().statement_cache_evictions > 0);
  CHECK(one<int>(db, "SELECT count(*) FROM pg_prepared_statements") <= 5);
}

TEST_CASE("postgres.without_a_statement_cache_nothing_is_prepared") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.statement_cache = 0;
  auto db = open_postgres(config).value();
  CHECK(one<int>(db, "SELECT 1") == 1);
  CHECK(one<int>(db, "SELECT count(*) FROM pg_prepared_statements") == 0);
}

TEST_CASE("postgres.a_schema_change_is_not_noticed_by_first_statements") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.readers = 1;
  auto db = open_postgres(config).value();
  REQUIRE(db.write([](write_session& s) { return s.execute_script("CREATE TABLE t (x int); INSERT INTO t VALUES (1)"); }));
  const auto columns = [&] { return db.read([](read_session& s) { return s.query("SELECT * FROM t"); }).value().column_names(); };
  CHECK(columns() == std::vector<std::string>{"x"});
  fixture.sql("ALTER TABLE t ADD COLUMN y int");
  CHECK(columns() == std::vector<std::string>{"x", "y"});
  CHECK(db.stats().errors_of(db_errc::stale_statement) == 0);
}

TEST_CASE("postgres.a_column_of_another_type_is_noticed_by_statements_that_are_prepared") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.writers = 1;
  auto db = open_postgres(config).value();
  fixture.sql("CREATE TABLE t (x int)");
  const auto add = [&](sql_value x) { return db.write([&](write_session& s) { return s.execute("INSERT INTO t VALUES ($1)", x); }); };
  const auto add_two = [&](std::int64_t x) {
    const std::vector<std::tuple<std::int64_t>> rows{{x}, {x}};
    return db.write([&](write_session& s) { return bulk_insert(s, {"t", {"x"}}, rows); });
  };
  const std::int64_t large{5'000'000'000};
  CHECK(add(1).has_value());
  CHECK(add_two(1).has_value());
  CHECK(add(large).error() == db_errc::type_mismatch);  // a value that does not fit stays one
  fixture.sql("ALTER TABLE t ALTER x TYPE bigint");
  CHECK(add_two(large).has_value());
  CHECK(add(large).has_value());
  fixture.sql("ALTER TABLE t ALTER x TYPE text");
  CHECK(add("text").has_value());
  // In the middle of a transaction it fails once.
  const auto second = [&](write_session& s) -> result<std::uint64_t, db_error> {
    s.query("SELECT 1").value();
    return s.execute("INSERT INTO t VALUES ($1)", "2026-01-01");
  };
  fixture.sql("ALTER TABLE t ALTER x TYPE date USING NULL");
  CHECK_FALSE(db.write(second).has_value());
  CHECK(db.write(second).has_value());
}

TEST_CASE("postgres.a_schema_change_inside_a_transaction_fails_it_once") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.writers = 2;
  auto db = open_postgres(config).value();
  REQUIRE(db.write([](write_session& s) { return s.execute_script("CREATE TABLE t (x int); INSERT INTO t VALUES (1)"); }));
  const auto second = [](read_session& s) {
    s.query("SELECT 1").value();
    return s.query("SELECT * FROM t").value().column_names().size();
  };
  // Both sessions know the statement.
  REQUIRE(db.write([&](write_session& s) {
    std::thread other{[&] { CHECK(db.write(second).value() == 1); }};
    other.join();
    return second(s);
  }).value() == 1);
  fixture.sql("ALTER TABLE t ADD COLUMN y int");
  const auto failed = db.write(second);
  REQUIRE_FALSE(failed);
  CHECK(failed.error() == db_errc::stale_statement);
  CHECK(failed.error() == errc::conflict);
  // Neither session fails again.
  CHECK(db.write([&](write_session& s) {
    std::thread other{[&] { CHECK(db.write(second).value() == 2); }};
    other.join();
    return second(s);
  }).value() == 2);
}

TEST_CASE("postgres.statements_that_the_server_has_forgotten_are_prepared_again") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.writers = 1;
  auto db = open_postgres(config).value();
  const auto ask = [](read_session& s) { return s.query_one<int>("SELECT 7").value().value(); };
  CHECK(db.write(ask).value() == 7);
  REQUIRE(db.write([](write_session& s) { return s.execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"); }));
  CHECK(db.write(ask).value() == 7);
}
