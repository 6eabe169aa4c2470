// SPDX-License-Identifier: Apache-2.0
// Which of several, and which are left out.
#include "db/backends/postgres/latency_average.hpp"
#include "db/backends/postgres/outlier_rule.hpp"
#include "db/backends/postgres/replica_balance.hpp"
#include "support/literal_time.hpp"

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using namespace spillway::detail;
using testing::at;

namespace {

/// How many of `draws` each candidate gets, in flight left as it is.
std::vector<int> shares(read_strategy strategy, const std::vector<balance_candidate>& candidates, int draws) {
  std::mt19937_64 random{1};
  replica_balance balance{strategy};
  std::vector<int> got(candidates.size());
  for (int i = 0; i < draws; ++i) ++got[balance.pick(candidates, random())];
  return got;
}

bool about(int value, int wanted) { return value > wanted * 9 / 10 && value < wanted * 11 / 10; }

}  // namespace

TEST_CASE("replica_balance.power_of_two_takes_the_cheaper_of_the_two") {
  // latency, in flight, weight, ramp
  struct row {
    balance_candidate left;
    balance_candidate right;
    std::size_t cheaper;
  };
  for (const auto& [left, right, cheaper] : std::array<row, 8>{{{{0, 1.0, 0}, {1, 2.1, 0}, 0},
                                                               {{0, 2.1, 0}, {1, 1.0, 0}, 1},
                                                               {{0, 1.0, 1}, {1, 1.9, 0}, 1},
                                                               {{0, 1.0, 3}, {1, 2.0, 0}, 1},
                                                               {{0, 1.0, 1}, {1, 1.0, 0}, 1},
                                                               {{0, 1.0, 3, 3.0}, {1, 1.0, 1}, 0},
                                                               {{0, 1.0, 0, 1.0, 0.1}, {1, 5.0, 0}, 1},
                                                               {{0, 1.0, 0, 1.0, 0.1}, {1, 11.0, 0}, 0}}}) {
    const auto got = shares(read_strategy::power_of_two, {left, right}, 100);
    CHECK(got[cheaper] == 100);
  }
}

