// SPDX-License-Identifier: Apache-2.0
#include "db/tx_retry.hpp"

#include "support/temp_dir.hpp"

#include <spillway/db/sqlite.hpp>

#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>

using namespace spillway;
using namespace std::chrono_literals;
using detail::tx_attempts;
using detail::tx_retry_budget;

namespace {

const time_point start{1h};
const error_code in_the_way{db_errc::serialization_failure};

tx_retry_config config_of(std::size_t attempts) {
  tx_retry_config config;
  config.attempts = attempts;
  config.base = 10ms;
  config.cap = 40ms;
  return config;
}

}  // namespace

TEST_CASE("tx_retry.runs_again_only_after_what_left_no_trace") {
  for (const auto code : {db_errc::serialization_failure, db_errc::deadlock_detected, db_errc::connection_lost, db_errc::not_primary}) {
    CHECK(detail::worth_another_run(code));
  }
  for (const auto code : {db_errc::commit_unknown, db_errc::timed_out, db_errc::cancelled, db_errc::unique_violation, db_errc::shutting_down}) {
    CHECK_FALSE(detail::worth_another_run(code));
  }
  CHECK_FALSE(detail::worth_another_run({}));
  CHECK_FALSE(detail::worth_another_run(make_error_code(pool_errc::timed_out)));
}

TEST_CASE("tx_retry.pauses_stay_between_base_and_cap_and_end_after_the_attempts") {
  const auto config = config_of(4);
  tx_retry_budget budget{0, 100};
  std::minstd_rand generator{7};
  tx_attempts attempts{config, budget};
  for (int i = 0; i < 3; ++i) {
    const auto pause = attempts.after(in_the_way, start, {}, generator);
    REQUIRE(pause.has_value());
    CHECK(*pause >= config.base);
    CHECK(*pause <= config.cap);
  }
  CHECK(attempts.runs() == 4);
  CHECK(attempts.after(in_the_way, start, {}, generator) == std::nullopt);
}

TEST_CASE("tx_retry.does_not_pause_past_the_deadline") {
  const auto config = config_of(4);
  tx_retry_budget budget{0, 100};
  std::minstd_rand generator{7};
  tx_attempts attempts{config, budget};
  CHECK(attempts.after(in_the_way, start, deadline{start + 9ms}, generator) == std::nullopt);
  CHECK(attempts.after(in_the_way, start, deadline{start + 1s}, generator).has_value());
}

TEST_CASE("tx_retry.all_calls_share_a_budget_that_calls_refill") {
  const auto config = config_of(100);
  tx_retry_budget budget{0.5, 2};
  std::minstd_rand generator{7};
  const auto retries = [&] {
    tx_attempts attempts{config, budget};
    int count{0};
    while (attempts.after(in_the_way, start, {}, generator)) ++count;
    return count;
  };
  CHECK(retries() == 2);  // what was saved up, and it is full at the start
  CHECK(retries() == 0);  // half a run saved
  CHECK(retries() == 1);
  CHECK(retries() == 0);
}

namespace {

struct retried_database {
  tests::temp_dir directory;
  database db{open_sqlite({.path = (directory.path() / "a.db").string()}).value()};

  retried_database() { db.write([](write_session& s) { return s.execute("CREATE TABLE t (x INTEGER)"); }).value(); }
  std::int64_t rows() {
    return db.read([](read_session& s) { return s.query_one<std::int64_t>("SELECT count(*) FROM t"); }).value().value();
  }
};

/// Gets out of the way `times` times, after writing a row.
auto gives_way(int times, int& runs) {
  return [&runs, times](write_session& s) -> result<int, db_error> {
    s.execute("INSERT INTO t VALUES ($1)", ++runs).value();
    if (runs <= times) return db_error{db_errc::serialization_failure, "in the way"};
    return runs;
  };
}

}  // namespace

