// SPDX-License-Identifier: Apache-2.0
#include "db/backends/sqlite/sqlite_connection.hpp"
#include "db/session_context.hpp"
#include "db/sqlite_fixture.hpp"

#include <spillway/db/sqlite.hpp>

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using tests::sqlite_fixture;

namespace {

std::string setting(database& db, std::string_view pragma, bool writer) {
  const auto ask = [&](read_session& s) {
    std::string text;
    s.stream("PRAGMA " + std::string{pragma}, {}, [&](row_view row) {
      text = row.value(0).type() == sql_type::text ? row.get<std::string>(0) : std::to_string(row.get<std::int64_t>(0));
    }).value();
    return text;
  };
  return writer ? db.write(ask).value() : db.read(ask).value();
}

void fill(database& db) {
  REQUIRE(db.write([](write_session& s) {
    s.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)").value();
    return s.execute("INSERT INTO t (v) VALUES ('a'), ('b'), ('c')");
  }));
}

/// A file that can be opened, and whose table `t` cannot be read.
void make_damaged(const sqlite_fixture& fixture) {
  {
    auto db = fixture.open();
    fill(db);
    const std::string big(3'000, 'x');
    REQUIRE(db.write([&](write_session& s) {
      return s.execute_many("INSERT INTO t (v) VALUES ($1)", std::vector<std::tuple<std::string>>(200, std::tuple{big}));
    }));
  }
  const auto size = std::filesystem::file_size(fixture.path());
  REQUIRE(size > 200'000);
  std::fstream file{fixture.path(), std::ios::in | std::ios::out | std::ios::binary};
  file.seekp(8'192);  // behind the pages opened first
  file << std::string(size - 8'192, '\xff');
}

result<std::optional<int>, db_error> sum_of_lengths(read_session& s) { return s.query_one<int>("SELECT sum(length(v)) FROM t"); }

}  // namespace

TEST_CASE("sqlite.is_in_wal_mode_with_foreign_keys_and_a_reader_that_cannot_write") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  CHECK(setting(db, "journal_mode", true) == "wal");
  CHECK(setting(db, "foreign_keys", true) == "1");
  CHECK(setting(db, "synchronous", true) == "1");
  CHECK(setting(db, "query_only", false) == "1");
  auto config = fixture.config();
  config.path += "2";
  config.synchronous = sqlite_synchronous::full;
  auto full = open_sqlite(config).value();
  CHECK(setting(full, "synchronous", true) == "2");
  CHECK(full.system_name() == "sqlite");
}

TEST_CASE("sqlite.settings_and_other_files_are_not_for_sessions") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  const auto code = [&](std::string_view sql) { return db.write([&](write_session& s) { return s.execute(sql); }).error(); };
  CHECK(code("PRAGMA synchronous = OFF") == db_errc::not_allowed);
  CHECK(code("PRAGMA writable_schema = ON") == db_errc::not_allowed);
  CHECK(code("PRAGMA user_version = 3") == db_errc::not_allowed);
  CHECK(code("ATTACH 'other.db' AS other") == db_errc::not_allowed);
  CHECK(code("PRAGMA synchronous = OFF").message().find("sqlite_config") != std::string_view::npos);
  CHECK(code("SELECT load_extension('x')").failed());
  CHECK(db.read([](read_session& s) { return s.query("PRAGMA query_only = OFF"); }).error() == db_errc::not_allowed);
  CHECK(db.read([](read_session& s) { return s.query("PRAGMA table_info(sqlite_schema)"); }).value().size() == 5);
}

TEST_CASE("sqlite.double_quotes_are_names_not_texts") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  fill(db);
  CHECK(db.read([](read_session& s) { return s.query("SELECT \"v\" FROM t"); }).value().size() == 3);
  CHECK(db.read([](read_session& s) { return s.query("SELECT \"nothing\" FROM t"); }).error() == db_errc::no_such_object);
}

