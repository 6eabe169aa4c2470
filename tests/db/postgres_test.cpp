// SPDX-License-Identifier: Apache-2.0
// What is PostgreSQL's own beside the conformance suite.
#include "db/postgres_fixture.hpp"
#include "db/session_call.hpp"
#include "db/support/tcp_relay.hpp"

#include "db/backends/postgres/pg_driver.hpp"

#include <spillway/db/migrate.hpp>
#include <spillway/db/postgres.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using tests::one;
using tests::postgres_fixture;

namespace {

int pid_of(database& db, bool writer) {
  const auto ask = [](read_session& s) { return s.query_one<int>("SELECT pg_backend_pid()").value().value(); };
  return writer ? db.write(ask).value() : db.read(ask).value();
}

bool copy_out_sleep(database& db) {
  return db.read([](read_session& s) {
    return copy_out(s, "COPY (SELECT pg_sleep(0.1)) TO STDOUT", [](std::string_view) { return true; });
  }).has_value();
}

std::size_t resident_kib() {
  std::ifstream status{"/proc/self/status"};
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
  }
  return 0;
}

}  // namespace

TEST_CASE("postgres.columns_are_read_by_their_type") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  db.read([](read_session& s) {
    const auto rows = s.query("SELECT 1::smallint, 2::int, 3::bigint, 4::oid, true, false, 1.5::real, 0.1::float8, 12::numeric, 1.50::numeric, "
                              "99999999999999999999::numeric, 'x'::text, '{\"a\": 1}'::jsonb, '{1,2}'::int[], '2026-01-02 03:04:05'::timestamp, "
                              "'\\x00ff'::bytea, 'Infinity'::float8, 'NaN'::float8, '-Infinity'::real, 'NaN'::numeric, ''::bytea").value();
    const auto row = rows[0];
    CHECK(row.get<int>(0) == 1);
    CHECK(row.get<int>(1) == 2);
    CHECK(row.get<int>(2) == 3);
    CHECK(row.get<int>(3) == 4);
    CHECK(row.get<bool>(4));
    CHECK_FALSE(row.get<bool>(5));
    CHECK(row.get<double>(6) == 1.5);
    CHECK(row.get<double>(7) == 0.1);
    CHECK(row.value(8).type() == sql_type::integer);
    CHECK(row.value(9).type() == sql_type::real);
    CHECK(row.get<double>(10) == 1e20);
    CHECK(row.get<std::string>(11) == "x");
    CHECK(row.get<std::string>(12) == "{\"a\": 1}");
    CHECK(row.get<std::string>(13) == "{1,2}");
    CHECK(row.get<std::string>(14) == "2026-01-02 03:04:05");
    CHECK(row.get<std::vector<std::byte>>(15) == std::vector{std::byte{0}, std::byte{255}});
    CHECK(std::isinf(row.get<double>(16)));
    CHECK(std::isnan(row.get<double>(17)));
    CHECK(row.get<double>(18) < 0);
    CHECK(std::isnan(row.get<double>(19)));
    CHECK(row.get<std::vector<std::byte>>(20).empty());
    return rows;
  }).value();
}

TEST_CASE("postgres.an_integer_parameter_goes_into_any_column_that_takes_it") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  CHECK(db.write([](write_session& s) {
    s.execute("CREATE TABLE t (a smallint, b bigint, c boolean, d numeric, e real, f jsonb, g text, h date)").value();
    s.execute("INSERT INTO t VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", 1, 2, true, 4, 5, 6, 7, "2026-01-01").value();
    return s.query_one<std::string>("SELECT t::text FROM t").value().value();
  }).value() == "(1,2,t,4,5,6,7,2026-01-01)");
  CHECK(db.write([](write_session& s) { return s.execute("INSERT INTO t (a) VALUES ($1)", 100'000); }).error() == db_errc::type_mismatch);
  CHECK(db.write([](write_session& s) { return s.execute("INSERT INTO t (a) VALUES ($1)", "x"); }).error() == db_errc::type_mismatch);
}

TEST_CASE("postgres.an_infinite_parameter_is_kept") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  CHECK(db.read([](read_session& s) { return s.query_one<double>("SELECT $1::float8", std::numeric_limits<double>::infinity()); }).value() ==
        std::numeric_limits<double>::infinity());
}

TEST_CASE("postgres.errors_carry_the_sqlstate_and_no_values") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x text PRIMARY KEY)"); }));
  const auto insert = [](write_session& s) { return s.execute("INSERT INTO t VALUES ($1)", "secret"); };
  REQUIRE(db.write(insert));
  const auto failed = db.write(insert).error();
  CHECK(failed == db_errc::unique_violation);
  CHECK(sqlstate_of(failed) == "23505");
  CHECK(failed.message() == "duplicate key value violates unique constraint \"t_pkey\" (23505)");
  CHECK(failed.sql() == "INSERT INTO t VALUES ($1)");
  CHECK(failed.what().find("secret") == std::string::npos);
}

