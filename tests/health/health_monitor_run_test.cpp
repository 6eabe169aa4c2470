// SPDX-License-Identifier: Apache-2.0
// The monitor with real threads.
#include <spillway/core/io_runner.hpp>
#include <spillway/health/health_monitor.hpp>
#include <spillway/testing/manual_clock.hpp>

#include "health/waiting.hpp"

#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace spillway;
using namespace spillway::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

std::size_t count_of(const health_report& report, health_state state) {
  const auto is = [state](const auto& one) { return one.state == state; };
  return static_cast<std::size_t>(std::count_if(report.checks.begin(), report.checks.end(), is));
}

}  // namespace

TEST_CASE("health_monitor.fifty_checks_of_which_ten_hang_for_ever_are_answered_from_memory") {
  constexpr int all{50};
  constexpr int hanging{10};
  const auto gate = std::make_shared<std::latch>(1);
  manual_clock clock;
  std::atomic<int> runs_of_hanging{0};
  health_monitor monitor{{}, clock};
  for (int i = 0; i < all; ++i) {
    health_check_config config{.name = "c" + std::to_string(i), .interval = 10s, .timeout = 2s, .failures_to_fail = 1, .jitter_ratio = 0.0};
    if (i < hanging) {
      monitor.add(config, [gate, &runs_of_hanging](const auto&) {
        ++runs_of_hanging;
        gate->wait();
        return health_result::ok();
      });
    } else {
      monitor.add(config, [](const auto&) { return health_result::ok("well"); });
    }
  }
  const auto ready = [&monitor] { return monitor.report(health_probe::readiness); };
  // Everybody else gets a turn although ten threads never come back.
  await([&] {
    monitor.poll();
    return count_of(ready(), health_state::ok) == all - hanging;
  });
  await([&] { return runs_of_hanging == hanging; });
  CHECK(count_of(ready(), health_state::unknown) == hanging);

  for (int interval = 0; interval < 5; ++interval) {
    clock.advance(10s);
    await([&] {
      monitor.poll();
      const auto report = ready();
      return std::count_if(report.checks.begin(), report.checks.end(),
                           [](const auto& one) { return one.state == health_state::ok && one.age == 0ns; }) == all - hanging;
    });
    // No latch was opened: these answers wait for no check.
    for (int probe = 0; probe < 200; ++probe) {
      const auto report = ready();
      REQUIRE(report.http_status == 503);
      REQUIRE(report.reason == "check_failed");
      REQUIRE(count_of(report, health_state::failed) == hanging);
      REQUIRE(count_of(report, health_state::ok) == all - hanging);
    }
    CHECK(monitor.stats().hung == hanging);
    CHECK(runs_of_hanging == hanging);  // never started twice
  }

  gate->count_down();
  await([&] {
    monitor.poll();
    return monitor.stats().hung == 0 && monitor.stats().running == 0 && runs_of_hanging >= 2 * hanging;
  });
  clock.advance(10s);  // all have been well once; twice is enough
  await([&] {
    monitor.poll();
    return ready().http_status == 200;
  });
}

TEST_CASE("health_monitor.when_all_threads_hang_other_checks_become_unknown_and_recover") {
  tally entered;
  std::latch release{1};
  manual_clock clock;
  health_monitor monitor{{.max_threads = 2}, clock};
  for (int i = 0; i < 2; ++i) {
    monitor.add({.name = "hangs" + std::to_string(i), .jitter_ratio = 0.0}, [&](const auto&) {
      entered.arrive();
      release.wait();
      return health_result::ok();
    });
  }
  monitor.poll();
  entered.wait_for(2);
  std::atomic<int> runs{0};
  monitor.add({.name = "starved"}, [&runs](const auto&) {
    ++runs;
    return health_result::ok();
  });
  for (int i = 0; i < 10; ++i) {
    clock.advance(10s);
    monitor.poll();
  }
  CHECK(runs == 0);
  CHECK(monitor.report(health_probe::readiness).checks[2].state == health_state::unknown);
  release.count_down();
  await([&] {
    monitor.poll();
    return runs > 0;
  });
}

TEST_CASE("health_monitor.poll_comes_back_soon_if_no_thread_was_free") {
  std::latch release{1};
  manual_clock clock;
  health_monitor monitor{{.max_threads = 1, .heartbeat_interval = 1min, .max_heartbeat_age = 2min}, clock};
  for (const auto* name : {"first", "second"}) {
    monitor.add({.name = name, .interval = 1h, .timeout = 1h}, [&release](const auto&) {
      release.wait();
      return health_result::ok();
    });
  }
  CHECK(monitor.poll() == time_point{100ms});
  release.count_down();
}

TEST_CASE("health_monitor.with_too_few_threads_checks_take_turns") {
  manual_clock clock;
  health_monitor monitor{{.max_threads = 1}, clock};
  std::array<std::atomic<int>, 3> runs{};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    monitor.add({.name = "c" + std::to_string(i), .interval = 10ms, .jitter_ratio = 0.0}, [&runs, i](const auto&) {
      ++runs[i];
      return health_result::ok();
    });
  }
  for (int all = 1; all <= 30; ++all) {  // every check is due all the time, and one at a time gets the thread
    clock.advance(20ms);
    await([&] {
      monitor.poll();
      return runs[0] + runs[1] + runs[2] >= all;
    });
  }
  // Not exactly ten each: whether the thread is free again when the next poll comes is up to the scheduler.
  for (const auto& count : runs) CHECK(count.load() >= 5);
}

