// SPDX-License-Identifier: Apache-2.0
#include "health/health_core.hpp"
#include "health/health_rollup.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

using namespace spillway;
using namespace spillway::detail;
using namespace std::chrono_literals;

namespace {

constexpr time_point zero{};

health_check_config config_of(std::uint32_t failures, std::uint32_t successes) {
  return {.name = "check",
          .interval = 10s,
          .timeout = 2s,
          .stale_after = 30s,
          .failures_to_fail = failures,
          .successes_to_recover = successes,
          .jitter_ratio = 0.0};
}

/// What the state should be, by the words of the documentation: all answers since knowledge was last stale, and for each
/// answer the worst level that the last `failures` all reach, or the best that the last `successes` all reach.
class reference {
 public:
  explicit reference(const health_check_config& config) : config_{config} {}

  void answer(health_state given, time_point now) {
    if (given == health_state::unknown) return;
    if (stale(now)) {
      history_ = {given};
      state_ = given;
    } else {
      history_.push_back(given);
      if (const auto mildest = extreme(config_.failures_to_fail, false); mildest && *mildest > state_) {
        state_ = *mildest;
      } else if (const auto worst = extreme(config_.successes_to_recover, true); worst && *worst < state_) {
        state_ = *worst;
      }
    }
    last_ = now;
  }
  [[nodiscard]] bool stale(time_point now) const { return !last_ || now - *last_ > *config_.stale_after; }
  [[nodiscard]] health_state state(time_point now) const { return stale(now) ? health_state::unknown : state_; }

 private:
  std::optional<health_state> extreme(std::size_t count, bool worst) const {
    if (history_.size() < count) return std::nullopt;
    const auto begin = history_.end() - static_cast<std::ptrdiff_t>(count);
    return worst ? *std::max_element(begin, history_.end()) : *std::min_element(begin, history_.end());
  }

  health_check_config config_;
  std::vector<health_state> history_;
  health_state state_{health_state::unknown};
  std::optional<time_point> last_;
};

}  // namespace

TEST_CASE("health_core.is_unknown_until_the_first_answer_which_counts_at_once") {
  for (const auto first : {health_state::ok, health_state::degraded, health_state::failed}) {
    health_core core{config_of(3, 2)};
    CHECK(core.state(zero) == health_state::unknown);
    CHECK(core.due(zero));
    core.started(zero, 0);
    CHECK(core.state(zero) == health_state::unknown);
    CHECK(core.finished(first, zero + 1s));
    CHECK(core.state(zero + 1s) == first);
    CHECK(core.ever_up() == (first != health_state::failed));
  }
}

TEST_CASE("health_core.every_short_sequence_of_answers_agrees_with_the_reference") {
  // ok, degraded, failed, an answer that says nothing, and a silence after which all is stale
  constexpr int letters{5};
  constexpr int length{6};
  int sequences{1};
  for (int i = 0; i < length; ++i) sequences *= letters;
  for (std::uint32_t failures = 1; failures <= 3; ++failures) {
    for (std::uint32_t successes = 1; successes <= 3; ++successes) {
      const auto config = config_of(failures, successes);
      for (int sequence = 0; sequence < sequences; ++sequence) {
        health_core core{config};
        reference expected{config};
        auto now = zero;
        for (int i = 0, rest = sequence; i < length; ++i, rest /= letters) {
          now += rest % letters == 4 ? 31s : 1s;
          if (rest % letters < 4) {
            const auto answer = static_cast<health_state>(rest % letters);
            core.reported(answer, now);
            expected.answer(answer, now);
          }
          if (core.state(now) != expected.state(now)) {
            FAIL("sequence ", sequence, " at ", i, " with ", failures, "/", successes, ": ", to_string(core.state(now)), " instead of ",
                 to_string(expected.state(now)));
          }
        }
      }
    }
  }
}

TEST_CASE("health_core.truth_table_of_state_hysteresis_staleness_and_criticality") {
  const auto config = config_of(3, 2);
  for (const auto criticality : {health_criticality::critical, health_criticality::non_critical}) {
    for (const auto confirmed : {health_state::ok, health_state::degraded, health_state::failed}) {
      for (const auto then : {health_state::ok, health_state::degraded, health_state::failed}) {
        for (std::uint32_t repeats = 0; repeats <= 4; ++repeats) {
          for (const bool stale : {false, true}) {
            health_core core{config};
            auto now = zero;
            core.reported(confirmed, now);
            for (std::uint32_t i = 0; i < repeats; ++i) core.reported(then, now += 1s);
            now += stale ? 30s + 1ns : 30s;

            const bool enough = repeats >= (then > confirmed ? 3U : 2U);
            const auto state = stale ? health_state::unknown : enough ? then : confirmed;
            CHECK(core.state(now) == state);

            const bool critical = criticality == health_criticality::critical;
            const bool ready = !critical || state == health_state::ok || state == health_state::degraded;
            const std::array<check_standing, 1> standing{{{core.state(now), criticality, 0.5}}};
            const auto rolled = roll_up(standing);
            CHECK(rolled.ready == ready);
            CHECK(rolled.state == (state == health_state::ok ? health_state::ok : ready ? health_state::degraded : state));
            CHECK(rolled.weight_ratio == (state == health_state::ok ? 1.0 : ready ? 0.5 : 0.0));
          }
        }
      }
    }
  }
}

