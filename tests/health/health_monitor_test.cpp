// SPDX-License-Identifier: Apache-2.0
#include <spillway/health/health_monitor.hpp>

#include "health/monitored.hpp"

#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace spillway;
using namespace spillway::testing;
using namespace std::chrono_literals;

namespace {

template <class Act>
std::string refusal(Act act) {
  try {
    act();
  } catch (const std::invalid_argument& refused) {
    return refused.what();
  }
  return "taken";
}

}  // namespace

TEST_CASE("health_monitor.is_not_ready_before_a_critical_check_has_answered") {
  monitored with;
  auto state = health_state::ok;
  with.monitor.add(plain("database"), [&state](const auto&) { return health_result{state, "said"}; });
  CHECK(with.ready().http_status == 503);
  CHECK(with.ready().reason == "check_unknown");
  with.run();
  CHECK(with.ready().http_status == 200);
  CHECK(with.ready().state == health_state::ok);
  CHECK(with.check("database").message == "said");
  state = health_state::failed;
  with.advance_and_run(10s);
  CHECK(with.ready().http_status == 503);
  CHECK(with.ready().reason == "check_failed");
  CHECK(with.ready().weight_ratio == 0.0);
  CHECK(with.changes == std::vector<std::string>{"database: unknown to ok", "database: ok to failed"});
}

TEST_CASE("health_monitor.a_non_critical_failure_degrades_and_suggests_a_weight") {
  monitored with;
  auto config = plain("cache", health_criticality::non_critical);
  config.degraded_weight_ratio = 0.25;
  with.monitor.add(config, [](const auto&) { return health_result::failed("gone"); });
  with.run();
  CHECK(with.ready().http_status == 200);
  CHECK(with.ready().state == health_state::degraded);
  CHECK(with.ready().weight_ratio == 0.25);
  CHECK(to_json(with.ready()) == R"({"status":"degraded","reason":"check_degraded","weight":0.25})");
}

TEST_CASE("health_monitor.draining_makes_it_unready_at_once_and_leaves_liveness_alone") {
  monitored with;
  with.monitor.add(plain("database"), [](const auto&) { return health_result::ok(); });
  with.run();
  CHECK(with.ready().http_status == 200);
  with.monitor.set_draining();
  CHECK(with.ready().http_status == 503);
  CHECK(to_json(with.ready()) == R"({"status":"failed","reason":"draining","weight":0})");
  CHECK(with.monitor.report(health_probe::liveness).http_status == 200);
  with.monitor.set_draining(false);
  CHECK(with.ready().http_status == 200);
}

TEST_CASE("health_monitor.startup_waits_for_each_critical_check_to_be_well_once_and_stays") {
  monitored with;
  auto state = health_state::failed;
  with.monitor.add(plain("database"), [&state](const auto&) { return health_result{state, ""}; });
  with.monitor.add(plain("cache", health_criticality::non_critical), [](const auto&) { return health_result::failed("gone"); });
  const auto started = [&with] { return with.monitor.report(health_probe::startup); };
  CHECK(started().http_status == 503);
  CHECK(started().reason == "starting");
  with.run();
  CHECK(started().http_status == 503);
  state = health_state::degraded;
  with.advance_and_run(10s);
  CHECK(started().http_status == 200);
  state = health_state::failed;
  with.advance_and_run(10s);
  CHECK(with.ready().http_status == 503);
  CHECK(started().http_status == 200);
}

TEST_CASE("health_monitor.startup_waits_for_a_critical_check_that_was_added_later_too") {
  monitored with;
  const auto started = [&with] { return with.monitor.report(health_probe::startup).http_status; };
  with.monitor.add(plain("cache", health_criticality::non_critical), [](const auto&) { return health_result::ok(); });
  with.run();
  auto state = health_state::failed;
  with.monitor.add(plain("database"), [&state](const auto&) { return health_result{state, ""}; });
  CHECK(started() == 503);
  with.run();
  CHECK(started() == 503);
  state = health_state::ok;
  with.advance_and_run(10s);
  CHECK(started() == 200);
}

TEST_CASE("health_monitor.flapping_answers_do_not_change_the_state") {
  monitored with;
  auto config = plain("database");
  config.failures_to_fail = 3;
  config.successes_to_recover = 2;
  int run{0};
  with.monitor.add(config, [&run](const auto&) { return run++ % 3 < 2 && run > 1 ? health_result::failed("no") : health_result::ok(); });
  with.run();
  for (int i = 0; i < 30; ++i) with.advance_and_run(10s);
  CHECK(run == 31);
  CHECK(with.changes == std::vector<std::string>{"database: unknown to ok"});
}

