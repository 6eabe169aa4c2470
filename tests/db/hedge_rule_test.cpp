// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/hedge_rule.hpp"
#include "support/literal_time.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace spillway;
using namespace std::chrono_literals;
using detail::hedge_limits;
using detail::hedge_rule;
using testing::at;

TEST_CASE("hedge_rule.waits_for_as_long_as_nearly_all_take") {
  hedge_rule rule;
  CHECK_FALSE(rule.delay());
  for (int i = 0; i < 99; ++i) rule.took(1ms, at(0s));
  CHECK_FALSE(rule.delay());  // too few
  for (int i = 0; i < 901; ++i) rule.took(i % 10 == 0 ? 40ms : 1ms, at(0s));
  REQUIRE(rule.delay());
  CHECK(*rule.delay() >= 40ms);  // a tenth takes that long
  CHECK(*rule.delay() <= 50ms);
  hedge_rule rarely;
  for (int i = 0; i < 1'000; ++i) rarely.took(i % 50 == 0 ? 40ms : 1ms, at(0s));
  CHECK(*rarely.delay() >= 1ms);
  CHECK(*rarely.delay() <= 1250us);
}

TEST_CASE("hedge_rule.goes_on_while_the_budget_covers_those_that_are_slow") {
  for (const int budget : {1, 5, 20}) {
    CAPTURE(budget);
    hedge_rule rule{{.budget_ratio = budget / 100.0}};
    const auto share = std::max(budget - 1, 1);  // of a hundred
    int late{0};
    for (int i = 0; i < 20'000; ++i) {
      rule.asked();
      const auto delay = rule.delay();
      const bool slow = i * share % 100 < share;
      const bool saved = slow && delay && *delay < 40ms && rule.try_spend();
      const auto took = saved ? *delay + 1ms : std::chrono::nanoseconds{slow ? 50ms : 1ms};
      if (i >= 10'000 && took >= 40ms) ++late;
      rule.took(took, at(i * 1ms));
    }
    CHECK(late <= 10);
  }
}

TEST_CASE("hedge_rule.the_delay_has_bounds") {
  hedge_rule rule;
  for (int i = 0; i < 1'000; ++i) rule.took(0ns, at(0s));
  CHECK(*rule.delay() == 500us);
  for (int i = 0; i < 1'000; ++i) rule.took(1h, at(0s));
  CHECK(*rule.delay() == 250ms);
  rule.took(-1ns, at(0s));
}

TEST_CASE("hedge_rule.forgets_half_each_half_life") {
  hedge_rule rule;
  for (int i = 0; i < 1'000; ++i) rule.took(100ms, at(0s));
  for (int i = 0; i < 1'000; ++i) rule.took(1ms, at(60s));
  CHECK(*rule.delay() <= 1250us);  // 1,000 / 64 are left of the slow ones
  rule.took(1ms, at(100h));
  CHECK_FALSE(rule.delay());
}

TEST_CASE("hedge_rule.spends_no_more_than_its_share_whatever_happens") {
  const auto seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937_64 random{seed};
  hedge_rule rule;
  CHECK_FALSE(rule.try_spend());
  int asked{0};
  int spent{0};
  for (int i = 0; i < 100'000; ++i) {
    if (random() % 3 == 0) {
      rule.asked();
      ++asked;
    } else if (rule.try_spend()) {
      ++spent;
    }
    REQUIRE(spent <= asked * 0.05 + 1e-6);
  }
  CHECK(spent > asked * 0.049);
}

TEST_CASE("hedge_rule.saves_up_no_more_than_the_burst") {
  hedge_rule rule;
  for (int i = 0; i < 100'000; ++i) rule.asked();
  int spent{0};
  while (rule.try_spend()) ++spent;
  CHECK(spent <= 10);
  CHECK(spent >= 9);
}

TEST_CASE("hedge_rule.a_quantile_is_at_most_a_quarter_too_high") {
  for (auto took = 600us; took < 200ms; took += took / 7) {
    hedge_rule rule;
    for (int i = 0; i < 100; ++i) rule.took(took, at(0s));
    CAPTURE(took.count());
    CHECK(*rule.delay() >= took);
    CHECK(*rule.delay() <= took * 5 / 4 + 1us);
  }
}
