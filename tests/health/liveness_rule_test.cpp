// SPDX-License-Identifier: Apache-2.0
#include <spillway/health/liveness_rule.hpp>

#include <doctest/doctest.h>

using namespace spillway;
using namespace std::chrono_literals;

TEST_CASE("liveness_rule.beats_in_time_until_the_allowed_age") {
  CHECK(beats_in_time.alive({10s, 0s, 10s}));
  CHECK_FALSE(beats_in_time.alive({10s + 1ns, 0s, 10s}));
}

TEST_CASE("liveness_rule.a_rule_of_ones_own_sees_the_heartbeat") {
  constexpr liveness_rule strict{[](loop_heartbeat beat) noexcept { return beat.age < beat.allowed_age / 2 && beat.lag < 1s; }};
  CHECK(strict.alive({4s, 0s, 10s}));
  CHECK_FALSE(strict.alive({5s, 0s, 10s}));
  CHECK_FALSE(strict.alive({4s, 1s, 10s}));
}
