// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/backoff.hpp>

#include <doctest/doctest.h>

#include <set>

using namespace spillway;
using namespace std::chrono_literals;

TEST_CASE("decorrelated_backoff.stays_between_base_and_cap") {
  std::mt19937_64 generator{7};
  decorrelated_backoff backoff{{.base = 10ms, .cap = 500ms}};
  std::set<std::chrono::milliseconds> seen;
  bool reached_cap_region{false};
  for (int i = 0; i < 10'000; ++i) {
    const auto wait = backoff.next(generator);
    REQUIRE(wait >= 10ms);
    REQUIRE(wait <= 500ms);
    seen.insert(wait);
    reached_cap_region |= wait > 400ms;
  }
  CHECK(seen.size() > 100);  // jitter: not a fixed ladder
  CHECK(reached_cap_region);
}

TEST_CASE("decorrelated_backoff.grows_by_at_most_three_times") {
  std::mt19937_64 generator{8};
  for (int run = 0; run < 1000; ++run) {
    decorrelated_backoff backoff{{.base = 10ms, .cap = 1h}};
    auto before = 10ms;
    for (int i = 0; i < 8; ++i) {
      const auto wait = backoff.next(generator);
      REQUIRE(wait <= before * 3);
      before = wait;
    }
  }
}

TEST_CASE("decorrelated_backoff.starts_over_after_reset") {
  std::mt19937_64 generator{9};
  decorrelated_backoff backoff{{.base = 10ms, .cap = 1h}};
  for (int i = 0; i < 20; ++i) (void)backoff.next(generator);
  backoff.reset();
  CHECK(backoff.next(generator) <= 30ms);
}

TEST_CASE("decorrelated_backoff.a_bad_configuration_names_the_field") {
  CHECK_THROWS_WITH_AS(decorrelated_backoff({.base = 0ms}), "backoff_config.base is 0 ms; it must be above zero", std::invalid_argument);
  CHECK_THROWS_WITH_AS(decorrelated_backoff({.base = 10ms, .cap = 9ms}),
                       "backoff_config.cap is 9 ms; it must be in [10 ms (base), 86400000 ms]", std::invalid_argument);
}