TEST_CASE("postgres.after_a_failure_the_first_cause_is_told_until_the_end") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  const auto done = db.write([](write_session& s) {
    s.execute("CREATE TABLE t (x int)").value();
    CHECK(s.query("SELECT * FROM nowhere").error() == db_errc::no_such_object);
    const auto later = s.query("SELECT 1");
    REQUIRE_FALSE(later.has_value());
    CHECK(later.error() == db_errc::no_such_object);
    CHECK(later.error().sql() == "SELECT * FROM nowhere");
    CHECK(s.execute_script("SELECT 1").error() == db_errc::no_such_object);
  });
  CHECK(done.error() == db_errc::no_such_object);
  CHECK(fixture.value("SELECT count(*) FROM pg_class WHERE relname = 't'") == "0");
}

TEST_CASE("postgres.what_is_refused_before_it_is_sent_leaves_the_transaction_whole") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  CHECK(db.write([](write_session& s) {
    s.execute("CREATE TABLE t (x int)").value();
    CHECK(s.execute("INSERT INTO t VALUES ($1)").error() == db_errc::wrong_parameters);
    CHECK(s.execute("SET search_path = x").error() == db_errc::not_allowed);
    CHECK(s.execute("COPY t FROM STDIN").error() == db_errc::not_allowed);
    CHECK(s.execute("COMMIT").error() == db_errc::not_allowed);
    return s.execute("INSERT INTO t VALUES ($1)", 1);
  }).value() == 1);
  CHECK(fixture.value("SELECT count(*) FROM t") == "1");
}

TEST_CASE("postgres.a_savepoint_heals_a_failure") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  CHECK(db.write([](write_session& s) {
    s.execute("CREATE TABLE t (x int PRIMARY KEY)").value();
    s.execute("SAVEPOINT a").value();
    s.stream("SELECT 1", {}, [](row_view) {}).value();  // its cursor is gone with the savepoint
    s.execute("INSERT INTO t VALUES (1)").value();
    CHECK(s.execute("INSERT INTO t VALUES (1)").error() == db_errc::unique_violation);
    CHECK(s.execute("RELEASE a").error() == db_errc::unique_violation);
    s.execute("ROLLBACK TO a").value();
    s.stream("SELECT 1", {}, [](row_view) {}).value();
    s.execute("INSERT INTO t VALUES (2)").value();
    return s.execute("RELEASE SAVEPOINT a").has_value();
  }).value());
  CHECK(fixture.value("SELECT x FROM t") == "2");
}

TEST_CASE("postgres.a_read_cannot_make_itself_a_write") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x int)"); }));
  const auto code = [&](std::string_view sql) { return db.read([&](read_session& s) { return s.query(sql); }).error().code(); };
  CHECK(code("SET TRANSACTION READ WRITE") == make_error_code(db_errc::not_allowed));
  CHECK(code("SET LOCAL transaction_read_only = off") == make_error_code(db_errc::not_allowed));
  CHECK(code("SELECT set_config('transaction_read_only', 'off', true)") != error_code{});
  CHECK(code("WITH a AS (INSERT INTO t VALUES (1) RETURNING x) SELECT * FROM a") == make_error_code(db_errc::read_only));
  CHECK(code("SELECT nextval('nowhere')") == make_error_code(db_errc::no_such_object));
  CHECK(fixture.value("SELECT count(*) FROM t") == "0");
}

