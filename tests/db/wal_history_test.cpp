// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/wal_history.hpp"
#include "db/route_times.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using detail::measured;
using detail::wal_history;
using testing::at;
using testing::when;

TEST_CASE("wal_history.says_up_to_which_moment_a_position_has_seen_everything") {
  wal_history history;
  CHECK_FALSE(history.fresh_until(1'000));
  history.add(when(100ms), 500);
  history.add(when(200ms), 700);
  CHECK_FALSE(history.fresh_until(499));
  CHECK(history.fresh_until(500) == at(100ms));
  CHECK(history.fresh_until(699) == at(100ms));
  CHECK(history.fresh_until(700) == at(200ms));
  CHECK(history.fresh_until(9'999) == at(200ms));
}

TEST_CASE("wal_history.says_which_position_covers_a_moment") {
  wal_history history;
  history.add(when(100ms), 500);
  history.add(when(200ms), 700);
  CHECK(history.covering(at(50ms)) == 500);
  CHECK(history.covering(at(100ms)) == 500);
  CHECK(history.covering(at(101ms)) == 700);
  CHECK(history.covering(at(200ms)) == 700);
  CHECK_FALSE(history.covering(at(201ms)));
}

TEST_CASE("wal_history.an_idle_primary_is_one_sample_that_grows_younger") {
  wal_history history;
  for (int i = 0; i < 1'000; ++i) history.add(when(i * 100ms), 500);
  CHECK(history.size() == 1);
  CHECK(history.fresh_until(500) == at(99'900ms));
  CHECK(history.covering(at(99'900ms)) == 500);
  // It has been there since the first answer, though.
  CHECK(history.passed(499) == at(1ms));
}

TEST_CASE("wal_history.says_since_when_a_position_is_passed") {
  wal_history history;
  history.add(when(100ms, 5ms), 500);
  history.add(when(200ms, 5ms), 700);
  CHECK(history.passed(400) == at(105ms));
  CHECK(history.passed(500) == at(205ms));
  CHECK_FALSE(history.passed(700));
}

TEST_CASE("wal_history.samples_out_of_order_never_claim_more") {
  wal_history history;
  history.add(when(100ms, 50ms), 900);
  history.add(when(110ms, 10ms), 600);  // measured before the other, though asked later: at 110 all lay below 600
  CHECK(history.fresh_until(600) == at(110ms));
  CHECK(history.covering(at(100ms)) == 600);
  history.add(when(105ms, 10ms), 650);  // says nothing new
  CHECK(history.size() == 1);
  history.add(when(90ms, 10ms), 500);
  CHECK(history.fresh_until(599) == at(90ms));
  CHECK(history.lowest() == 500);
}

TEST_CASE("wal_history.a_position_that_went_back_counts_as_it_is_now") {
  wal_history history;
  history.add(when(100ms), 900);
  history.add(when(200ms), 800);
  CHECK(history.last() == 800);
  CHECK(history.lowest() == 800);
  CHECK_FALSE(history.fresh_until(799));
}

TEST_CASE("wal_history.clear_forgets") {
  wal_history history;
  history.add(when(100ms), 900);
  history.clear();
  CHECK(history.empty());
  CHECK(history.lowest() == 0);
  CHECK(history.last() == 0);
  CHECK_FALSE(history.covering(at(0ms)));
}

TEST_CASE("wal_history.is_bounded_and_more_cautious_but_never_wrong_than_one_that_forgets_nothing") {
  const auto seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937_64 random{seed};
  for (int round = 0; round < 50; ++round) {
    struct fact {
      measured when;
      std::uint64_t position;
    };
    std::vector<fact> all;
    wal_history history;
    auto now = 0us;
    std::uint64_t position{1'000};
    const auto pace = 1 + random() % 20'000;
    for (int i = 0; i < 3'000; ++i) {
      now += std::chrono::microseconds{random() % pace};
      if (random() % 3 != 0) position += random() % 50;
      // The answer comes later, and others may have been asked meanwhile.
      const auto early = std::chrono::microseconds{random() % 3'000};
      const auto late = std::chrono::microseconds{random() % 3'000};
      all.push_back({{at(now - early), at(now + late)}, position});
      history.add(all.back().when, position);
      REQUIRE(history.size() <= wal_history::most);
    }
    for (int i = 0; i < 300; ++i) {
      const auto asked = 1'000 + random() % (position - 900);
      if (const auto fresh = history.fresh_until(asked)) {
        // Some fact proves it.
        REQUIRE(std::ranges::any_of(all, [&](const fact& f) { return f.when.asked >= *fresh && f.position <= asked; }));
      }
      const auto moment = at(std::chrono::microseconds{random() % static_cast<std::uint64_t>(now.count() + 1)});
      if (const auto place = history.covering(moment)) {
        REQUIRE(std::ranges::any_of(all, [&](const fact& f) { return f.when.asked >= moment && f.position <= *place; }));
      }
      if (const auto passed = history.passed(asked)) {
        REQUIRE(std::ranges::any_of(all, [&](const fact& f) { return f.when.answered <= *passed && f.position > asked; }));
      }
    }
    // And it is of use: for what happened t ago it is too cautious by less than t/2 and the distance of two samples.
    for (auto age = 0us; age < now; age += now / 10 + 1us) {
      const auto moment = at(now - age);
      const auto place = history.covering(moment);
      if (!place) continue;
      REQUIRE(history.fresh_until(*place).has_value());
      REQUIRE(*history.fresh_until(*place) >= moment);
      REQUIRE(*history.fresh_until(*place) <= moment + age / 2 + 60ms);
    }
  }
}
