// SPDX-License-Identifier: Apache-2.0
#include "db/postgres_fixture.hpp"

#include <spillway/db/postgres_listener.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

using namespace spillway;
using namespace spillway::tests;
using namespace std::chrono_literals;

namespace {

/// What was heard, in its order.
struct heard {
  [[nodiscard]] postgres_listener_config config(std::string url, std::vector<std::string> channels) {
    postgres_listener_config made;
    made.urls = {std::move(url)};
    made.channels = std::move(channels);
    made.backoff = {.base = 1ms, .cap = 20ms};
    made.on_notification = [this](const postgres_notification& n) {
      const std::scoped_lock lock{mutex};
      all.push_back(std::string{n.channel} + ":" + std::string{n.payload});
    };
    made.on_listening = [this] { ++listening; };
    return made;
  }
  [[nodiscard]] std::vector<std::string> now() {
    const std::scoped_lock lock{mutex};
    return all;
  }
  std::mutex mutex;
  std::vector<std::string> all;
  std::atomic<int> listening{0};
};

}  // namespace

TEST_CASE("postgres_listener.hears_what_is_committed_in_its_order") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  heard log;
  postgres_listener listener{log.config(fixture.place.url(), {"orders", "a \"strange\" Name"})};
  wait_until([&] { return log.listening == 1; });
  CHECK(listener.is_listening());
  db.write([](write_session& s) {
    s.execute("SELECT pg_notify('orders', $1)", "1").value();
    s.execute("SELECT pg_notify('a \"strange\" Name', $1)", "2").value();
    s.execute("SELECT pg_notify('nobody hears', 'this')").value();
    return s.execute("SELECT pg_notify('orders', '')");
  }).value();
  (void)db.write([](write_session& s) -> result<void, db_error> {
    s.execute("SELECT pg_notify('orders', 'rolled back')").value();
    return db_error{db_errc::cancelled};
  });
  db.write([](write_session& s) { return s.execute("SELECT pg_notify('orders', 'last')"); }).value();
  wait_until([&] { return log.now().size() == 4; });
  CHECK(log.now() == std::vector<std::string>{"orders:1", "a \"strange\" Name:2", "orders:", "orders:last"});
  listener.close();
  CHECK_FALSE(listener.is_listening());
  CHECK(listener.last_failure() == db_errc::shutting_down);
}

TEST_CASE("postgres_listener.listens_again_after_its_session_was_ended_and_says_so") {
  const postgres_fixture fixture;
  heard log;
  auto config = log.config(fixture.place.url(), {"news"});
  std::atomic<int> warnings{0};
  config.log = [&](const log_event& event) { warnings += event.level == log_level::warning ? 1 : 0; };
  postgres_listener listener{config};
  wait_until([&] { return log.listening == 1; });
  for (int round = 2; round <= 4; ++round) {
    fixture.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'spillway listener' AND datname = current_database()");
    wait_until([&] { return log.listening == round; });
    fixture.sql("SELECT pg_notify('news', '" + std::to_string(round) + "')");
    wait_until([&] { return log.now().size() == static_cast<std::size_t>(round - 1); });
  }
  CHECK(log.now() == std::vector<std::string>{"news:2", "news:3", "news:4"});
  CHECK(listener.connections() == 4);
  CHECK(warnings == 3);
}

TEST_CASE("postgres_listener.goes_on_to_the_next_server_and_a_function_that_throws_does_no_harm") {
  const postgres_fixture fixture;
  heard log;
  auto config = log.config(fixture.place.url(), {"x"});
  config.urls.insert(config.urls.begin(), "postgresql://spillway@127.0.0.1:1/" + fixture.place.name);
  std::atomic<int> errors{0};
  config.log = [&](const log_event& event) { errors += event.level == log_level::error ? 1 : 0; };
  config.keepalive = 10ms;  // and it is asked now and then, in between
  config.on_notification = [keep = config.on_notification](const postgres_notification& n) {
    keep(n);
    throw std::runtime_error{"no"};
  };
  postgres_listener listener{config};
  wait_until([&] { return log.listening == 1; });
  CHECK_FALSE(listener.last_failure().failed());
  for (int i = 0; i < 20; ++i) {
    fixture.sql("SELECT pg_notify('x', '" + std::to_string(i) + "')");
    wait_until([&] { return log.now().size() == static_cast<std::size_t>(i + 1); });
  }
  wait_until([&] { return errors == 20; });
  CHECK(listener.connections() == 1);
}

TEST_CASE("postgres_listener.says_what_is_wrong_with_its_configuration") {
  const auto problem_of = [](postgres_listener_config config) -> std::string {
    try {
      const postgres_listener listener{std::move(config)};
    } catch (const std::invalid_argument& refused) {
      return refused.what();
    }
    return {};
  };
  CHECK(problem_of({}) == "postgres_listener_config.urls size is 0; it must be in [1, 64]");
  CHECK(problem_of({.urls = {"postgresql:///x"}}) == "postgres_listener_config.channels size is 0; it must be in [1, 100]");
  CHECK(problem_of({.urls = {"postgresql:///x"}, .channels = {""}}) == "postgres_listener_config.channels[0] length is 0 bytes; it must be in [1, 63]");
  CHECK(problem_of({.urls = {"nonsense"}, .channels = {"x"}}).starts_with("postgres_listener_config.urls[0]: "));
  CHECK(problem_of({.urls = {"postgresql:///x"}, .channels = {"x"}, .keepalive = 1ms}) ==
        "postgres_listener_config.keepalive is 1 ms; it must be in [10, 3600000]");
}

TEST_CASE("postgres_listener.waits_for_a_server_that_is_not_there_and_ends_at_once") {
  heard log;
  postgres_listener listener{log.config("postgresql://spillway@127.0.0.1:1/postgres", {"x"})};
  wait_until([&] { return listener.last_failure() == db_errc::cannot_open; });
  CHECK_FALSE(listener.is_listening());
}