TEST_CASE("postgres.a_read_sees_one_snapshot_and_a_write_the_newest_of_each_statement") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x int)"); }));
  const auto count = [](read_session& s) { return s.query_one<int>("SELECT count(*) FROM t").value().value(); };
  const auto count_twice = [&](read_session& s) {
    const int first = count(s);
    fixture.sql("INSERT INTO t VALUES (1)");
    return std::pair{first, count(s)};
  };
  CHECK(db.read(count_twice).value() == std::pair{0, 0});
  CHECK(db.write(count_twice).value() == std::pair{1, 2});
}

TEST_CASE("postgres.a_transaction_of_one_statement_takes_two_round_trips_and_a_read_one") {
  const postgres_fixture fixture;
  tests::tcp_relay relay{fixture.place.cluster.port()};
  auto config = fixture.config();
  config.url = "postgresql://spillway@127.0.0.1:" + std::to_string(relay.port()) + "/" + fixture.place.name + "?sslmode=disable";
  config.readers = 1;
  config.writers = 1;
  auto db = open_postgres(config).value();
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x int)"); }));
  const auto write = [&] { REQUIRE(db.write([](write_session& s) { return s.execute("INSERT INTO t VALUES ($1)", 1); })); };
  const auto read = [&] { REQUIRE(db.read([](read_session& s) { return s.query("SELECT count(*) FROM t WHERE x = $1", 1); }).has_value()); };
  const auto turns_of = [&](auto&& work) {
    const auto before = relay.turns();
    work();
    return relay.turns() - before;
  };
  CHECK(turns_of(write) <= 2);  // with the first use of the statement, and of the timeout
  CHECK(turns_of(write) == 2);
  CHECK(turns_of([&] { REQUIRE(db.write([](write_session&) {})); }) == 0);
  read();
  // The COMMIT goes out by itself and may look like a turn of its own; nobody waits for it.
  const auto ten_reads = turns_of([&] {
    for (int i = 0; i < 10; ++i) read();
  });
  CHECK(ten_reads <= 20);
  CHECK(ten_reads >= 9);  // the first may go out together with the COMMIT before it
}

TEST_CASE("postgres.killed_idle_sessions_fail_no_query") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.readers = 8;
  auto db = open_postgres(config).value();
  const auto failures_in = [&](int queries) {
    std::atomic<int> failed{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < queries / 4; ++i) {
          if (const auto done = db.read([&](read_session& s) { return s.query_one<int>("SELECT $1::int", i); }); !done || *done != i) ++failed;
        }
      });
    }
    for (auto& thread : threads) thread.join();
    return failed.load();
  };
  CHECK(failures_in(400) == 0);
  CHECK(fixture.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'spillway'").size() == 10);
  CHECK(failures_in(10'000) == 0);
  // And without giving the ends of the connections time to arrive.
  for (int round = 0; round < 20; ++round) {
    fixture.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'spillway'");
    CHECK(failures_in(40) == 0);
    CHECK(db.write([](write_session& s) { return s.query_one<int>("SELECT 1"); }).value() == 1);
  }
}

TEST_CASE("postgres.a_session_killed_in_the_middle_is_told_and_replaced") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  const auto failed = db.write([&](write_session& s) {
    const int pid = s.query_one<int>("SELECT pg_backend_pid()").value().value();
    fixture.sql("SELECT pg_terminate_backend(" + std::to_string(pid) + ", 5000)");
    return s.query("SELECT 1");
  });
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.error() == db_errc::connection_lost);
  CHECK(failed.error() == errc::unavailable);
  CHECK(db.write([](write_session& s) { return s.query_one<int>("SELECT 1"); }).value() == 1);
}

