// SPDX-License-Identifier: Apache-2.0
#include "db/postgres_fixture.hpp"

#include <spillway/db/pqxx_lease.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

#if defined(__SANITIZE_ADDRESS__)
// libpqxx 6.4 keeps the result of a query during which the connection broke.
extern "C" [[gnu::visibility("default")]] const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libpqxx-6"; }
#endif

using namespace spillway;
using tests::postgres_fixture;

namespace {

postgres_config one_session(const postgres_fixture& fixture) {
  auto config = fixture.config();
  config.writers = 1;
  return config;
}

int pid_of(database& db) {
  return db.write([](write_session& s) { return s.query_one<int>("SELECT pg_backend_pid()"); }).value().value();
}

}  // namespace

TEST_CASE("pqxx_lease.existing_code_runs_on_the_very_same_session") {
  const postgres_fixture fixture;
  auto db = open_postgres(one_session(fixture)).value();
  const int pid = pid_of(db);
  const auto seen = with_pqxx(db, [](pqxx_connection& c) {
    pqxx::work tx{c};
    tx.exec("CREATE TABLE t (x int)");
    tx.exec("INSERT INTO t VALUES (1), (2)");
    const auto rows = tx.exec("SELECT pg_backend_pid()");
    tx.commit();
    return rows[0][0].as<int>();
  });
  CHECK(seen.value() == pid);
  CHECK(db.write([](write_session& s) { return s.query_one<int>("SELECT count(*) FROM t"); }).value() == 2);
  CHECK(pid_of(db) == pid);
}

TEST_CASE("pqxx_lease.after_statements_of_its_own_the_session_shares_its_transaction") {
  const postgres_fixture fixture;
  auto db = open_postgres(one_session(fixture)).value();
  const auto insert_both = [](write_session& s, bool fails) {
    s.execute("CREATE TABLE IF NOT EXISTS t (x int)").value();
    s.execute("INSERT INTO t VALUES (1)").value();
    with_pqxx(s, [](pqxx_connection& c) {
      pqxx::nontransaction tx{c};
      tx.exec("INSERT INTO t VALUES (2)");
    }).value();
    s.execute("INSERT INTO t VALUES (3)").value();
    if (fails) throw std::runtime_error{"stop"};
  };
  CHECK_THROWS_AS((void)db.write([&](write_session& s) { insert_both(s, true); }), std::runtime_error);
  CHECK(fixture.value("SELECT count(*) FROM pg_class WHERE relname = 't'") == "0");
  REQUIRE(db.write([&](write_session& s) { insert_both(s, false); }).has_value());
  CHECK(fixture.value("SELECT sum(x) FROM t") == "6");
}

TEST_CASE("pqxx_lease.what_libpqxx_throws_becomes_an_error_by_its_code") {
  const postgres_fixture fixture;
  auto db = open_postgres(one_session(fixture)).value();
  fixture.sql("CREATE TABLE t (x int PRIMARY KEY)");
  const auto run = [&](const std::string& sql) {
    return with_pqxx(db, [&](pqxx_connection& c) {
      pqxx::work tx{c};
      tx.exec("INSERT INTO t VALUES (1)");
      tx.exec(sql);
      tx.commit();
    });
  };
  const auto twice = run("INSERT INTO t VALUES (1)");
  REQUIRE_FALSE(twice.has_value());
  CHECK(twice.error() == db_errc::unique_violation);
  CHECK(sqlstate_of(twice.error()) == "23505");
  CHECK(run("SELECT * FROM nowhere").error() == db_errc::no_such_object);
  CHECK(run("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40001'; END $$").error() == db_errc::serialization_failure);
  CHECK(run("DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40P01'; END $$").error() == db_errc::deadlock_detected);
  CHECK(fixture.value("SELECT count(*) FROM t") == "0");
  CHECK_THROWS_AS((void)with_pqxx(db, [](pqxx_connection&) { throw std::logic_error{"mine"}; }), std::logic_error);
  CHECK(run("SELECT 1").has_value());
}

TEST_CASE("pqxx_lease.what_the_code_leaves_behind_is_cleared_away") {
  const postgres_fixture fixture;
  auto db = open_postgres(one_session(fixture)).value();
  const int pid = pid_of(db);
  for (int round = 0; round < 2; ++round) {  // the second would find the statement of the first
    CHECK(with_pqxx(db, [](pqxx_connection& c) {
      c.prepare("mine", "SELECT 1");
      pqxx::nontransaction tx{c};
      tx.exec("SET search_path = nowhere");
      tx.exec("SET default_transaction_read_only = on");
      tx.exec("CREATE TEMP TABLE left_behind (x int)");
    }).has_value() == false);  // read only
    CHECK(with_pqxx(db, [](pqxx_connection& c) {
      c.prepare("mine", "SELECT 1");
      pqxx::nontransaction tx{c};
      tx.exec("CREATE TEMP TABLE left_behind (x int)");
      tx.exec("SET search_path = nowhere");
      tx.exec("SET statement_timeout = 60000");
      tx.exec("SELECT pg_advisory_lock(1)");
    }).has_value());
    CHECK(db.write([](write_session& s) {
      CHECK(s.query_one<std::string>("SHOW search_path").value() == "\"$user\", public");
      CHECK(s.query_one<int>("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").value() == 0);
      CHECK(s.query("SELECT * FROM left_behind").error() == db_errc::no_such_object);
    }).error() == db_errc::no_such_object);
    CHECK(pid_of(db) == pid);
  }
}