TEST_CASE("sqlite.only_numbered_parameters_are_taken") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  const auto message = [&](std::string_view sql, const sql_parameters& parameters) {
    const auto failed = db.read([&](read_session& s) { return s.query(sql, parameters); });
    CHECK(failed.error() == db_errc::wrong_parameters);
    return std::string{failed.error().message()};
  };
  CHECK(message("SELECT ?", {1}) == "parameters are written $1, $2, ...; found ?");
  CHECK(message("SELECT :name", {1}) == "parameters are written $1, $2, ...; found :name");
  CHECK(message("SELECT $name", {1}) == "parameters are written $1, $2, ...; found $name");
  CHECK(message("SELECT $0", {1}) == "parameters are written $1, $2, ...; found $0");
  CHECK(message("SELECT $01", {1}) == "parameters are written $1, $2, ...; found $01");
  CHECK(message("SELECT $3, $1", {1, 2, 3}) == "the statement uses $3 but not $2");
  CHECK(message("SELECT $1, $2", {1}) == "the statement takes 2 parameters (up to $2), 1 given");
  CHECK(message("SELECT 1", {1}) == "the statement takes 0 parameters, 1 given");
}

TEST_CASE("sqlite.a_nul_byte_is_kept_in_texts_and_refused_in_statements") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  fill(db);
  const std::string text{"a\0b", 3};
  const auto back = db.write([&](write_session& s) {
    s.execute("UPDATE t SET v = $1 WHERE id = 1", text).value();
    return s.query_one<std::string>("SELECT v FROM t WHERE id = 1").value().value();
  });
  CHECK(back.value() == text);
  const std::string_view sql{"SELECT 1\0 + 1", 13};
  CHECK(db.read([&](read_session& s) { return s.query(sql); }).error() == db_errc::syntax_error);
  CHECK(db.write([&](write_session& s) { return s.execute_script(sql); }).error() == db_errc::syntax_error);
}

TEST_CASE("sqlite.values_and_statements_have_a_size_limit") {
  const sqlite_fixture fixture;
  auto config = fixture.config();
  config.max_value_bytes = 100'000;
  auto db = open_sqlite(config).value();
  fill(db);
  const auto store = [&](std::size_t size) {
    const std::vector<std::byte> blob(size);
    return db.write([&](write_session& s) { return s.execute("UPDATE t SET v = $1 WHERE id = 1", blob); });
  };
  CHECK(store(90'000).has_value());
  const auto refused = store(100'001);
  CHECK(refused.error() == db_errc::value_too_large);
  CHECK(refused.error().message().starts_with("parameter $1: "));
  CHECK(db.read([](read_session& s) { return s.query("SELECT randomblob(200000)"); }).error() == db_errc::value_too_large);
  const std::string long_sql = "SELECT 1 -- " + std::string(2U << 20U, 'x');
  CHECK(db.read([&](read_session& s) { return s.query(long_sql); }).error() == db_errc::value_too_large);
}

TEST_CASE("sqlite.a_script_may_be_longer_than_a_statement") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  fill(db);
  constexpr int statements{40};
  std::string script;
  for (int i = 0; i < statements; ++i) script += "INSERT INTO t (v) VALUES ('" + std::string(100'000, 'x') + "');\n";
  CHECK(db.write([&](write_session& s) { return s.execute_script(script); }).has_value());
  CHECK(db.read([](read_session& s) { return s.query_one<int>("SELECT count(*) FROM t"); }).value() == statements + 3);
  script = "DELETE FROM t; INSERT INTO t (v) VALUES ('" + std::string(2U << 20U, 'x') + "')";
  CHECK(db.write([&](write_session& s) { return s.execute_script(script); }).error() == db_errc::value_too_large);
  // A part of a larger text ends where it ends.
  CHECK(db.write([&](write_session& s) { return s.execute_script(std::string_view{script}.substr(0, 14)); }).has_value());
  CHECK(db.read([](read_session& s) { return s.query_one<int>("SELECT count(*) FROM t"); }).value() == 0);
}

TEST_CASE("sqlite.a_full_file_is_disk_full_and_loses_nothing_that_was_committed") {
  const sqlite_fixture fixture;
  auto config = fixture.config();
  config.max_file_bytes = 256U << 10U;
  auto db = open_sqlite(config).value();
  fill(db);
  const std::string big(20'000, 'x');
  result<std::uint64_t, db_error> stored = std::uint64_t{0};
  int committed{0};
  while (stored && committed < 100) {
    stored = db.write([&](write_session& s) { return s.execute("INSERT INTO t (v) VALUES ($1)", big); });
    if (stored) ++committed;
  }
  REQUIRE_FALSE(stored);
  CHECK(stored.error() == db_errc::disk_full);
  CHECK(stored.error() == errc::unavailable);
  CHECK(db.read([](read_session& s) { return s.query_one<int>("SELECT count(*) FROM t"); }).value() == committed + 3);
  CHECK(db.write([](write_session& s) { return s.execute("DELETE FROM t WHERE id > 3"); }).has_value());
  CHECK(db.write([&](write_session& s) { return s.execute("INSERT INTO t (v) VALUES ($1)", big); }).has_value());
}

TEST_CASE("sqlite.after_the_engine_gave_up_a_transaction_nothing_more_of_it_happens") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  fill(db);
  // ON CONFLICT ROLLBACK ends the whole transaction, and the function does not look.
  const auto done = db.write([](write_session& s) {
    s.execute("INSERT INTO t VALUES (10, 'x')").value();
    (void)s.execute("INSERT OR ROLLBACK INTO t VALUES (1, 'again')");
    (void)s.execute("INSERT INTO t VALUES (11, 'must not be committed by itself')");
  });
  CHECK(done.error() == db_errc::unique_violation);
  CHECK(db.read([](read_session& s) { return s.query_one<int>("SELECT count(*) FROM t"); }).value() == 3);
}

TEST_CASE("sqlite.a_constraint_checked_at_commit_rolls_back") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) {
    return s.execute_script("CREATE TABLE a (id INTEGER PRIMARY KEY);"
                            "CREATE TABLE b (a INTEGER REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED)");
  }));
  CHECK(db.write([](write_session& s) { return s.execute("INSERT INTO b VALUES (1)"); }).error() == db_errc::foreign_key_violation);
  CHECK(db.read([](read_session& s) { return s.query_one<int>("SELECT count(*) FROM b"); }).value() == 0);
  CHECK(db.write([](write_session& s) { return s.execute("INSERT INTO a VALUES (1)"); }).has_value());
}