TEST_CASE("postgres.a_session_killed_before_the_commit_has_not_committed") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x int)"); }));
  const auto done = db.write([&](write_session& s) {
    s.execute("INSERT INTO t VALUES (1)").value();
    fixture.sql("SELECT pg_terminate_backend(" + std::to_string(s.query_one<int>("SELECT pg_backend_pid()").value().value()) + ", 5000)");
  });
  CHECK(done.error() == db_errc::connection_lost);
  CHECK(fixture.value("SELECT count(*) FROM t") == "0");
}

TEST_CASE("postgres.a_connection_cut_during_the_commit_leaves_it_unknown_and_the_id_resolves_it") {
  const postgres_fixture fixture;
  tests::tcp_relay relay{fixture.place.cluster.port()};
  auto config = fixture.config();
  config.url = "postgresql://spillway@127.0.0.1:" + std::to_string(relay.port()) + "/" + fixture.place.name + "?sslmode=disable";
  fixture.sql("CREATE TABLE t (x int)");
  detail::pg_driver driver{config};
  for (const bool server_hears : {true, false}) {
    const auto opened = driver.open(detail::session_kind::write, deadline::never()).value().release();
    const std::unique_ptr<detail::pg_connection> connection{static_cast<detail::pg_connection*>(opened)};
    detail::statement_control control{deadline::after(std::chrono::steady_clock::now(), 10s)};
    control.transaction.wants_id = true;
    REQUIRE(connection->begin(control));
    class nothing final : public detail::row_sink {
      bool row_added(detail::row_data&) override { return true; }
    } sink;
    detail::row_data rows;
    REQUIRE(connection->run("INSERT INTO t VALUES (1)", {}, rows, sink));
    relay.cut_at("COMMIT", server_hears);
    const auto done = connection->commit();
    REQUIRE_FALSE(done);
    CHECK(done.error() == db_errc::commit_unknown);
    CHECK_FALSE(connection->usable());
    REQUIRE(connection->transaction_id());
    const auto id = connection->transaction_id()->substr(0, connection->transaction_id()->find('-'));
    tests::wait_until([&] { return fixture.value("SELECT pg_xact_status('" + id + "')") != "in progress"; });
    CHECK(fixture.value("SELECT pg_xact_status('" + id + "')") == (server_hears ? "committed" : "aborted"));
    detail::transaction_end end{db_errc::commit_unknown};
    driver.resolve(*connection, end, deadline::after(std::chrono::steady_clock::now(), 10s));
    CHECK(end.failure.failed() == !server_hears);
    if (!server_hears) CHECK(end.failure == db_errc::connection_lost);
  }
  CHECK(fixture.value("SELECT count(*) FROM t") == "1");
}

TEST_CASE("postgres.a_commit_that_fails_early_leaves_no_transaction_behind") {
  const postgres_fixture fixture;
  tests::tcp_relay relay{fixture.place.cluster.port()};
  auto config = fixture.config();
  config.url = "postgresql://spillway@127.0.0.1:" + std::to_string(relay.port()) + "/" + fixture.place.name + "?sslmode=disable";
  detail::pg_driver driver{config};
  detail::dropped_rows sink;
  detail::row_data rows;
  detail::statement_control control{deadline::never()};
  const auto try_once = [&](detail::db_connection& connection) -> result<void, db_error> {
    if (const auto begun = connection.begin(control); !begun) return begun.error();
    if (const auto run = connection.run("SELECT 1", {}, rows, sink); !run) return run.error();
    return connection.commit();
  };
  SUBCASE("of a write, at what goes before it") {
    auto writer = driver.open(detail::session_kind::write, deadline::never()).value();
    control.transaction.wants_position = true;
    relay.mishear("SHOW synchronous_commit", "SHOW synchronous_nobody");
    CHECK(try_once(*writer).error() == db_errc::no_such_object);
    CHECK(writer->usable());
    CHECK(try_once(*writer).has_value());
  }
  SUBCASE("of a read, which nobody has waited for") {
    auto reader = driver.open(detail::session_kind::read, deadline::never()).value();
    const auto spoil = [&] {
      relay.mishear("COMMIT", "COMM_T");
      CHECK(try_once(*reader).has_value());
    };
    spoil();
    CHECK(try_once(*reader).has_value());
    spoil();
    control.transaction.single = true;
    CHECK(try_once(*reader).has_value());
    control.transaction.single = false;
    spoil();
    auto& postgres = static_cast<detail::pg_connection&>(*reader);
    REQUIRE(reader->begin(control));
    CHECK(postgres.copy_out("COPY (SELECT 1) TO STDOUT", [](std::string_view) { return true; }).value() == 1);
    REQUIRE(reader->commit());
    spoil();
    CHECK(postgres.replay_position(deadline::never()).has_value());
    CHECK(try_once(*reader).has_value());
  }
}

