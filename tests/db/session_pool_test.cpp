// SPDX-License-Identifier: Apache-2.0
// The sessions of an engine that is not there.
#include "db/session_pool.hpp"

#include <spillway/core/io_runner.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

using namespace spillway;
using namespace std::chrono_literals;
using detail::session_kind;

namespace {

struct counted_connection final : detail::db_connection {
  explicit counted_connection(std::atomic<int>& alive) : alive_{alive} { ++alive_; }
  ~counted_connection() override { --alive_; }

  result<void, db_error> begin(const detail::statement_control&) override { return {}; }
  result<void, db_error> commit() override { return {}; }
  void rollback() noexcept override {}
  [[nodiscard]] bool usable() const noexcept override { return true; }
  result<std::uint64_t, db_error> run(std::string_view, std::span<const sql_value>, detail::row_data&, detail::row_sink&) override {
    return std::uint64_t{0};
  }
  result<void, db_error> run_script(std::string_view) override { return {}; }
  result<void, db_error> note_schema_version(std::size_t) override { return {}; }

  std::atomic<int>& alive_;
};

struct counting_driver final : detail::db_driver {
  [[nodiscard]] std::string_view system_name() const noexcept override { return "counting"; }
  [[nodiscard]] detail::session_keeping sessions(session_kind) const noexcept override {
    detail::session_keeping kept;
    kept.max = 2;
    kept.min = 0;
    kept.connect_timeout = connect_timeout;
    return kept;
  }
  result<std::unique_ptr<detail::db_connection>, db_error> open(session_kind, deadline until) override {
    if (hangs) {
      std::this_thread::sleep_until(until.at() + 50ms);
      return db_error{db_errc::timed_out, "too late"};
    }
    if (failure.failed()) return failure;
    return std::unique_ptr<detail::db_connection>{std::make_unique<counted_connection>(alive)};
  }
  result<void, db_error> close(std::vector<std::unique_ptr<detail::db_connection>>, std::vector<std::unique_ptr<detail::db_connection>>) override {
    return {};
  }
  [[nodiscard]] std::string_view probe_sql() const noexcept override { return ""; }
  [[nodiscard]] detail::statement_cache_stats cache_stats() const noexcept override { return {}; }

  std::atomic<int> alive{0};
  std::chrono::milliseconds connect_timeout{60'000};
  std::atomic<bool> hangs{false};
  db_error failure;  // set while nothing is being opened
};

struct counted_sessions {
  explicit counted_sessions(std::chrono::milliseconds connect_timeout = 60s) {
    driver->connect_timeout = connect_timeout;
    pool.emplace(database_config{}, driver, session_kind::read, runner.executor());
    runner.start();
  }
  ~counted_sessions() {
    pool.reset();
    runner.stop();
  }

  io_runner runner{{}};
  std::shared_ptr<counting_driver> driver{std::make_shared<counting_driver>()};
  std::optional<detail::session_pool> pool;
};

/// Of a caller for whom no session could be opened.
pool_error refusal_by(counted_sessions& fixture, const db_error& failure) {
  fixture.driver->failure = failure;
  auto& sessions = fixture.pool->sessions();
  const auto refused = sessions.acquire(1min);
  REQUIRE(refused.error() == pool_errc::backend_down);
  while (sessions.stats().opening > 0) std::this_thread::yield();
  return refused.error();
}

}  // namespace

TEST_CASE("session_pool.a_session_that_is_replaced_ends_at_once_and_only_those_of_the_end_are_kept_for_the_driver") {
  counted_sessions fixture;
  auto& sessions = *fixture.pool;
  { const auto lease = sessions.sessions().acquire(1min); }
  CHECK(fixture.driver->alive == 1);
  sessions.sessions().invalidate();
  CHECK(fixture.driver->alive == 0);
  CHECK(sessions.take_closed().empty());

  { const auto lease = sessions.sessions().acquire(1min); }
  sessions.keep_closed();
  CHECK(sessions.sessions().drain_for(1min).has_value());
  CHECK(fixture.driver->alive == 1);
  CHECK(sessions.take_closed().size() == 1);
  CHECK(fixture.driver->alive == 0);
}

TEST_CASE("session_pool.a_failure_is_told_in_full_even_if_an_opening_has_succeeded_since") {
  counted_sessions fixture;
  auto& sessions = *fixture.pool;
  const auto refused = refusal_by(fixture, {db_errc::busy, "too many connections"});
  fixture.driver->failure = {};
  while (!sessions.sessions().acquire(1min)) std::this_thread::yield();
  CHECK(sessions.error_of(refused) == db_errc::busy);
  CHECK(sessions.error_of(refused).message() == "too many connections");
}

TEST_CASE("session_pool.a_failure_is_told_even_if_an_opening_has_failed_since_in_another_way") {
  counted_sessions fixture;
  auto& sessions = *fixture.pool;
  const auto refused = refusal_by(fixture, {db_errc::busy, "too many connections"});
  fixture.driver->failure = {db_errc::authentication_failed, "wrong password"};
  for (bool again{true}; again; std::this_thread::yield()) {
    const auto later = sessions.sessions().acquire(1min);
    REQUIRE(!later);
    again = sessions.error_of(later.error()) != db_errc::authentication_failed;
  }
  CHECK(sessions.error_of(refused) == db_errc::busy);
  CHECK(sessions.error_of(refused).message() == "too many connections");
}

TEST_CASE("session_pool.a_failure_of_earlier_is_not_told_of_a_host_that_does_not_answer_now") {
  counted_sessions fixture{50ms};
  auto& sessions = *fixture.pool;
  fixture.driver->failure = {db_errc::authentication_failed, "wrong password"};
  const auto refused = sessions.sessions().acquire(1min);
  REQUIRE(refused.error() == pool_errc::backend_down);
  CHECK(sessions.error_of(refused.error()).message() == "wrong password");

  while (sessions.sessions().stats().opening > 0) std::this_thread::yield();
  fixture.driver->hangs = true;
  for (;;) {
    const auto silent = sessions.sessions().acquire(1min);
    REQUIRE(silent.error() == pool_errc::backend_down);
    if (silent.error().reason() != boost::system::errc::timed_out) continue;
    const auto told = sessions.error_of(silent.error());
    CHECK(told.code() == db_errc::cannot_open);
    CHECK(told.message().find("wrong password") == std::string_view::npos);
    CHECK(told.message().find("no answer in time") != std::string_view::npos);
    break;
  }
}