TEST_CASE("replica_balance.power_of_two_shares_among_equals_and_spares_the_worst") {
  const auto equal = shares(read_strategy::power_of_two, {{0}, {1}, {2}}, 9'000);
  for (const auto got : equal) CHECK(about(got, 3'000));
  const auto alike = shares(read_strategy::power_of_two, {{0, 1.9}, {1, 1.0}}, 6'000);
  CHECK(about(alike[0], 3'000));
  const auto one_bad = shares(read_strategy::power_of_two, {{0}, {1, 1.0, 9}, {2}}, 9'000);
  CHECK(one_bad[1] == 0);
}

TEST_CASE("replica_balance.round_robin_goes_round_whatever_is_missing") {
  replica_balance balance{read_strategy::round_robin};
  const std::vector<balance_candidate> all{{0}, {1}, {2}};
  CHECK(balance.pick(all, 0) == 0);
  CHECK(balance.pick(all, 0) == 1);
  CHECK(balance.pick(all, 0) == 2);
  CHECK(balance.pick(all, 0) == 0);
  const std::vector<balance_candidate> without_one{{0}, {2}};
  CHECK(balance.pick(without_one, 0) == 1);
  CHECK(balance.pick(without_one, 0) == 0);
}

TEST_CASE("replica_balance.round_robin_passes_over_one_that_has_just_come_back") {
  const auto got = shares(read_strategy::round_robin, {{0}, {1, 1.0, 0, 1.0, 0.1}}, 10'000);
  CHECK(got[1] < 1'500);
  CHECK(got[1] > 300);
}

TEST_CASE("replica_balance.weighted_goes_by_the_weights") {
  const auto got = shares(read_strategy::weighted, {{0, 1.0, 0, 1.0}, {1, 1.0, 0, 3.0}, {2, 1.0, 0, 4.0, 0.5}}, 6'000);
  CHECK(about(got[0], 1'000));
  CHECK(about(got[1], 3'000));
  CHECK(about(got[2], 2'000));
}

TEST_CASE("replica_balance.least_in_use_goes_by_what_is_in_flight") {
  CHECK(shares(read_strategy::least_in_use, {{0, 1.0, 4}, {1, 9.0, 1}, {2, 1.0, 2}}, 100)[1] == 100);
  const auto equal = shares(read_strategy::least_in_use, {{0}, {1}}, 2'000);
  CHECK(about(equal[0], 1'000));
}

TEST_CASE("replica_balance.one_candidate_is_the_choice_of_all") {
  for (const auto strategy : {read_strategy::power_of_two, read_strategy::round_robin, read_strategy::weighted, read_strategy::least_in_use}) {
    CHECK(shares(strategy, {{5, 1.0, 0, 1.0, 0.1}}, 10)[0] == 10);
  }
}

TEST_CASE("latency_average.weighs_by_time") {
  latency_average average{1s};
  CHECK_FALSE(average.value(at(0s)));
  average.add(10ms, at(0s));
  CHECK(average.value(at(0s)) == 10e6);
  // A thousand answers in the same moment are not a change of the weather.
  average.add(20ms, at(0s));
  CHECK(*average.value(at(0s)) == doctest::Approx(15e6));
  for (int i = 0; i < 10'000; ++i) average.add(20ms, at(1ms * i / 10));
  CHECK(*average.value(at(1s)) == doctest::Approx(20e6).epsilon(0.05));
  average.add(1ms, at(100s));
  CHECK(*average.value(at(100s)) == doctest::Approx(1e6).epsilon(0.01));
  CHECK(average.count() == 10'003);
}

TEST_CASE("latency_average.who_is_not_asked_is_forgiven") {
  latency_average average{1s};
  average.add(100ms, at(0s));
  CHECK(*average.value(at(1s)) == doctest::Approx(100e6));
  CHECK(*average.value(at(2s)) == doctest::Approx(100e6 / 2.718281828));
  average.clear();
  CHECK_FALSE(average.value(at(11s)));
}

TEST_CASE("outlier_rule.is_out_for_longer_each_time_and_comes_back_with_a_small_share") {
  routing_config config;
  config.ejection = {1s, 30s};
  config.slow_start = 1s;
  ejection one{config};
  CHECK(one.ramp(at(0s)) == 1.0);
  CHECK_FALSE(one.is_out());
  one.eject(at(0s), 0);
  CHECK(one.is_out());
  REQUIRE(one.until());
  CHECK(*one.until() >= at(1s));
  CHECK(*one.until() <= at(3s));
  CHECK_FALSE(one.returns(at(999ms)));
  CHECK(one.returns(*one.until()));
  CHECK_FALSE(one.is_out());
  CHECK_FALSE(one.returns(at(100s)));
  ejection other{config};
  other.starts(at(10s));
  CHECK(other.ramp(at(10s)) == doctest::Approx(0.1));
  CHECK(other.ramp(at(10'500ms)) == doctest::Approx(0.5));
  CHECK(other.ramp(at(11s)) == 1.0);
  // Again and again: never for longer than the cap, and one day for that.
  auto now = at(20s);
  std::chrono::nanoseconds longest{0};
  std::mt19937_64 random{3};
  for (int i = 0; i < 30; ++i) {
    one.eject(now, random());
    longest = std::max(longest, *one.until() - now);
    CHECK(*one.until() - now <= 30s);
    now = *one.until();
    CHECK(one.returns(now));
  }
  CHECK(longest > 10s);
  CHECK(one.count() == 31);
  now += 31s;
  one.eject(now, random());
  CHECK(*one.until() - now <= 3s);  // forgiven
}

TEST_CASE("outlier_rule.never_more_than_the_share") {
  routing_config config;
  config.max_ejected_ratio = 0.5;
  CHECK(most_ejected(config, 0) == 0);
  CHECK(most_ejected(config, 1) == 0);
  CHECK(most_ejected(config, 2) == 1);
  CHECK(most_ejected(config, 3) == 1);
  CHECK(most_ejected(config, 4) == 2);
  config.max_ejected_ratio = 0.0;
  CHECK(most_ejected(config, 10) == 0);
  config.max_ejected_ratio = 1.0;
  CHECK(most_ejected(config, 10) == 10);
}

TEST_CASE("outlier_rule.slow_is_what_is_slow_among_peers") {
  routing_config config;
  config.eject_latency_factor = 8;
  config.eject_latency_floor = 20ms;
  const auto slow = [&](double mine, std::vector<double> peers) { return is_latency_outlier(config, mine, peers); };
  CHECK_FALSE(slow(1e12, {}));
  CHECK(slow(81e6, {10e6}));
  CHECK_FALSE(slow(79e6, {10e6}));
  CHECK_FALSE(slow(19e6, {1e6}));  // below the floor
  CHECK(slow(21e6, {1e6}));
  CHECK(slow(81e6, {10e6, 500e6}));  // the lower one of two is the middle
  CHECK_FALSE(slow(81e6, {1e6, 500e6, 11e6}));
}