TEST_CASE("postgres.the_position_of_a_commit_comes_with_it") {
  const postgres_fixture fixture;
  fixture.sql("CREATE TABLE t (x int)");
  detail::pg_driver driver{fixture.config()};
  auto opened = driver.open(detail::session_kind::write, deadline::never()).value();
  auto& connection = static_cast<detail::pg_connection&>(*opened);
  class nothing final : public detail::row_sink {
    bool row_added(detail::row_data&) override { return true; }
  } sink;
  detail::row_data rows;
  const auto position_of = [&](std::string_view sql) {
    const auto before = std::stoull(fixture.value("SELECT pg_current_wal_lsn() - '0/0'"));
    detail::statement_control control{deadline::after(std::chrono::steady_clock::now(), 10s)};
    control.transaction.wants_position = true;
    REQUIRE(connection.begin(control));
    REQUIRE(connection.run_script(sql));
    REQUIRE(connection.commit());
    REQUIRE(connection.position());
    CHECK(connection.position()->lsn > before);
    return *connection.position();
  };
  CHECK(position_of("INSERT INTO t VALUES (1)").flushed);
  CHECK_FALSE(position_of("SET LOCAL synchronous_commit = off; INSERT INTO t VALUES (1)").flushed);
  const detail::statement_control plain{deadline::never()};
  REQUIRE(connection.begin(plain));
  REQUIRE(connection.run("INSERT INTO t VALUES (1)", {}, rows, sink));
  REQUIRE(connection.commit());
  CHECK_FALSE(connection.position());
}

TEST_CASE("postgres.transactions_that_run_into_each_other_are_told_apart") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute_script("CREATE TABLE t (id int PRIMARY KEY, x int); INSERT INTO t VALUES (1, 0), (2, 0)"); }));
  const auto add = [](write_session& s, int id) { s.execute("UPDATE t SET x = x + 1 WHERE id = $1", id).value(); };

  SUBCASE("a deadlock") {
    std::atomic<int> first_done{0};
    const auto both = [&](int one_id, int other_id) {
      return db.write([&, one_id, other_id](write_session& s) {
        s.execute("SET LOCAL deadlock_timeout = '10ms'").value();
        add(s, one_id);
        ++first_done;
        while (first_done < 2) std::this_thread::yield();
        add(s, other_id);
      });
    };
    std::optional<result<void, db_error>> other;
    std::thread thread{[&] { other.emplace(both(2, 1)); }};
    const auto mine = both(1, 2);
    thread.join();
    CHECK(mine.has_value() != other->has_value());
    CHECK((mine ? other->error() : mine.error()) == db_errc::deadlock_detected);
  }
  SUBCASE("a lock that is not given") {
    const auto waits = [&] {
      return db.write([&](write_session& s) {
        s.execute("SET LOCAL lock_timeout = '20ms'").value();
        add(s, 1);
      });
    };
    std::optional<result<void, db_error>> other;
    REQUIRE(db.write([&](write_session& s) {
      add(s, 1);
      std::thread thread{[&] { other.emplace(waits()); }};
      thread.join();
    }));
    CHECK(other->error() == db_errc::busy);
    CHECK(sqlstate_of(other->error()) == "55P03");
  }
  SUBCASE("two that cannot be put in order") {
    detail::pg_driver driver{fixture.config()};
    auto opened = driver.open(detail::session_kind::write, deadline::never()).value();
    detail::statement_control control{deadline::never()};
    control.transaction.isolation = tx_isolation::repeatable_read;
    REQUIRE(opened->begin(control));
    REQUIRE(opened->run_script("SELECT * FROM t"));
    REQUIRE(db.write([&](write_session& s) { add(s, 1); }));
    const auto failed = opened->run_script("UPDATE t SET x = 9 WHERE id = 1");
    CHECK(failed.error() == db_errc::serialization_failure);
    CHECK(opened->commit().error() == db_errc::serialization_failure);
    CHECK(opened->usable());
  }
}

