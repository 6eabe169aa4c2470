// SPDX-License-Identifier: Apache-2.0
#include "health/health_rollup.hpp"

#include <doctest/doctest.h>

#include <array>
#include <vector>

using namespace spillway;
using namespace spillway::detail;

TEST_CASE("health_rollup.without_checks_all_is_well") {
  const auto rolled = roll_up({});
  CHECK(rolled.state == health_state::ok);
  CHECK(rolled.ready);
  CHECK(rolled.weight_ratio == 1.0);
  CHECK(rolled.reason.empty());
}

TEST_CASE("health_rollup.every_combination_of_three_checks") {
  constexpr std::array states{health_state::ok, health_state::degraded, health_state::failed, health_state::unknown};
  constexpr std::array criticalities{health_criticality::critical, health_criticality::non_critical};
  std::vector<check_standing> kinds;
  for (const auto state : states) {
    for (const auto criticality : criticalities) kinds.push_back({state, criticality, 0.5});
  }
  for (const auto& a : kinds) {
    for (const auto& b : kinds) {
      for (const auto& c : kinds) {
        const std::array<check_standing, 3> checks{a, b, c};
        const auto any = [&checks](health_state state, bool critical) {
          for (const auto& check : checks) {
            if (check.state == state && (check.criticality == health_criticality::critical) == critical) return true;
          }
          return false;
        };
        const auto rolled = roll_up(checks);
        if (any(health_state::failed, true)) {
          CHECK(rolled.state == health_state::failed);
          CHECK(rolled.reason == "check_failed");
        } else if (any(health_state::unknown, true)) {
          CHECK(rolled.state == health_state::unknown);
          CHECK(rolled.reason == "check_unknown");
        } else if (any(health_state::degraded, true) || any(health_state::degraded, false) || any(health_state::failed, false) ||
                   any(health_state::unknown, false)) {
          CHECK(rolled.state == health_state::degraded);
          CHECK(rolled.reason == "check_degraded");
        } else {
          CHECK(rolled.state == health_state::ok);
        }
        const bool ready = rolled.state == health_state::ok || rolled.state == health_state::degraded;
        CHECK(rolled.ready == ready);
        CHECK(rolled.weight_ratio == (!ready ? 0.0 : rolled.state == health_state::ok ? 1.0 : 0.5));
      }
    }
  }
}

TEST_CASE("health_rollup.the_lowest_weight_of_those_not_ok_is_taken") {
  const std::array<check_standing, 3> checks{{{health_state::ok, health_criticality::critical, 0.0},
                                              {health_state::degraded, health_criticality::critical, 0.7},
                                              {health_state::failed, health_criticality::non_critical, 0.3}}};
  CHECK(roll_up(checks).weight_ratio == 0.3);
}
