// SPDX-License-Identifier: Apache-2.0
// Statements of many callers on few connections.
#include "postgres_fixture.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace spillway;
using namespace spillway::tests;
using namespace std::chrono_literals;
using boost::asio::use_future;

namespace {

std::int64_t answered(database& db) { return db.async_query(sql_query{"SELECT 7"}, 10s, use_future).get().value()[0].as<std::int64_t>(); }

}  // namespace

TEST_CASE("postgres_query.gives_rows_values_and_names_as_a_session_does") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  const auto rows = db.async_query(sql_query{"SELECT $1::int + 1 AS n, $2::text AS t, $3::bytea AS b", 41, "x", std::vector<std::byte>{std::byte{1}}}, 10s,
                                   use_future).get().value();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].get<int>("n") == 42);
  CHECK(rows[0].get<std::string>("t") == "x");
  CHECK(rows[0].get<std::vector<std::byte>>("b") == std::vector<std::byte>{std::byte{1}});
  const auto none = db.async_query(sql_query{"SELECT 1 AS x WHERE false"}, 10s, use_future).get().value();
  CHECK(none.empty());
  CHECK(none.column_names() == std::vector<std::string>{"x"});
}

TEST_CASE("postgres_query.many_coroutines_share_a_few_connections") {
  const postgres_fixture fixture;
  fixture.sql("CREATE TABLE t AS SELECT i, 'row ' || i AS name FROM generate_series(1, 1000) AS i");
  auto config = fixture.config();
  config.query_connections = 2;
  auto db = open_postgres(config).value();
  boost::asio::io_context context;
  int right{0};
  const auto ask = [&db, &right](int worker) -> boost::asio::awaitable<void> {
    for (int i = 0; i < 50; ++i) {
      const int id = (worker * 53 + i * 17) % 1'000 + 1;
      const sql_query name_of{"SELECT name FROM t WHERE i = $1", id};
      const auto rows = co_await db.async_query(name_of, 20s, boost::asio::use_awaitable);
      if (rows.value()[0].get<std::string>(0) == "row " + std::to_string(id)) ++right;
    }
  };
  for (int worker = 0; worker < 64; ++worker) boost::asio::co_spawn(context, ask(worker), boost::asio::detached);
  context.run();
  CHECK(right == 64 * 50);
  // One of them is the one that asks.
  CHECK(fixture.value("SELECT count(*) <= 2 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT name%'") == "t");
}

TEST_CASE("postgres_query.what_fails_for_one_fails_for_nobody_else") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.query_connections = 1;
  auto db = open_postgres(config).value();
  std::vector<std::future<result<row_set, db_error>>> good;
  std::vector<std::future<result<row_set, db_error>>> bad;
  for (int i = 0; i < 300; ++i) {
    good.push_back(db.async_query(sql_query{"SELECT $1::int", i}, 20s, use_future));
    if (i % 3 == 0) bad.push_back(db.async_query(sql_query{"SELECT 1 / $1::int", 0}, 20s, use_future));
    if (i % 3 == 1) bad.push_back(db.async_query(sql_query{"SELECT * FROM nowhere_" + std::to_string(i)}, 20s, use_future));
    if (i % 3 == 2) bad.push_back(db.async_query(sql_query{"DELETE FROM pg_class"}, 20s, use_future));
  }
  for (int i = 0; i < 300; ++i) CHECK(good[static_cast<std::size_t>(i)].get().value()[0].as<int>() == i);
  for (auto& each : bad) {
    const auto error = each.get().error();
    const auto code = error.code();
    INFO(error.what());
    const bool expected = code == make_error_code(db_errc::type_mismatch) || code == make_error_code(db_errc::no_such_object) ||
                          code == make_error_code(db_errc::read_only) || code == make_error_code(db_errc::permission_denied);
    CHECK(expected);
  }
}

TEST_CASE("postgres_query.refuses_what_a_session_refuses") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  const auto code_of = [&](sql_query query) { return db.async_query(std::move(query), 10s, use_future).get().error().code(); };
  CHECK(code_of(sql_query{"SELECT $1", sql_parameters{}}) == make_error_code(db_errc::wrong_parameters));
  CHECK(code_of(sql_query{"SELECT 1; SELECT 2"}) == make_error_code(db_errc::multiple_statements));
  CHECK(code_of(sql_query{"COMMIT"}) == make_error_code(db_errc::not_allowed));
  CHECK(code_of(sql_query{""}) == make_error_code(db_errc::syntax_error));
  CHECK(code_of(sql_query{"SELECT $1::float8", std::numeric_limits<double>::quiet_NaN()}) == make_error_code(db_errc::type_mismatch));
}