TEST_CASE("sqlite.strict_tables_refuse_the_wrong_type") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x INTEGER) STRICT"); }));
  CHECK(db.write([](write_session& s) { return s.execute("INSERT INTO t VALUES ($1)", "text"); }).error() == db_errc::type_mismatch);
}

TEST_CASE("sqlite.a_statement_prepared_before_the_schema_changed_still_works") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  fill(db);
  const auto columns = [&] { return db.read([](read_session& s) { return s.query("SELECT * FROM t"); }).value().column_names(); };
  CHECK(columns() == std::vector<std::string>{"id", "v"});
  REQUIRE(db.write([](write_session& s) { return s.execute("ALTER TABLE t ADD COLUMN extra"); }));
  CHECK(columns() == std::vector<std::string>{"id", "v", "extra"});
}

TEST_CASE("sqlite.the_statement_cache_is_bounded_and_keeps_what_was_used_last") {
  const sqlite_fixture fixture;
  auto config = fixture.config();
  config.readers = 1;
  config.statement_cache = 2;
  auto db = open_sqlite(config).value();
  const auto ask = [&](std::string_view sql) { REQUIRE(db.read([&](read_session& s) { return s.query(sql); }).has_value()); };
  ask("SELECT 1");
  ask("SELECT 2");
  ask("SELECT 1");  // hit
  ask("SELECT 3");  // evicts 2
  ask("SELECT 1");  // hit
  ask("SELECT 2");  // miss, evicts 3
  const auto stats = db.stats();
  CHECK(stats.statement_cache_hits == 2);
  CHECK(stats.statement_cache_misses == 4);
  CHECK(stats.statement_cache_evictions == 2);
}