TEST_CASE("postgres.a_statement_timeout_of_the_callers_own_is_timed_out_and_a_cancel_by_somebody_else_cancelled") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  const auto timed = db.write([](write_session& s) {
    s.execute("SET LOCAL statement_timeout = 10").value();
    return s.query("SELECT pg_sleep(10)");
  });
  CHECK(timed.error() == db_errc::timed_out);
  std::thread somebody{[&] {
    tests::wait_until([&] {
      return !fixture.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(11)' AND "
                          "application_name = 'spillway' AND state = 'active'").empty();
    });
  }};
  const auto cancelled = db.write([](write_session& s) { return s.query("SELECT pg_sleep(11)"); });
  somebody.join();
  CHECK(cancelled.error() == db_errc::cancelled);
}

TEST_CASE("postgres.an_endless_stream_can_be_ended_and_the_transaction_goes_on") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  const auto done = db.read([](read_session& s) {
    int seen{0};
    s.stream("SELECT generate_series(1, 1000000000000)", {}, [&](row_view) { return ++seen < 1'000; }).value();
    CHECK(seen == 1'000);
    return s.query_one<int>("SELECT 5").value().value();
  });
  CHECK(done.value() == 5);
}

TEST_CASE("postgres.a_query_that_is_too_large_fails_and_its_session_goes_on") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.readers = 1;
  config.database.max_result_bytes = 64U << 10U;
  auto db = open_postgres(config).value();
  // What the server sends until it hears of the cancel is read, for 2 s at most: on a slow machine that may not be enough once, and the session is replaced.
  const auto keeps_its_session = [&] {
    const int pid = pid_of(db, false);
    CHECK(db.read([](read_session& s) { return s.query("SELECT generate_series(1, 1000000000000)"); }).error() == db_errc::result_too_large);
    return pid_of(db, false) == pid;
  };
  bool kept{false};
  for (int i = 0; i < 10 && !kept; ++i) kept = keeps_its_session();
  CHECK(kept);
}

TEST_CASE("postgres.a_stream_takes_constant_memory") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  std::uint64_t bytes{0};
  const auto read_all = [&](int rows) {
    return db.read([&](read_session& s) {
      return s.stream("SELECT repeat('x', 200) FROM generate_series(1, $1)", {rows}, [&](row_view row) { bytes += row.get<std::string_view>(0).size(); });
    });
  };
  REQUIRE(read_all(10'000).value() == 10'000);
  const auto before = resident_kib();
  REQUIRE(read_all(200'000).value() == 200'000);
  CHECK(bytes == 210'000ULL * 200);
  CHECK(resident_kib() < before + 8 * 1024);
}

TEST_CASE("postgres.a_stream_uses_its_session_for_reads_and_writes") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute_script("CREATE TABLE a AS SELECT generate_series(1, 500) AS x; CREATE TABLE b (x int)"); }));
  const auto copied = db.write([](write_session& s) {
    return s.stream("SELECT x FROM a ORDER BY x", {}, [&](row_view row) {
      s.execute("INSERT INTO b VALUES ($1)", row.get<int>(0)).value();
      CHECK(s.query_one<int>("SELECT count(*) FROM b").value() == row.get<int>(0));
    });
  });
  CHECK(copied.value() == 500);
  CHECK(fixture.value("SELECT sum(x) FROM b") == "125250");
  // So does one that writes itself.
  const auto moved = db.write([](write_session& s) {
    return s.stream("DELETE FROM b RETURNING x", {}, [&](row_view row) { s.execute("INSERT INTO a VALUES ($1)", row.get<int>(0)).value(); });
  });
  CHECK(moved.value() == 500);
  CHECK(fixture.value("SELECT count(*) FROM a") == "1000");
}