TEST_CASE("health_monitor.the_destructor_leaves_a_hung_check_behind_and_names_it") {
  struct shared_gate {
    std::latch entered{1};
    std::latch release{1};
    std::latch ended{1};
  };
  const auto gate = std::make_shared<shared_gate>();
  std::string named;
  {
    health_monitor monitor{{.shutdown_wait = 0ms, .log = [&named](const log_event& event) {
                             if (event.fields[0].name == "checks") named = event.fields[0].value;
                           }}};
    monitor.add(quick("stuck"), [gate](const health_check_context&) {
      gate->entered.count_down();
      gate->release.wait();
      gate->ended.count_down();
      return health_result::ok();
    });
    monitor.poll();
    gate->entered.wait();
  }
  CHECK(named == "stuck");
  gate->release.count_down();
  gate->ended.wait();
}

TEST_CASE("health_monitor.a_check_that_heeds_its_stop_token_ends_with_the_monitor") {
  std::latch entered{1};
  std::atomic<bool> stopped{false};
  {
    health_monitor monitor{{.shutdown_wait = 30s}};
    monitor.add(quick("patient"), [&](const health_check_context& context) {
      entered.count_down();
      while (!context.stop.stop_requested()) std::this_thread::yield();
      stopped = true;
      return health_result::unknown("stopped");
    });
    monitor.poll();
    entered.wait();
  }
  CHECK(stopped);
}

TEST_CASE("health_monitor.start_runs_checks_again_and_again_until_stop") {
  io_runner runner{[] {
    io_runner_config config;
    config.threads = 2;
    return config;
  }()};
  runner.start();
  health_monitor monitor;
  tally blocking_runs;
  tally async_runs;
  monitor.add(quick("blocking"), [&](const auto&) {
    blocking_runs.arrive();
    return health_result::ok();
  });
  monitor.start(runner.executor());
  monitor.add_async(quick("async"), [&](const health_check_context&, health_completion done) {  // added while it runs
    async_runs.arrive();
    asio::post(runner.executor(), [done = std::move(done)] { done(health_result::ok()); });
  });
  blocking_runs.wait_for(5);
  async_runs.wait_for(5);
  await([&] { return monitor.report(health_probe::readiness).http_status == 200; });
  monitor.stop();
  runner.stop();
  try {
    monitor.start(runner.executor());
    FAIL("started again");
  } catch (const boost::system::system_error& refused) {
    CHECK(refused.code() == health_errc::stopped);
    CHECK(refused.code() == errc::shutting_down);
  }
}

TEST_CASE("health_monitor.everything_at_once_from_many_threads") {
  io_runner runner{[] {
    io_runner_config config;
    config.threads = 2;
    return config;
  }()};
  runner.start();
  std::atomic<int> changes{0};
  std::atomic<int> inside{0};
  {
    health_monitor monitor{{.max_threads = 4,
                            .heartbeat_interval = 10ms,
                            .on_change =
                                [&](const health_change&) {
                                  CHECK(inside.fetch_add(1) == 0);  // one at a time
                                  ++changes;
                                  --inside;
                                },
                            .log = [](const log_event&) {}}};
    monitor.watch_loop("one", runner.executor());
    std::atomic<int> run{0};
    for (int i = 0; i < 6; ++i) {
      monitor.add(quick("blocking" + std::to_string(i)),
                  [&run](const auto&) { return ++run % 3 == 0 ? health_result::failed("third") : health_result::ok(); });
      monitor.add_async(quick("async" + std::to_string(i)), [&](const health_check_context&, health_completion done) {
        asio::post(runner.executor(), [done = std::move(done), &run] {
          done(++run % 5 == 0 ? health_result::degraded("fifth") : health_result::ok());
        });
      });
    }
    const auto reporter = monitor.add_reporter(quick("pushed"));
    const auto beat = monitor.add_heartbeat("own");
    monitor.start(runner.executor());
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 300; ++i) {
          (void)to_json(monitor.report(static_cast<health_probe>(i % 3)), health_detail::full);
          reporter.report(i % 2 == 0 ? health_result::ok() : health_result::failed("odd"));
          beat.beat();
          (void)monitor.stats();
          if (i == 150) monitor.add(quick("late" + std::to_string(t)), [](const auto&) { return health_result::ok(); });
          if (i % 50 == 0) monitor.poll();
          monitor.set_draining(i % 2 == 0);
        }
      });
    }
    for (auto& thread : threads) thread.join();
    await([&run] { return run > 50; });
    std::thread stopper{[&monitor] { monitor.stop(); }};
    monitor.stop();
    stopper.join();
  }
  const int told = changes;
  CHECK(told > 0);
  runner.stop();
  CHECK(changes == told);  // nobody is told after the destructor
}