TEST_CASE("health_core.a_run_past_its_deadline_has_failed_and_is_not_started_again_until_it_returns") {
  health_core core{config_of(2, 1)};
  core.reported(health_state::ok, zero);
  core.started(zero, 0);
  CHECK(core.run_at() == zero + 2s);
  CHECK_FALSE(core.tick(zero + 2s - 1ns));
  CHECK_FALSE(core.hung(zero + 2s - 1ns));
  CHECK(core.hung(zero + 2s));  // also before anybody noticed
  CHECK(core.tick(zero + 2s));
  CHECK(core.phase() == run_phase::hung);
  CHECK(core.state(zero + 2s) == health_state::ok);  // one failure of two
  CHECK_FALSE(core.tick(zero + 11s));
  CHECK_FALSE(core.due(zero + 1h));
  CHECK_FALSE(core.tick(zero + 12s));  // not new, but it counts once more
  CHECK(core.state(zero + 12s) == health_state::failed);
  CHECK_FALSE(core.finished(health_state::ok, zero + 13s));  // too late to mean anything
  CHECK(core.state(zero + 13s) == health_state::failed);
  CHECK(core.due(zero + 13s));
  CHECK(core.outcomes() == std::array<std::uint64_t, run_outcomes>{1, 0, 0, 0, 2});
}

TEST_CASE("health_core.a_hung_run_never_becomes_stale_while_it_is_watched") {
  health_core core{config_of(1, 1)};
  core.started(zero, 0);
  for (auto now = zero; now < zero + 1h; now += 1s) {
    (void)core.tick(now);
    if (now >= zero + 2s) REQUIRE(core.state(now) == health_state::failed);
  }
}

TEST_CASE("health_core.an_answer_at_the_deadline_is_late_whoever_notices_first") {
  for (const bool tick_first : {true, false}) {
    health_core core{config_of(1, 1)};
    core.started(zero, 0);
    if (tick_first) CHECK(core.tick(zero + 2s));
    CHECK_FALSE(core.finished(health_state::ok, zero + 2s));
    CHECK(core.state(zero + 2s) == health_state::failed);
    CHECK(core.phase() == run_phase::idle);
    CHECK(core.outcomes()[4] == 1);
  }
}

TEST_CASE("health_core.an_answer_of_unknown_keeps_what_was_known_until_it_is_stale") {
  health_core core{config_of(1, 1)};
  core.reported(health_state::ok, zero);
  core.reported(health_state::unknown, zero + 20s);
  CHECK(core.state(zero + 30s) == health_state::ok);
  CHECK(core.state(zero + 30s + 1ns) == health_state::unknown);
  CHECK(core.stale_at() == zero + 30s + 1ns);
}

TEST_CASE("health_core.the_next_start_is_an_interval_and_a_share_of_jitter_away") {
  auto config = config_of(1, 1);
  config.jitter_ratio = 0.2;
  for (const double draw : {0.0, 0.5, 0.999}) {
    health_core core{config};
    core.started(zero, draw);
    (void)core.finished(health_state::ok, zero + 1s);
    const auto next = zero + 10s + std::chrono::nanoseconds{static_cast<std::int64_t>(2e9 * draw)};
    CHECK(core.run_at() == next);
    CHECK_FALSE(core.due(next - 1ns));
    CHECK(core.due(next));
  }
}

