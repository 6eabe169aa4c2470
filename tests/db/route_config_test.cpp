// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/route_config.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using detail::routing_node;
using detail::validate;

TEST_CASE("route_config.the_defaults_are_valid") { CHECK(validate({}, {{"a"}}).has_value()); }

TEST_CASE("route_config.a_problem_names_field_value_and_range") {
  struct row {
    std::function<void(routing_config&)> change;
    std::string problem;
  };
  const std::vector<row> rows{
      {[](auto& c) { c.system = 0; }, "system is 0; it must be above 0, or not given"},
      {[](auto& c) { c.max_sample_age = 9ms; }, "max_sample_age is 9 ms; it must be in [10 ms, 10000 ms]"},
      {[](auto& c) { c.replay_wait = -1ms; }, "replay_wait is -1 ms; it must be in [0 ms, 10000 ms]"},
      {[](auto& c) { c.probe_interval = 250ms; }, "probe_interval is 250 ms; it must be below max_sample_age, 250 ms"},
      {[](auto& c) { c.probe_interval = 0ms; }, "probe_interval is 0 ms; it must be in [10 ms, 10000 ms]"},
      {[](auto& c) { c.failover_interval = 151ms; }, "failover_interval is 151 ms; it must be in [5 ms, 150 ms]"},
      {[](auto& c) { c.probe_timeout = 11s; }, "probe_timeout is 11000 ms; it must be in [10 ms, 10000 ms]"},
      {[](auto& c) { c.probe_backoff.base = 0ms; }, "probe_backoff.base is 0 ms; it must be in [1 ms, 86400000 ms]"},
      {[](auto& c) { c.probe_backoff.cap = 49ms; }, "probe_backoff.cap is 49 ms; it must be in [50 ms, 86400000 ms]"},
      {[](auto& c) { c.down_after = 0; }, "down_after is 0; it must be in [1, 100]"},
      {[](auto& c) { c.eject_after = 1'001; }, "eject_after is 1001; it must be in [1, 1000]"},
      {[](auto& c) { c.eject_latency_factor = 1.0; }, "eject_latency_factor is 1; it must be in [1.5, 1000]"},
      {[](auto& c) { c.eject_latency_floor = -1ms; }, "eject_latency_floor is -1 ms; it must be in [0 ms, 3600000 ms]"},
      {[](auto& c) { c.ejection.base = 0ms; }, "ejection.base is 0 ms; it must be in [1 ms, 86400000 ms]"},
      {[](auto& c) { c.ejection.cap = 1ms; }, "ejection.cap is 1 ms; it must be in [1000 ms, 86400000 ms]"},
      {[](auto& c) { c.max_ejected_ratio = 1.1; }, "max_ejected_ratio is 1.1; it must be in [0, 1]"},
      {[](auto& c) { c.slow_start = -1ms; }, "slow_start is -1 ms; it must be in [0 ms, 3600000 ms]"},
      {[](auto& c) { c.latency_window = 0ms; }, "latency_window is 0 ms; it must be in [1 ms, 3600000 ms]"},
      {[](auto& c) { c.primary_read_sessions = 0; }, "primary_read_sessions is 0; it must be in [1, 10000]"},
      {[](auto& c) { c.fallback_ratio = std::nan(""); }, "fallback_ratio is nan; it must be in [0, 1]"},
      {[](auto& c) { c.buffer_for = 601s; }, "buffer_for is 601000 ms; it must be in [0 ms, 600000 ms]"},
      {[](auto& c) { c.max_buffered = 1'000'001; }, "max_buffered is 1000001; it must be in [0, 1000000]"},
      {[](auto& c) { c.claim_lapse = 999ms; }, "claim_lapse is 999 ms; it must be in [1000 ms, 86400000 ms]"},
  };
  for (const auto& [change, problem] : rows) {
    routing_config config;
    change(config);
    const auto valid = validate(config, {{"a"}});
    REQUIRE_FALSE(valid.has_value());
    CHECK(valid.error() == problem);
  }
}

TEST_CASE("route_config.a_problem_names_the_node") {
  const auto problem = [](const std::vector<routing_node>& nodes) { return validate({}, nodes).error(); };
  CHECK(problem({}) == "nodes size is 0; it must be in [1, 64]");
  CHECK(problem(std::vector<routing_node>(65, {"a"})) == "nodes size is 65; it must be in [1, 64]");
  CHECK(problem({{"a"}, {""}}) == "nodes[1].name length is 0; it must be in [1, 64]");
  CHECK(problem({{"a"}, {"b", 0.0}}) == "nodes[1].weight is 0; it must be in [0.01, 100]");
  CHECK(problem({{"a"}, {"b"}, {"a"}}) == "nodes[2].name is 'a', as that of another node; each must have its own");
}