TEST_CASE("pqxx_lease.a_transaction_left_open_is_rolled_back_and_told") {
  const postgres_fixture fixture;
  auto db = open_postgres(one_session(fixture)).value();
  const auto done = with_pqxx(db, [](pqxx_connection& c) {
    pqxx::nontransaction tx{c};
    tx.exec("BEGIN");
    tx.exec("CREATE TABLE t (x int)");
  });
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error() == db_errc::engine_error);
  CHECK(done.error().message() == "a transaction was begun on the raw connection and not ended; it is rolled back");
  CHECK(fixture.value("SELECT count(*) FROM pg_class WHERE relname = 't'") == "0");
  CHECK(db.write([](write_session& s) { return s.query_one<int>("SELECT 1"); }).value() == 1);
}

TEST_CASE("pqxx_lease.the_sessions_transaction_must_not_be_ended_by_the_code") {
  const postgres_fixture fixture;
  auto db = open_postgres(one_session(fixture)).value();
  const auto done = db.write([](write_session& s) {
    s.execute("CREATE TABLE t (x int)").value();
    return with_pqxx(s, [](pqxx_connection& c) {
      pqxx::nontransaction tx{c};
      tx.exec("COMMIT");
    });
  });
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().message() == "the transaction was ended on the raw connection");
  CHECK(db.write([](write_session& s) { return s.query_one<int>("SELECT 1"); }).value() == 1);
}

TEST_CASE("pqxx_lease.a_connection_lost_meanwhile_is_told_and_replaced") {
  const postgres_fixture fixture;
  auto db = open_postgres(one_session(fixture)).value();
  const auto done = with_pqxx(db, [&](pqxx_connection& c) {
    pqxx::work tx{c};
    const auto pid = tx.exec("SELECT pg_backend_pid()")[0][0].as<std::string>();
    fixture.sql("SELECT pg_terminate_backend(" + pid + ", 5000)");
    tx.exec("SELECT 1");
    tx.commit();
  });
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error() == db_errc::connection_lost);
  CHECK(db.write([](write_session& s) { return s.query_one<int>("SELECT 1"); }).value() == 1);
}

TEST_CASE("pqxx_lease.what_the_code_leaves_behind_in_the_sessions_transaction_is_cleared_away_at_its_end") {
  const postgres_fixture fixture;
  auto db = open_postgres(one_session(fixture)).value();
  const int pid = pid_of(db);
  for (const bool ends_well : {true, false, true, false}) {
    CAPTURE(ends_well);
    CHECK(db.write([&](write_session& s) -> result<void, db_error> {
      s.query("SELECT 1").value();
      with_pqxx(s, [](pqxx_connection& c) {
        c.prepare("mine", "SELECT 1");
        pqxx::nontransaction tx{c};
        tx.exec_prepared("mine");
        tx.exec("CREATE TEMP TABLE left_behind (x int)");
        tx.exec("SELECT pg_advisory_lock(1)");
        tx.exec("SET statement_timeout = 60000");
        tx.exec("SET search_path = nowhere");
      }).value();
      if (!ends_well) return db_errc::busy;
      return {};
    }).has_value() == ends_well);
    CHECK(db.write([](write_session& s) {
      CHECK(s.query_one<std::string>("SHOW search_path").value() == "\"$user\", public");
      CHECK(s.query_one<int>("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").value() == 0);
      CHECK(s.query_one<int>("SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'").value() == 0);
      CHECK(s.query_one<bool>("SELECT to_regclass('left_behind') IS NULL").value() == true);
    }).has_value());
    CHECK(pid_of(db) == pid);
  }
}

TEST_CASE("pqxx_lease.what_was_committed_is_told_so_though_the_session_is_lost_behind_it") {
  const postgres_fixture fixture;
  auto db = open_postgres(one_session(fixture)).value();
  fixture.sql("CREATE TABLE t (x int)");
  const auto insert = [&](pqxx_connection& c) {
    pqxx::work tx{c};
    tx.exec("INSERT INTO t VALUES (1)");
    const auto pid = tx.exec("SELECT pg_backend_pid()")[0][0].as<std::string>();
    tx.commit();
    fixture.sql("SELECT pg_terminate_backend(" + pid + ", 5000)");
  };
  const auto done = db.run_tx([&](write_session& s) { return with_pqxx(s, insert); });
  CHECK(done.has_value());
  CHECK(fixture.value("SELECT count(*) FROM t") == "1");
  // If libpq has noticed already, nobody can tell any more whether a transaction was left open.
  const auto unsure = db.run_tx([&](write_session& s) {
    return with_pqxx(s, [&](pqxx_connection& c) {
      insert(c);
      try {
        pqxx::nontransaction{c}.exec("SELECT 1");
      } catch (const pqxx::failure&) {
      }
    });
  });
  REQUIRE_FALSE(unsure.has_value());
  CHECK(unsure.error() == db_errc::commit_unknown);
  CHECK(fixture.value("SELECT count(*) FROM t") == "2");
  CHECK(db.write([](write_session& s) { return s.query_one<int>("SELECT 1"); }).value() == 1);
}