TEST_CASE("postgres_query.a_result_beyond_the_configured_size_is_refused") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.database.max_result_bytes = 64U << 10U;
  auto db = open_postgres(config).value();
  const sql_query large{"SELECT repeat('x', 1000) FROM generate_series(1, 5000)"};
  CHECK(db.async_query(large, 20s, use_future).get().error() == db_errc::result_too_large);
  CHECK(answered(db) == 7);
}

TEST_CASE("postgres_query.a_result_that_is_far_too_large_is_refused_at_once_and_not_read_to_its_end") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.query_connections = 1;
  config.database.max_result_bytes = 64U << 10U;
  auto db = open_postgres(config).value();
  const sql_query endless{"SELECT generate_series(1, 1000000000000), repeat('x', 1000)"};
  CHECK(db.async_query(endless, 60s, use_future).get().error() == db_errc::result_too_large);
  CHECK(answered(db) == 7);
}

TEST_CASE("postgres_query.who_is_late_is_told_in_time_and_the_server_stops_working_for_him") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.query_connections = 1;
  auto db = open_postgres(config).value();
  CHECK(answered(db) == 7);
  auto late = db.async_query(sql_query{"SELECT pg_sleep(600)"}, 30ms, use_future);
  auto behind = db.async_query(sql_query{"SELECT 8"}, 20s, use_future);  // on the same connection, behind it
  CHECK(late.get().error() == db_errc::timed_out);
  CHECK(behind.get().value()[0].as<int>() == 8);
  CHECK(fixture.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND state = 'active' AND pid <> pg_backend_pid()") == "0");
}

TEST_CASE("postgres_query.a_cancelled_one_ends_at_once") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  CHECK(answered(db) == 7);
  boost::asio::cancellation_signal signal;
  boost::asio::thread_pool caller{1};  // where the signal belongs to: there alone it is emitted, and let go of
  std::promise<db_error> done;
  db.async_query(sql_query{"SELECT pg_sleep(600)"}, 600s,
                 boost::asio::bind_cancellation_slot(
                     signal.slot(), boost::asio::bind_executor(caller, [&](result<row_set, db_error> rows) { done.set_value(rows.error()); })));
  boost::asio::post(caller, [&] { signal.emit(boost::asio::cancellation_type::terminal); });
  CHECK(done.get_future().get() == db_errc::cancelled);
  caller.join();
  CHECK(answered(db) == 7);
}

TEST_CASE("postgres_query.lost_connections_are_replaced_and_nobody_notices") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.query_connections = 2;
  auto db = open_postgres(config).value();
  for (int round = 0; round < 5; ++round) {
    std::vector<std::future<result<row_set, db_error>>> asked;
    for (int i = 0; i < 100; ++i) asked.push_back(db.async_query(sql_query{"SELECT $1::int, pg_sleep(0.0005)", i}, 30s, use_future));
    fixture.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
    for (int i = 0; i < 100; ++i) CHECK(asked[static_cast<std::size_t>(i)].get().value()[0].get<int>(0) == i);
  }
}

TEST_CASE("postgres_query.a_change_of_the_schema_heals_by_itself") {
  const postgres_fixture fixture;
  fixture.sql("CREATE TABLE t AS SELECT 1 AS a");
  auto config = fixture.config();
  config.query_connections = 1;
  auto db = open_postgres(config).value();
  const sql_query all{"SELECT * FROM t"};
  CHECK(db.async_query(all, 20s, use_future).get().value()[0].size() == 1);
  fixture.sql("ALTER TABLE t ADD COLUMN b int DEFAULT 2");
  std::vector<std::future<result<row_set, db_error>>> asked;
  for (int i = 0; i < 20; ++i) asked.push_back(db.async_query(all, 20s, use_future));
  for (auto& each : asked) CHECK(each.get().value()[0].size() == 2);
}