TEST_CASE("postgres.a_failure_inside_a_stream_ends_it") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  int seen{0};
  const auto failed = db.read([&](read_session& s) {
    return s.stream("SELECT 1 / (3 - x) FROM generate_series(1, 10) AS x", {}, [&](row_view) { ++seen; });
  });
  CHECK(failed.error() == db_errc::type_mismatch);
  CHECK(sqlstate_of(failed.error()) == "22012");
  CHECK(seen <= 2);
  const auto inner = db.read([&](read_session& s) {
    return s.stream("SELECT generate_series(1, 10)", {}, [&](row_view) { (void)s.query("SELECT * FROM nowhere"); });
  });
  CHECK(inner.error() == db_errc::no_such_object);
}

TEST_CASE("postgres.an_exception_inside_a_stream_that_is_caught_in_the_function_spoils_nothing") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  fixture.sql("CREATE TABLE t (x int)");
  const auto done = db.write([](write_session& s) {
    for (const auto* sql : {"SELECT generate_series(1, 100000)", "INSERT INTO t SELECT generate_series(1, 1000) RETURNING x"}) {
      try {
        s.stream(sql, {}, [](row_view) { throw 7; }).value();
      } catch (int) {
      }
    }
    return s.query_one<int>("SELECT count(*) FROM t").value().value();
  });
  CHECK(done.value() == 1'000);
}

TEST_CASE("postgres.a_script_runs_statement_by_statement") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  std::string script{"CREATE TABLE t (x int);\n"};
  for (int i = 0; i < 100; ++i) script += "INSERT INTO t VALUES (" + std::to_string(i) + "); -- ;\n";
  script += "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM t; END;\nSELECT f()";
  REQUIRE(db.write([&](write_session& s) { return s.execute_script(script); }));
  CHECK(fixture.value("SELECT f()") == "100");
  const auto failed = db.write([&](write_session& s) { return s.execute_script("INSERT INTO t VALUES (1);\nINSERT INTO nowhere VALUES (2); SELECT 1"); });
  CHECK(failed.error() == db_errc::no_such_object);
  CHECK(failed.error().sql() == "INSERT INTO nowhere VALUES (2)");
  CHECK(db.write([&](write_session& s) { return s.execute_script("INSERT INTO t VALUES (1); COMMIT"); }).error() == db_errc::not_allowed);
  CHECK(db.write([&](write_session& s) { return s.execute_script("INSERT INTO t VALUES ($1)"); }).error() == db_errc::wrong_parameters);
  CHECK(fixture.value("SELECT count(*) FROM t") == "100");
}

TEST_CASE("postgres.a_statement_alone_runs_outside_of_any_transaction") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x int)"); }));
  CHECK(execute_alone(db, "CREATE INDEX CONCURRENTLY t_by_x ON t (x)").has_value());
  CHECK(execute_alone(db, "VACUUM t").has_value());
  CHECK(db.write([](write_session& s) { return s.execute("VACUUM t"); }).error() == db_errc::invalid_statement);
  CHECK(execute_alone(db, "BEGIN").error() == db_errc::not_allowed);
  CHECK(execute_alone(db, "VACUUM t; VACUUM t").error() == db_errc::multiple_statements);
  CHECK(execute_alone(db, "VACUUM nowhere").error() == db_errc::no_such_object);
  CHECK(execute_alone(db, "SELECT pg_sleep(10)", 30ms).error() == db_errc::timed_out);
  CHECK(one<int>(db, "SELECT 3") == 3);
}

TEST_CASE("postgres.a_statement_alone_is_not_behind_what_is_left_to_deallocate") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.writers = 1;
  config.statement_cache = 1;
  auto db = open_postgres(config).value();
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x int)"); }));
  CHECK(db.write([](write_session& s) {
    CHECK(s.query("SELECT 1 / $1::int", 0).error() == db_errc::type_mismatch);  // prepared, and a failure that keeps it from being deallocated
    return s.query("SELECT 2");
  }).error() == db_errc::type_mismatch);
  const auto done = execute_alone(db, "VACUUM t");
  CHECK_MESSAGE(done.has_value(), (done ? std::string{} : done.error().what()));
}