TEST_CASE("health_monitor.a_storm_of_probes_runs_each_check_at_most_once_an_interval") {
  monitored with;
  std::array<int, 5> runs{};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    auto config = plain("c" + std::to_string(i));
    config.jitter_ratio = 0.5;  // only ever lengthens
    with.monitor.add(config, [&runs, i](const auto&) {
      ++runs[i];
      return health_result::ok();
    });
  }
  for (int interval = 1; interval <= 5; ++interval) {
    for (int probe = 0; probe < 1'000; ++probe) {
      with.run();
      (void)with.ready();
      (void)with.monitor.report(health_probe::startup);
      with.clock.advance(10ms);  // ten seconds in all
    }
    for (const int count : runs) {
      CHECK(count <= interval);
      CHECK(count >= 1);
    }
  }
}

TEST_CASE("health_monitor.intervals_are_jittered_differently_for_each_check") {
  monitored with;
  std::vector<time_point> second(20);
  std::vector<int> runs(20);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    auto config = plain("c" + std::to_string(i));
    config.jitter_ratio = 0.5;
    with.monitor.add(config, [&, i](const auto&) {
      if (++runs[i] == 2) second[i] = with.clock.now();
      return health_result::ok();
    });
  }
  for (int step = 0; step < 1'600; ++step) with.advance_and_run(10ms);
  std::sort(second.begin(), second.end());
  CHECK(second.front() >= time_point{10s});
  CHECK(second.back() <= time_point{15s + 20ms});
  CHECK(std::unique(second.begin(), second.end()) - second.begin() > 10);
}

TEST_CASE("health_monitor.a_check_past_its_deadline_fails_hangs_and_is_not_started_again") {
  monitored with;
  std::vector<std::string> logged;
  health_completion complete;
  std::stop_token told;
  int starts{0};
  with.monitor.add_async(plain("slow"), [&](const health_check_context& context, health_completion done) {
    ++starts;
    told = context.stop;
    CHECK(context.until.at() == with.clock.now() + 2s);
    complete = std::move(done);
  });
  with.run();
  CHECK(with.monitor.stats().running == 1);
  with.advance_and_run(1999ms);
  CHECK(with.check("slow").state == health_state::unknown);
  CHECK_FALSE(told.stop_requested());
  with.advance_and_run(1ms);
  CHECK(with.check("slow").state == health_state::failed);
  CHECK(with.check("slow").message == "no answer within 2000 ms");
  CHECK(with.check("slow").hung);
  CHECK(told.stop_requested());
  CHECK(with.monitor.stats().hung == 1);
  with.advance_and_run(1h);
  CHECK(starts == 1);
  complete(health_result::ok());  // late: worth nothing, but the check is free again
  CHECK(with.check("slow").state == health_state::failed);
  CHECK_FALSE(with.check("slow").hung);
  with.run();
  CHECK(starts == 2);
  complete(health_result::ok());
  CHECK(with.check("slow").state == health_state::ok);
}

TEST_CASE("health_monitor.only_the_first_answer_of_a_run_counts_and_none_of_an_earlier_run") {
  monitored with;
  std::vector<health_completion> completions;
  with.monitor.add_async(plain("twice"), [&](const health_check_context&, health_completion done) {
    completions.push_back(std::move(done));
  });
  with.run();
  completions[0](health_result::ok());
  completions[0](health_result::failed("again"));
  CHECK(with.check("twice").state == health_state::ok);
  with.advance_and_run(10s);
  completions[0](health_result::failed("much later"));
  CHECK(with.check("twice").state == health_state::ok);
  completions[1](health_result::degraded("now"));
  CHECK(with.check("twice").state == health_state::degraded);
}

TEST_CASE("health_monitor.a_completion_that_is_dropped_counts_as_failed") {
  monitored with;
  with.monitor.add_async(plain("lossy"), [](const health_check_context&, const health_completion&) {});
  with.run();
  CHECK(with.check("lossy").state == health_state::failed);
  CHECK(with.check("lossy").message == "ended without an answer");
  CHECK(with.monitor.stats().running == 0);
}