TEST_CASE("run_tx.runs_again_after_a_rollback_and_write_does_not") {
  retried_database with;
  int runs{0};
  CHECK(with.db.run_tx(gives_way(2, runs)).value() == 3);
  CHECK(with.rows() == 1);
  runs = 0;
  CHECK(with.db.write(gives_way(2, runs)).error() == db_errc::serialization_failure);
  CHECK(runs == 1);
  CHECK(with.rows() == 1);
}

TEST_CASE("run_tx.an_exception_and_other_errors_end_it") {
  retried_database with;
  int runs{0};
  CHECK_THROWS_AS((void)with.db.run_tx([&](write_session&) { ++runs; throw std::runtime_error{"mine"}; }), std::runtime_error);
  CHECK(with.db.run_tx([&](write_session& s) { ++runs; return s.execute("SELEC"); }).error() == db_errc::syntax_error);
  CHECK(runs == 2);
}

TEST_CASE("run_tx.a_thrown_db_exception_counts_as_its_error") {
  retried_database with;
  int runs{0};
  const auto done = with.db.run_tx([&](write_session&) {
    if (++runs < 3) throw db_exception{db_errc::deadlock_detected};
    return runs;
  });
  CHECK(done.value() == 3);
}

TEST_CASE("run_tx.async_runs_again_too_and_completes_once") {
  retried_database with;
  int runs{0};
  auto function = gives_way(2, runs);
  const auto done = with.db.async_run_tx(std::move(function), 10s, boost::asio::use_future).get();
  CHECK(done.value() == 3);
  CHECK(with.rows() == 1);
  int reads{0};
  const auto read = with.db.async_run_read([&](read_session&) -> result<int, db_error> {
    if (++reads < 2) return db_error{db_errc::connection_lost};
    return reads;
  }, 10s, boost::asio::use_future).get();
  CHECK(read.value() == 2);
}

TEST_CASE("run_read.gives_up_when_the_attempts_are_used_up") {
  tests::temp_dir directory;
  sqlite_config config{.path = (directory.path() / "a.db").string()};
  config.database.retry.attempts = 3;
  config.database.retry.base = 1ms;
  auto db = open_sqlite(config).value();
  int runs{0};
  CHECK(db.run_read([&](read_session&) -> result<void, db_error> { ++runs; return db_errc::not_primary; }).error() == db_errc::not_primary);
  CHECK(runs == 3);
}

TEST_CASE("run_tx.a_wrong_retry_configuration_is_refused_by_field") {
  tests::temp_dir directory;
  const auto refused = [&](auto change, const char* what) {
    sqlite_config config{.path = (directory.path() / "a.db").string()};
    change(config.database.retry);
    CHECK_THROWS_WITH_AS((void)open_sqlite(config), what, std::invalid_argument);
  };
  refused([](tx_retry_config& c) { c.attempts = 0; }, "database_config.retry.attempts is 0; it must be in [1, 100]");
  refused([](tx_retry_config& c) { c.cap = 1ms; }, "database_config.retry.cap is 1 ms; it must be in [2, 60000]");
  refused([](tx_retry_config& c) { c.budget_ratio = -1; }, "database_config.retry.budget_ratio is -1; it must be in [0, 10]");
}

TEST_CASE("database.query_asks_one_thing_without_a_function") {
  retried_database with;
  int runs{0};
  with.db.write(gives_way(0, runs)).value();
  const auto one = [] { return sql_query{"SELECT x, $2 FROM t WHERE x = $1", 1, std::string(100, 'y')}; };  // owns its values
  CHECK(with.db.query(one()).value()[0].get<std::string>(1) == std::string(100, 'y'));
  CHECK(with.db.async_query(one(), 10s, boost::asio::use_future).get().value().size() == 1);
  CHECK(with.db.query(sql_query{"DELETE FROM t"}).error() == db_errc::read_only);
  CHECK(with.db.async_query(sql_query{"DELETE FROM t"}, 10s, boost::asio::use_future).get().error() == db_errc::read_only);
  with.db.close().value();
  CHECK(with.db.async_query(one(), 10s, boost::asio::use_future).get().error() == db_errc::shutting_down);
}