TEST_CASE("sqlite.another_process_that_writes_is_waited_for_within_the_deadline") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  fill(db);
  sqlite3* other{nullptr};
  REQUIRE(sqlite3_open(fixture.path().c_str(), &other) == SQLITE_OK);
  REQUIRE(sqlite3_exec(other, "BEGIN IMMEDIATE; INSERT INTO t (v) VALUES ('other')", nullptr, nullptr, nullptr) == SQLITE_OK);
  const auto insert = [](write_session& s) { return s.execute("INSERT INTO t (v) VALUES ('mine')"); };
  CHECK(db.write_for(insert, 20ms).error() == db_errc::timed_out);
  CHECK(db.read([](read_session& s) { return s.query("SELECT * FROM t"); }).value().size() == 3);
  REQUIRE(sqlite3_exec(other, "COMMIT", nullptr, nullptr, nullptr) == SQLITE_OK);
  CHECK(db.write(insert).has_value());
  CHECK(sqlite3_close(other) == SQLITE_OK);
}

TEST_CASE("sqlite.a_write_holds_the_lock_from_its_start") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  fill(db);
  sqlite3* other{nullptr};
  REQUIRE(sqlite3_open(fixture.path().c_str(), &other) == SQLITE_OK);
  // Else what it reads first could be outdated when it writes.
  CHECK(db.write([&](write_session&) { return sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr); }).value() == SQLITE_BUSY);
  CHECK(db.read([&](read_session&) { return sqlite3_exec(other, "BEGIN IMMEDIATE; COMMIT", nullptr, nullptr, nullptr); }).value() == SQLITE_OK);
  CHECK(sqlite3_close(other) == SQLITE_OK);
}

TEST_CASE("sqlite.a_begin_that_is_interrupted_leaves_no_transaction_behind") {
  const sqlite_fixture fixture;
  detail::sqlite_cache_counters counters;
  const auto connection = detail::sqlite_connection::open(fixture.config(), detail::session_kind::write, counters).value();
  const detail::statement_control calm;
  detail::statement_control given_up;
  given_up.cancelled = true;
  int interrupted{0};
  // SQLite asks every so many steps, wherever it is then: sometimes at the end of a BEGIN.
  for (int i = 0; i < 5'000; ++i) {
    if (const auto begun = connection->begin(given_up); !begun) {
      REQUIRE(begun.error() == db_errc::cancelled);
      ++interrupted;
      REQUIRE(connection->begin(calm).has_value());
    }
    connection->rollback();
  }
  CHECK(interrupted > 0);
}

TEST_CASE("sqlite.damage_in_the_file_is_reported_as_such") {
  const sqlite_fixture fixture;
  make_damaged(fixture);
  auto db = fixture.open();
  const auto read = db.read(sum_of_lengths);
  REQUIRE_FALSE(read.has_value());
  CHECK(read.error() == db_errc::corrupt);
  CHECK(read.error() == errc::internal);
}

TEST_CASE("sqlite.a_file_that_is_gone_is_not_replaced_by_an_empty_one") {
  const sqlite_fixture fixture;
  make_damaged(fixture);
  auto db = fixture.open();
  for (const auto* end : {"", "-wal", "-shm"}) std::filesystem::remove(fixture.path() + end);
  // The session that writes finds the damage, and another one opens the file again.
  CHECK(db.write([](write_session& s) { return sum_of_lengths(s); }).error() == db_errc::corrupt);
  CHECK(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x)"); }).error() == db_errc::cannot_open);
  CHECK_FALSE(std::filesystem::exists(fixture.path()));
}

TEST_CASE("sqlite.damage_found_while_a_statement_is_prepared_replaces_the_session") {
  const sqlite_fixture fixture;
  detail::sqlite_cache_counters counters;
  const auto connection = detail::sqlite_connection::open(fixture.config(), detail::session_kind::write, counters).value();
  sqlite3* other{nullptr};
  REQUIRE(sqlite3_open(fixture.path().c_str(), &other) == SQLITE_OK);
  REQUIRE(sqlite3_exec(other, "CREATE TABLE t (x); PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'nonsense'", nullptr, nullptr,
                       nullptr) == SQLITE_OK);
  CHECK(sqlite3_close(other) == SQLITE_OK);
  const detail::statement_control control;
  REQUIRE(connection->begin(control).has_value());
  const database_config config;
  detail::session_context context{*connection, control, config};
  auto session = context.session();
  CHECK(session.query("SELECT x FROM t").error() == db_errc::corrupt);  // reads the schema anew
  CHECK_FALSE(connection->usable());
  connection->rollback();
}