TEST_CASE("postgres.of_several_programs_that_migrate_at_once_one_does_the_work") {
  const postgres_fixture fixture;
  constexpr std::string_view first{"CREATE TABLE city (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL)"};
  constexpr std::string_view second{"ALTER TABLE city ADD COLUMN size int NOT NULL DEFAULT 0"};
  std::atomic<std::size_t> ran{0};
  std::vector<std::thread> programs;
  for (int i = 0; i < 4; ++i) {
    programs.emplace_back([&] {
      auto db = fixture.open();
      ran += migrate(db, {first, second}).value();
    });
  }
  for (auto& program : programs) program.join();
  CHECK(ran == 2);
  auto db = fixture.open();
  CHECK(migrate(db, {first, second}).value() == 0);
  CHECK(migrate(db, {first}).error() == db_errc::incompatible_schema);
  CHECK(migrate(db, {first, second, "CREATE TABLE x (a int); INSERT INTO nowhere VALUES (1)"}).error() == db_errc::no_such_object);
  CHECK(fixture.value("SELECT count(*) FROM pg_class WHERE relname = 'x'") == "0");
}

TEST_CASE("postgres.a_slow_statement_is_logged_with_where_its_time_went") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.writers = 1;
  config.database.slow_statement = 60ms;
  std::mutex mutex;
  std::vector<std::map<std::string, std::string>> events;
  config.database.log = [&](const log_event& event) {
    const std::scoped_lock lock{mutex};
    auto& kept = events.emplace_back();
    kept.emplace("message", event.message);
    for (const auto& field : event.fields) kept.emplace(field.name, field.value);
  };
  auto db = open_postgres(config).value();
  session_options options;
  options.label = "report";
  std::thread other;
  REQUIRE(db.write([&](write_session& s) {
    other = std::thread{[&] {
      REQUIRE(db.write([](write_session& inner) {
        inner.query("SELECT pg_sleep(0.03)").value();
        return inner.stream("SELECT pg_sleep(0.02) FROM generate_series(1, 5)", {}, [](row_view) {});
      }, options).has_value());
    }};
    return s.query("SELECT pg_sleep(0.05)");
  }).has_value());
  other.join();
  REQUIRE(copy_out_sleep(db));
  const std::scoped_lock lock{mutex};
  // The others are quick, unless the machine is slow.
  std::erase_if(events, [](auto& event) { return event["sql"].find("generate_series") == std::string::npos && !event["sql"].starts_with("COPY"); });
  REQUIRE(events.size() == 2);
  CHECK(events[0]["message"] == "slow statement");
  CHECK(events[0]["label"] == "report");
  CHECK(events[0]["sql"] == "SELECT pg_sleep(0.02) FROM generate_series(1, 5)");
  CHECK(std::stod(events[0]["queue_ms"]) >= 30.0);
  CHECK(std::stod(events[0]["duration_ms"]) >= 100.0);
  CHECK(std::stod(events[0]["run_ms"]) + std::stod(events[0]["drain_ms"]) == doctest::Approx(std::stod(events[0]["duration_ms"])).epsilon(0.01));
  CHECK(std::stod(events[0]["acquire_ms"]) >= 0.0);
  CHECK(events[1]["sql"] == "COPY (SELECT pg_sleep(0.1)) TO STDOUT");
}

TEST_CASE("postgres.the_connection_tells_what_the_server_says_of_itself") {
  const postgres_fixture fixture;
  detail::pg_driver driver{fixture.config()};
  auto opened = driver.open(detail::session_kind::write, deadline::never()).value();
  CHECK_FALSE(driver.node()->in_hot_standby);
  CHECK_FALSE(driver.node()->read_only_by_default);
  CHECK(driver.node()->server_version >= 140'000);
  CHECK(opened->ping(deadline::after(std::chrono::steady_clock::now(), 5s)));
}
