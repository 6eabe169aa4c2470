// SPDX-License-Identifier: Apache-2.0
// On which of several servers a listener listens.
#include "db/cluster/cluster_fixture.hpp"

#include <spillway/db/postgres_listener.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

using namespace spillway;
using namespace spillway::tests;

namespace {

/// What was heard, and what was logged.
struct ear {
  explicit ear(std::vector<std::string> urls) : listener{config(std::move(urls))} {}

  [[nodiscard]] bool heard(const std::string& text) {
    const std::scoped_lock lock{mutex};
    return std::ranges::find(payloads, text) != payloads.end();
  }
  [[nodiscard]] std::vector<std::string> where() {
    const std::scoped_lock lock{mutex};
    return servers;
  }

 private:
  postgres_listener_config config(std::vector<std::string> urls) {
    postgres_listener_config made;
    made.urls = std::move(urls);
    made.channels = {"news"};
    made.backoff = {.base = 1ms, .cap = 20ms};
    made.on_notification = [this](const postgres_notification& n) {
      const std::scoped_lock lock{mutex};
      payloads.emplace_back(n.payload);
    };
    made.log = [this](const log_event& event) {
      if (event.level == log_level::error) ++errors;
      if (event.message != "listening") return;
      const std::scoped_lock lock{mutex};
      servers.emplace_back(event.fields[0].value);
    };
    return made;
  }

  std::mutex mutex;
  std::vector<std::string> payloads;
  std::vector<std::string> servers;

 public:
  std::atomic<int> errors{0};
  postgres_listener listener;
};

}  // namespace

TEST_CASE("cluster_listener.follows_the_primary_and_leaves_an_old_one_alone") {
  cluster_fixture fixture;
  const auto& servers = fixture.cluster;
  const std::vector urls{servers.url(0), servers.url(1)};
  const auto place = [](const postgres_cluster& at, int node) { return "127.0.0.1:" + std::to_string(at.port(node)); };
  const auto say = [&](int node, const std::string& text) { servers.sql("SELECT pg_notify('news', '" + text + "')", node); };

  ear all{urls};
  wait_until([&] { return all.listener.is_listening(); });
  say(0, "one");
  wait_until([&] { return all.heard("one"); });

  servers.halt(0, "KILL");
  servers.promote(1);
  wait_until([&] { return all.where().size() == 2 && all.listener.is_listening(); });
  say(1, "two");
  wait_until([&] { return all.heard("two"); });

  // The old one comes back, and takes itself for the primary. Neither who listens nor who begins to is led astray.
  servers.resume(0);
  ear late{urls};
  wait_until([&] { return all.listener.is_listening() && late.listener.is_listening(); });
  for (int round = 0; round < 3; ++round) {
    const auto before = std::array{all.where().size(), late.where().size()};
    servers.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'spillway listener' AND query LIKE 'LISTEN%'", 1);
    wait_until([&] { return all.where().size() > before[0] && late.where().size() > before[1]; });
    wait_until([&] { return all.listener.is_listening() && late.listener.is_listening(); });
  }
  say(1, "three");
  for (auto* each : {&all, &late}) wait_until([&] { return each->heard("three"); });
  CHECK(all.where().front() == place(servers, 0));
  CHECK(std::ranges::count(all.where(), place(servers, 0)) == 1);
  CHECK(std::ranges::count(late.where(), place(servers, 0)) == 0);
  CHECK(all.errors + late.errors == 0);
}

TEST_CASE("cluster_listener.a_server_of_another_system_is_told_and_left_alone") {
  const cluster_fixture fixture{1};
  const cluster_fixture stranger{0};
  ear one{{fixture.cluster.url(1), stranger.cluster.url(), fixture.cluster.url(0)}};
  wait_until([&] { return one.listener.is_listening() && one.errors > 0; });
  CHECK(one.where() == std::vector{"127.0.0.1:" + std::to_string(fixture.cluster.port(0))});
  CHECK_THROWS_WITH_AS(ear({fixture.cluster.url(0), fixture.cluster.url(1, "other")}),
                       "postgres_listener_config.urls[1] leads to the database \"other\", postgres_listener_config.urls[0] to \"postgres\"; all nodes must lead to one",
                       std::invalid_argument);
}

TEST_CASE("cluster_listener.without_a_primary_it_says_so_and_takes_the_next_one") {
  cluster_fixture fixture{1};
  fixture.cluster.halt(0, "KILL");
  ear one{{fixture.cluster.url(0), fixture.cluster.url(1)}};
  wait_until([&] { return one.listener.last_failure() == db_errc::not_primary; });
  CHECK_FALSE(one.listener.is_listening());
  fixture.cluster.promote(1);
  wait_until([&] { return one.listener.is_listening(); });
  CHECK_FALSE(one.listener.last_failure().failed());
  fixture.cluster.halt(1, "KILL");
  wait_until([&] { return one.listener.last_failure() == db_errc::not_primary; });
  one.listener.close();
  CHECK(one.listener.last_failure() == db_errc::shutting_down);
}

TEST_CASE("cluster_listener.a_wrong_password_is_the_reason_told") {
  const cluster_fixture fixture{1};
  fixture.cluster.sql("CREATE ROLE guarded LOGIN PASSWORD 'right'");
  auto urls = std::vector{fixture.cluster.url(0), fixture.cluster.url(1)};
  for (auto& url : urls) url.replace(url.find("spillway@"), 8, "guarded:wrong");
  ear one{urls};
  wait_until([&] { return one.listener.last_failure() == db_errc::authentication_failed; });
  CHECK_FALSE(one.listener.is_listening());
}