TEST_CASE("health_monitor.a_check_that_throws_has_failed") {
  monitored with;
  with.monitor.add(plain("blocking"), [](const auto&) -> health_result { throw std::runtime_error{"no \xFF route"}; });
  with.monitor.add(plain("odd"), [](const auto&) -> health_result { throw 1; });
  with.monitor.add_async(plain("async"), [](const health_check_context&, const health_completion&) {
    throw std::runtime_error{"at once"};
  });
  with.run();
  CHECK(with.check("blocking").message == "threw: no ? route");
  CHECK(with.check("odd").message == "threw something that is no std::exception");
  CHECK(with.check("async").message == "threw: at once");
  for (const auto& check : with.ready().checks) CHECK(check.state == health_state::failed);
}

TEST_CASE("health_monitor.a_reporter_that_falls_silent_becomes_unknown") {
  monitored with;
  const auto reporter = with.monitor.add_reporter(plain("consumer"));  // stale after 3 x 10 s + 2 s
  with.run();
  CHECK(with.check("consumer").state == health_state::unknown);
  reporter.report(health_result::ok("42 messages"));
  CHECK(with.check("consumer").state == health_state::ok);
  with.advance_and_run(32s);
  CHECK(with.check("consumer").state == health_state::ok);
  with.advance_and_run(1ms);
  CHECK(with.check("consumer").state == health_state::unknown);
  CHECK(with.changes.back() == "consumer: ok to unknown");
  const auto copy = reporter;
  copy.report(health_result::degraded("behind"));
  CHECK(with.check("consumer").state == health_state::degraded);
  CHECK(with.check("consumer").age == 0ns);
}

TEST_CASE("health_monitor.a_reporter_may_be_stale_sooner_than_an_interval") {
  monitored with;
  auto config = plain("consumer");
  config.stale_after = 1s;
  const auto reporter = with.monitor.add_reporter(config);
  reporter.report(health_result::ok());
  with.advance_and_run(1s);
  CHECK(with.check("consumer").state == health_state::ok);
  with.advance_and_run(1ms);
  CHECK(with.check("consumer").state == health_state::unknown);
}

TEST_CASE("health_monitor.a_report_is_right_even_if_nobody_polls") {
  monitored with;
  health_completion complete;
  with.monitor.add_async(plain("slow"), [&](const health_check_context&, health_completion done) { complete = std::move(done); });
  const auto reporter = with.monitor.add_reporter(plain("consumer"));
  reporter.report(health_result::ok());
  with.run();
  with.clock.advance(1min);  // the loop that drives it is stuck
  CHECK(with.check("consumer").state == health_state::unknown);
  CHECK(with.check("slow").hung);
  CHECK(with.monitor.stats().hung == 1);
}