TEST_CASE("postgres_query.a_column_of_another_type_heals_by_itself") {
  const postgres_fixture fixture;
  fixture.sql("CREATE TABLE t AS SELECT 1 AS a");
  auto config = fixture.config();
  config.query_connections = 2;
  auto db = open_postgres(config).value();
  const auto count = [&](std::int64_t a) { return db.async_query(sql_query{"SELECT count(*) FROM t WHERE a = $1", a}, 20s, use_future); };
  for (int i = 0; i < 8; ++i) CHECK(count(1).get().has_value());
  const std::int64_t large{5'000'000'000};
  CHECK(count(large).get().error() == db_errc::type_mismatch);
  fixture.sql("ALTER TABLE t ALTER a TYPE bigint; INSERT INTO t VALUES (5000000000)");
  std::vector<std::future<result<row_set, db_error>>> asked;
  for (int i = 0; i < 20; ++i) asked.push_back(count(large));
  for (auto& each : asked) CHECK(each.get().value()[0].get<int>(0) == 1);
}

TEST_CASE("postgres_query.what_a_session_has_found_outdated_is_prepared_anew_here_too") {
  const postgres_fixture fixture;
  fixture.sql("CREATE TABLE t AS SELECT 1 AS a");
  auto config = fixture.config();
  config.query_connections = 1;
  config.writers = 1;
  auto db = open_postgres(config).value();
  CHECK(answered(db) == 7);
  const auto columns = [](write_session& s) {
    s.query("SELECT 1").value();
    return s.query("SELECT * FROM t").value().column_names().size();
  };
  CHECK(db.write(columns).value() == 1);
  fixture.sql("ALTER TABLE t ADD COLUMN b int");
  CHECK(db.write(columns).error() == db_errc::stale_statement);
  for (int i = 0; i < 3; ++i) CHECK(answered(db) == 7);
}

TEST_CASE("postgres_query.statements_that_the_server_has_forgotten_are_prepared_again") {
  const postgres_fixture fixture;
  fixture.sql("CREATE FUNCTION run(text) RETURNS int LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; RETURN 1; END'");
  auto config = fixture.config();
  config.query_connections = 1;
  auto db = open_postgres(config).value();
  for (int round = 0; round < 20; ++round) {
    CHECK(answered(db) == 7);
    std::vector<std::future<result<row_set, db_error>>> asked;
    auto forgotten = db.async_query(sql_query{"SELECT run('DEALLOCATE ALL')"}, 20s, use_future);
    for (int i = 0; i < 40; ++i) {  // those behind the first find out at different times
      asked.push_back(db.async_query(sql_query{"SELECT 7"}, 20s, use_future));
      (void)db.async_query(sql_query{"SELECT pg_sleep(0.0005)"}, 20s, use_future);
    }
    CHECK(forgotten.get().has_value());
    for (auto& each : asked) {
      const auto rows = each.get();
      CHECK_MESSAGE(rows.has_value(), (rows ? std::string{} : rows.error().what()));
    }
  }
}

TEST_CASE("postgres_query.a_name_that_the_server_knows_for_something_else_is_taken_back") {
  const postgres_fixture fixture;
  fixture.sql("CREATE FUNCTION run(text) RETURNS int LANGUAGE plpgsql AS 'BEGIN EXECUTE $1; RETURN 1; END'");
  auto config = fixture.config();
  config.query_connections = 1;
  auto knows = open_postgres(config).value();
  auto db = open_postgres(config).value();
  CHECK(answered(knows) == 7);
  const sql_query names{"SELECT name FROM pg_prepared_statements WHERE statement = 'SELECT 7'"};
  const auto name = knows.async_query(names, 10s, use_future).get().value()[0].as<std::string>();
  CHECK(db.async_query(sql_query{"SELECT run($1)", "PREPARE " + name + " AS SELECT 8"}, 10s, use_future).get().has_value());
  for (int i = 0; i < 3; ++i) CHECK(answered(db) == 7);
}

TEST_CASE("postgres_query.what_a_handler_throws_is_logged_and_goes_no_further") {
  const postgres_fixture fixture;
  std::mutex mutex;
  std::vector<std::string> logged;
  auto config = fixture.config();
  config.database.log = [&](const log_event& event) {
    const std::scoped_lock lock{mutex};
    logged.emplace_back(event.message);
  };
  auto db = open_postgres(config).value();
  db.async_query(sql_query{"SELECT 1"}, 10s, [](const result<row_set, db_error>&) { throw std::runtime_error{"mine"}; });
  wait_until([&] {
    const std::scoped_lock lock{mutex};
    return !logged.empty();
  });
  CHECK(logged == std::vector<std::string>{"a handler threw"});
  CHECK(answered(db) == 7);
}

TEST_CASE("postgres_query.a_handler_without_an_executor_must_not_wait_for_its_database_and_may_end_it") {
  const postgres_fixture fixture;
  std::optional<database> db{fixture.open()};
  std::promise<void> done;
  db->async_query(sql_query{"SELECT 1"}, 10s, [&](const result<row_set, db_error>&) {
    CHECK(db->read([](read_session& s) { return s.query("SELECT 1"); }).error() == db_errc::would_deadlock);
    CHECK(db->query(sql_query{"SELECT 1"}).error() == db_errc::would_deadlock);
    CHECK(db->close().error() == db_errc::would_deadlock);
    db.reset();  // closed on a thread made for that
    done.set_value();
  });
  done.get_future().get();
  wait_until([&] { return fixture.sessions() == 0; });
}

TEST_CASE("postgres_query.a_handler_without_an_executor_is_called_after_closing_too") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  CHECK(answered(db) == 7);
  CHECK(db.close().has_value());
  std::promise<db_error> told;
  db.async_query(sql_query{"SELECT 1"}, 10s, [&](const result<row_set, db_error>& rows) { told.set_value(rows.error()); });
  auto error = told.get_future();
  REQUIRE(error.wait_for(20s) == std::future_status::ready);
  CHECK(error.get() == db_errc::shutting_down);
}

