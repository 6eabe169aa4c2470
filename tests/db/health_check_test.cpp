// SPDX-License-Identifier: Apache-2.0
#include "db/sqlite_fixture.hpp"

#include <spillway/db/health_check.hpp>

#include <doctest/doctest.h>

#include <latch>
#include <optional>
#include <stop_token>
#include <thread>

using namespace spillway;
using namespace std::chrono_literals;

TEST_CASE("database_health_check.is_ok_while_the_database_answers_and_fails_once_it_is_closed") {
  const tests::sqlite_fixture fixture;
  std::optional<database> db{fixture.open()};
  const auto check = database_health_check(*db);
  const health_check_context context{deadline::after(std::chrono::steady_clock::now(), 10s), std::stop_token{}};
  CHECK(check(context).state == health_state::ok);
  db.reset();  // a check may be kept longer
  const auto after = check(context);
  CHECK(after.state == health_state::failed);
  CHECK(after.message == "the database is closed");
}

TEST_CASE("database_health_check.fails_at_its_deadline_when_no_session_is_free") {
  const tests::sqlite_fixture fixture;
  auto config = fixture.config();
  config.readers = 1;
  auto db = open_sqlite(config).value();
  const auto check = database_health_check(db);
  std::latch inside{1};
  std::latch go_on{1};
  std::thread holder{[&] {
    db.read_for([&](read_session&) {
      inside.count_down();
      go_on.wait();
    }, 1h).value();
  }};
  inside.wait();
  const auto late = check({deadline::after(std::chrono::steady_clock::now(), 10ms), std::stop_token{}});
  CHECK(late.state == health_state::failed);
  CHECK(late.message.starts_with("the deadline passed: nothing became free in time"));
  go_on.count_down();
  holder.join();
}

TEST_CASE("database_health_check.is_degraded_while_the_queue_is_full") {
  const tests::sqlite_fixture fixture;
  auto config = fixture.config();
  config.readers = 1;
  config.database.max_waiters = 0;
  auto db = open_sqlite(config).value();
  const auto check = database_health_check(db);
  std::latch inside{1};
  std::latch go_on{1};
  std::thread holder{[&] {
    db.read_for([&](read_session&) {
      inside.count_down();
      go_on.wait();
    }, 1h).value();
  }};
  inside.wait();
  CHECK(check({deadline::never(), std::stop_token{}}).state == health_state::degraded);
  go_on.count_down();
  holder.join();
}