TEST_CASE("health_monitor.poll_says_when_to_come_again") {
  monitored with;
  auto config = plain("check");
  config.interval = 700ms;
  config.timeout = 200ms;
  health_completion complete;
  with.monitor.add_async(config, [&](const health_check_context&, health_completion done) { complete = std::move(done); });
  CHECK(with.monitor.poll() == time_point{200ms});  // the deadline
  complete(health_result::ok());
  CHECK(with.monitor.poll() == time_point{700ms});  // the next start
  with.clock.advance(700ms);
  CHECK(with.monitor.poll() == time_point{900ms});
  with.clock.advance(200ms);
  CHECK(with.monitor.poll() == time_point{1'600ms});  // it hangs: counted again after an interval
  with.monitor.stop();
  CHECK(with.monitor.poll() == time_point::max());
}

TEST_CASE("health_monitor.stop_starts_nothing_more_and_asks_running_checks_to_stop") {
  monitored with;
  std::stop_token told;
  int starts{0};
  with.monitor.add_async(plain("slow"), [&](const health_check_context& context, const health_completion&) {
    ++starts;
    told = context.stop;
  });
  health_completion complete;
  std::stop_token other;
  with.monitor.add_async(plain("kept"), [&](const health_check_context& context, health_completion done) {
    other = context.stop;
    complete = std::move(done);
  });
  with.run();
  with.monitor.stop();
  with.monitor.stop();
  CHECK(other.stop_requested());
  CHECK_FALSE(told.stop_requested());  // that run is over
  with.advance_and_run(1h);
  CHECK(starts == 1);
}

TEST_CASE("health_monitor.liveness_depends_on_heartbeats_alone") {
  monitored with{{.max_heartbeat_age = 5s}};
  with.monitor.add(plain("database"), [](const auto&) { return health_result::failed("down"); });
  const auto beat = with.monitor.add_heartbeat("game");
  const auto alive = [&with] { return with.monitor.report(health_probe::liveness); };
  with.run();
  CHECK(with.ready().http_status == 503);
  CHECK(alive().http_status == 200);
  with.clock.advance(5s);
  CHECK(alive().http_status == 200);
  with.clock.advance(1ns);
  CHECK(alive().http_status == 503);
  CHECK(alive().reason == "loop_stalled");
  CHECK(alive().checks[0].name == "game");
  beat.beat();
  CHECK(alive().http_status == 200);
  with.clock.advance(1h);
  with.monitor.stop();
  CHECK(alive().http_status == 200);  // not judged any more
}

TEST_CASE("health_monitor.a_liveness_rule_of_ones_own_decides") {
  monitored with;
  constexpr liveness_rule patient{[](loop_heartbeat beat) noexcept { return beat.age <= 3 * beat.allowed_age; }};
  const auto beat = with.monitor.add_heartbeat("batch", patient);
  with.clock.advance(30s);
  CHECK(with.monitor.report(health_probe::liveness).http_status == 200);
  with.clock.advance(1ns);
  CHECK(with.monitor.report(health_probe::liveness).http_status == 503);
}

TEST_CASE("health_monitor.fatal_is_neither_alive_nor_ready_for_good") {
  monitored with;
  with.monitor.set_fatal("heap corrupted");
  with.run();
  CHECK(with.monitor.report(health_probe::liveness).http_status == 503);
  CHECK(with.monitor.report(health_probe::liveness).reason == "fatal");
  CHECK(with.monitor.report(health_probe::liveness).checks.back().message == "heap corrupted");
  CHECK(with.ready().reason == "fatal");
}

TEST_CASE("health_monitor.a_bad_configuration_names_the_field") {
  CHECK(refusal([] { health_monitor{{.max_threads = 0}}; }) == "health_monitor_config.max_threads is 0; it must be in [1, 1024]");
  CHECK(refusal([] { health_monitor{{.max_checks = 10'001}}; }) == "health_monitor_config.max_checks is 10001; it must be in [1, 10000]");
  CHECK(refusal([] { health_monitor{{.heartbeat_interval = 9ms}}; }) ==
        "health_monitor_config.heartbeat_interval is 9 ms; it must be in [10 ms, 60000 ms]");
  CHECK(refusal([] { health_monitor{{.heartbeat_interval = 1s, .max_heartbeat_age = 1s}}; }) ==
        "health_monitor_config.max_heartbeat_age is 1000 ms; it must be in [1001 ms, 86400000 ms]");
  CHECK(refusal([] { health_monitor{{.shutdown_wait = -1ms}}; }) ==
        "health_monitor_config.shutdown_wait is -1 ms; it must be in [0 ms, 60000 ms]");
}

TEST_CASE("health_monitor.a_check_that_cannot_be_added_names_why") {
  health_monitor monitor{{.max_checks = 2}};
  const blocking_health_check fine = [](const auto&) { return health_result::ok(); };
  monitor.add(plain("one"), fine);
  CHECK(refusal([&] { monitor.add(plain("one"), fine); }) ==
        "health_check_config.name is 'one'; it must be unique, and that check is there");
  CHECK(refusal([&] { monitor.add(plain("two"), blocking_health_check{}); }) == "health check 'two' has an empty function");
  monitor.add(plain("two"), fine);
  CHECK(refusal([&] { monitor.add(plain("three"), fine); }) ==
        "health check 'three' is one too many; health_monitor_config.max_checks is 2");
  CHECK(refusal([&] { monitor.watch_loop("loop", {}); }) == "watch_loop: the executor of 'loop' is empty");
  (void)monitor.add_heartbeat("a");
  (void)monitor.add_heartbeat("b");
  CHECK(refusal([&] { (void)monitor.add_heartbeat("c"); }) ==
        "heartbeat 'c' is one too many; health_monitor_config.max_checks is 2");
}

TEST_CASE("health_monitor.handles_may_outlive_it") {
  manual_clock clock;
  health_completion complete;
  auto monitor = std::make_unique<health_monitor>(health_monitor_config{}, clock);
  const auto reporter = monitor->add_reporter(plain("part"));
  const auto beat = monitor->add_heartbeat("loop");
  monitor->add_async(plain("slow"), [&](const health_check_context&, health_completion done) { complete = std::move(done); });
  monitor->poll();
  monitor.reset();
  reporter.report(health_result::ok());
  beat.beat();
  complete(health_result::ok());
}