TEST_CASE("postgres_query.closing_answers_what_is_under_way_and_refuses_what_comes") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  std::vector<std::future<result<row_set, db_error>>> asked;
  for (int i = 0; i < 50; ++i) asked.push_back(db.async_query(sql_query{"SELECT pg_sleep(0.002)"}, 20s, use_future));
  CHECK(db.close().has_value());
  for (auto& each : asked) CHECK(each.get().has_value());
  CHECK(db.async_query(sql_query{"SELECT 1"}, 20s, use_future).get().error() == db_errc::shutting_down);
}

TEST_CASE("postgres_query.closing_ends_though_another_connection_is_being_made") {
  const postgres_fixture fixture;
  for (int round = 0; round < 100; ++round) {
    auto db = fixture.open();
    std::vector<std::future<result<row_set, db_error>>> asked;
    for (int i = 0; i < 10; ++i) asked.push_back(db.async_query(sql_query{"SELECT 1"}, 20s, use_future));
    for (auto& each : asked) CHECK(each.get().has_value());
    std::this_thread::sleep_for(std::chrono::microseconds{round * 50});
    CHECK(db.close().has_value());
  }
}

TEST_CASE("postgres_query.a_blocking_one_takes_one_round_trip_and_no_transaction") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  const sql_query state{"SELECT pg_current_xact_id_if_assigned() IS NULL, now() = statement_timestamp(), current_setting('transaction_read_only')"};
  for (int i = 0; i < 3; ++i) {
    const auto rows = db.query(state).value();
    CHECK(rows[0].get<bool>(0));
    CHECK(rows[0].get<std::string>(2) == "on");
  }
  CHECK(db.query(sql_query{"CREATE TABLE t (x int)"}).error() == db_errc::read_only);
  CHECK(db.query(sql_query{"SELECT 1 / 0"}).error() == db_errc::type_mismatch);
  CHECK(db.query(sql_query{"SELECT pg_sleep(600)"}, 20ms).error() == db_errc::timed_out);
  CHECK(db.query(sql_query{"SELECT 5"}).value()[0].as<int>() == 5);  // the session is as good as before
  CHECK(db.read([](read_session& s) { return s.query_one<int>("SELECT 6"); }).value() == 6);
}

TEST_CASE("postgres_query.the_shared_connections_may_live_on_an_executor_of_the_program") {
  const postgres_fixture fixture;
  boost::asio::io_context context{1};
  auto config = fixture.config();
  config.query_executor = context.get_executor();
  std::optional<database> db{open_postgres(config).value()};
  int answered{0};
  std::thread::id where;
  for (int i = 0; i < 100; ++i) {
    db->async_query(sql_query{"SELECT $1::int", i}, 10s, [&, i](result<row_set, db_error> rows) {
      CHECK(rows.value()[0].get<int>(0) == i);
      where = std::this_thread::get_id();
      if (++answered == 100) context.stop();
    });
  }
  CHECK(answered == 0);  // nobody has run it
  context.run();
  CHECK(answered == 100);
  CHECK(where == std::this_thread::get_id());
  // What is under way when the database is closed is answered all the same.
  bool last{false};
  db->async_query(sql_query{"SELECT 1"}, 10s, [&](result<row_set, db_error> rows) { last = rows.has_value(); });
  CHECK(db->close().has_value());
  db.reset();
  context.restart();
  context.run();
  CHECK(last);
}