TEST_CASE("health_core.random_runs_agree_with_the_reference") {
  const auto seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 generator{seed};
  const auto draw = [&generator](int below) { return std::uniform_int_distribution<int>{0, below - 1}(generator); };
  for (int round = 0; round < 400; ++round) {
    const auto config = config_of(static_cast<std::uint32_t>(1 + draw(4)), static_cast<std::uint32_t>(1 + draw(4)));
    health_core core{config};
    reference expected{config};
    auto now = zero;
    auto next_start = zero;
    std::optional<time_point> run;  // when it started
    time_point next_failure{};
    bool hung{false};
    for (int step = 0; step < 400; ++step) {
      now += std::chrono::milliseconds{draw(draw(8) == 0 ? 40'000 : 3'000)};
      // The reference notices deadlines at each step, once a step, as a monitor would.
      const bool fails = run && now >= next_failure;
      REQUIRE(core.tick(now) == (fails && !hung));
      if (fails) {
        expected.answer(health_state::failed, now);
        next_failure = now + config.interval;
        hung = true;
      }
      REQUIRE(core.due(now) == (!run && now >= next_start));
      if (core.due(now) && draw(3) > 0) {
        core.started(now, 0);
        run = now;
        next_failure = now + config.timeout;
        next_start = now + config.interval;
      } else if (run && draw(3) == 0) {
        const auto answer = static_cast<health_state>(draw(4));
        REQUIRE(core.finished(answer, now) == !hung);
        if (!hung) expected.answer(answer, now);
        run.reset();
        hung = false;
      }
      REQUIRE(core.state(now) == expected.state(now));
    }
  }
}

TEST_CASE("health_core.a_bad_configuration_names_the_field") {
  const auto refusal = [](auto change) {
    auto config = config_of(1, 1);
    change(config);
    try {
      check_config(config, check_kind::run);
    } catch (const std::invalid_argument& refused) {
      return std::string{refused.what()};
    }
    return std::string{"taken"};
  };
  CHECK(refusal([](auto&) {}) == "taken");
  CHECK(refusal([](auto& c) { c.name = ""; }) == "health_check_config.name is ''; it must be 1 to 64 of [A-Za-z0-9_.-]");
  CHECK(refusal([](auto& c) { c.name = "a b"; }) == "health_check_config.name is 'a b'; it must be 1 to 64 of [A-Za-z0-9_.-]");
  CHECK(refusal([](auto& c) { c.interval = 9ms; }) == "health_check_config.interval is 9 ms; it must be in [10 ms, 86400000 ms]");
  CHECK(refusal([](auto& c) { c.timeout = 0ms; }) == "health_check_config.timeout is 0 ms; it must be in [1 ms, 3600000 ms]");
  CHECK(refusal([](auto& c) { c.stale_after = 12s; }) == "health_check_config.stale_after is 12000 ms; it must be in [12001 ms, 604800000 ms]");
  CHECK(refusal([](auto& c) { c.failures_to_fail = 0; }) == "health_check_config.failures_to_fail is 0; it must be in [1, 100]");
  CHECK(refusal([](auto& c) { c.successes_to_recover = 101; }) == "health_check_config.successes_to_recover is 101; it must be in [1, 100]");
  CHECK(refusal([](auto& c) { c.jitter_ratio = 1.5; }) == "health_check_config.jitter_ratio is 1.5; it must be in [0, 1]");
  CHECK(refusal([](auto& c) { c.degraded_weight_ratio = -0.1; }) == "health_check_config.degraded_weight_ratio is -0.1; it must be in [0, 1]");
  CHECK(refusal([](auto& c) { c.degraded_weight_ratio = std::nan(""); }).starts_with("health_check_config.degraded_weight_ratio is nan"));
}

TEST_CASE("health_core.the_least_stale_after_never_makes_a_healthy_check_unknown") {
  auto config = config_of(1, 1);
  config.jitter_ratio = 0.5;
  config.stale_after = 17s;
  CHECK_THROWS_WITH_AS(check_config(config, check_kind::run),
                       "health_check_config.stale_after is 17000 ms; it must be in [17001 ms, 604800000 ms]", std::invalid_argument);
  config.stale_after = 17'001ms;
  check_config(config, check_kind::run);
  health_core core{config};
  core.started(zero, 0.999);
  CHECK(core.finished(health_state::ok, zero));
  const auto second = core.run_at();
  core.started(second, 0.0);
  CHECK(core.state(second + 2s - 1ns) == health_state::ok);  // a moment before its deadline
}

TEST_CASE("health_core.a_reporter_may_be_stale_at_once") {
  auto config = config_of(1, 1);
  config.stale_after = 1ms;
  check_config(config, check_kind::reporter);
  config.stale_after = 0ms;
  CHECK_THROWS_WITH_AS(check_config(config, check_kind::reporter),
                       "health_check_config.stale_after is 0 ms; it must be in [1 ms, 604800000 ms]", std::invalid_argument);
}

TEST_CASE("health_core.no_stale_after_means_three_intervals_and_the_timeout") {
  CHECK(staleness({.name = "check", .interval = 10s, .timeout = 2s}) == 32s);
  CHECK(staleness({.name = "check", .interval = 10s, .timeout = 2s, .stale_after = 13s}) == 13s);
}
