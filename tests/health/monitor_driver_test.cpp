// SPDX-License-Identifier: Apache-2.0
// The monitor on loops of Asio.
#include <spillway/health/health_monitor.hpp>
#include <spillway/testing/manual_clock.hpp>

#include "health/waiting.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <latch>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

using namespace spillway;
using namespace spillway::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;

TEST_CASE("health_monitor.async_run_completes_once_stopped") {
  asio::io_context io;
  health_monitor monitor;
  tally ran;
  monitor.add(quick("check"), [&](const auto&) {
    ran.arrive();
    return health_result::ok();
  });
  std::vector<error_code> ended;  // by the loop's thread alone
  const auto keep = [&ended](error_code code) { ended.push_back(code); };
  monitor.async_run(io.get_executor(), keep);
  monitor.async_run(io.get_executor(), keep);
  std::thread loop{[&io] { io.run(); }};
  ran.wait_for(2);
  monitor.stop();
  loop.join();  // nothing of the monitor keeps the loop busy
  monitor.async_run(io.get_executor(), keep);
  io.restart();
  io.run();
  REQUIRE(ended.size() == 3);
  CHECK(ended[0] == health_errc::already_running);
  CHECK(ended[0] == errc::conflict);
  CHECK_FALSE(ended[1]);
  CHECK(ended[2] == health_errc::stopped);
}

TEST_CASE("health_monitor.cancelling_async_run_stops_it") {
  asio::io_context io;
  health_monitor monitor;
  asio::cancellation_signal cancel;
  std::optional<error_code> ended;
  monitor.add_async(quick("check"), [&](const health_check_context&, const health_completion& done) {
    done(health_result::ok());
    asio::post(io, [&cancel] { cancel.emit(asio::cancellation_type::terminal); });
  });
  monitor.async_run(io.get_executor(), asio::bind_cancellation_slot(cancel.slot(), [&ended](error_code code) { ended = code; }));
  io.run();
  REQUIRE(ended);
  CHECK_FALSE(*ended);
}

TEST_CASE("health_monitor.async_run_can_be_awaited") {
  asio::io_context io;
  health_monitor monitor;
  bool ended{false};
  monitor.add_async(quick("check"), [&](const health_check_context&, const health_completion& done) {
    done(health_result::ok());
    monitor.stop();  // from within a check
  });
  const auto body = [&]() -> asio::awaitable<void> {
    co_await monitor.async_run(io.get_executor(), asio::use_awaitable);
    ended = true;
  };
  asio::co_spawn(io, body, asio::detached);
  io.run();
  CHECK(ended);
}

TEST_CASE("health_monitor.a_context_destroyed_before_the_monitor_does_no_harm") {
  health_monitor monitor;
  monitor.add_async(quick("check"), [](const health_check_context&, const health_completion& done) { done(health_result::ok()); });
  {
    asio::io_context io;
    monitor.start(io.get_executor());
    io.poll();
  }
  monitor.stop();
}

TEST_CASE("health_monitor.nothing_is_posted_after_stop_has_returned") {
  asio::io_context io;
  manual_clock clock;
  health_monitor* self{nullptr};
  health_completion complete;
  const auto stop_and_drain = [&] {
    self->stop();
    io.restart();
    io.poll();
  };
  health_monitor monitor{{.on_change = [&](const health_change&) { stop_and_drain(); }}, clock};
  self = &monitor;
  monitor.add_async(quick("check"), [&](const health_check_context&, health_completion done) { complete = std::move(done); });
  monitor.start(io.get_executor());
  io.poll();
  complete(health_result::ok());  // due again before the driver wakes: it is told, and the observer stops the monitor
  io.restart();
  CHECK(io.poll() == 0);
}

TEST_CASE("health_monitor.nothing_is_posted_after_any_of_two_stops_has_returned") {
  asio::io_context io;
  manual_clock clock;
  health_monitor monitor{{}, clock};
  health_completion kept;
  std::optional<std::stop_callback<std::function<void()>>> on_stop;
  monitor.add_async(quick("check"), [&](const health_check_context& context, health_completion done) {
    kept = std::move(done);
    on_stop.emplace(context.stop, [&] {  // within the first stop
      monitor.stop();
      io.restart();
      io.poll();
    });
  });
  monitor.start(io.get_executor());
  io.poll();
  monitor.stop();
  io.restart();
  CHECK(io.poll() == 0);
}

TEST_CASE("health_monitor.the_destructor_waits_for_observers_however_short_shutdown_wait_is") {
  struct mortal_clock final : clock_source {
    [[nodiscard]] time_point now() const noexcept override {
      if (gone) ++late_readings;
      return {};
    }
    [[nodiscard]] wall_time_point wall_now() const noexcept override { return {}; }
    std::atomic<bool> gone{false};
    mutable std::atomic<int> late_readings{0};
  };
  asio::io_context io;
  mortal_clock clock;
  std::latch entered{1};
  std::atomic<bool> left{false};
  std::stop_token told;
  health_completion kept;
  std::optional<health_monitor> monitor;
  const auto observe = [&](const health_change&) {
    entered.count_down();
    while (!told.stop_requested()) std::this_thread::yield();  // the destructor has begun
    for (int i = 0; i < 1'000; ++i) std::this_thread::yield();
    left = true;
  };
  monitor.emplace(health_monitor_config{.shutdown_wait = 0ms, .on_change = observe}, clock);
  monitor->add_async(quick("kept"), [&](const health_check_context& context, health_completion done) {
    told = context.stop;
    kept = std::move(done);
  });
  monitor->add_async(quick("quick"), [](const health_check_context&, const health_completion& done) { done(health_result::ok()); });
  monitor->start(io.get_executor());
  std::thread driver{[&io] { io.run(); }};
  entered.wait();
  monitor.reset();
  CHECK(left);
  clock.gone = true;
  driver.join();
  CHECK(clock.late_readings == 0);
}

TEST_CASE("health_monitor.poll_alone_watches_loops_too") {
  asio::io_context watched;
  manual_clock clock;
  health_monitor monitor{{.max_heartbeat_age = 5s}, clock};
  monitor.watch_loop("worker", watched.get_executor());
  const auto status = [&monitor] { return monitor.report(health_probe::liveness).http_status; };
  clock.advance(1h);
  CHECK(status() == 200);  // nobody has asked the loop yet
  monitor.poll();
  clock.advance(6s);
  monitor.poll();
  CHECK(status() == 503);
  watched.poll();
  CHECK(status() == 200);
}

TEST_CASE("health_monitor.a_stalled_loop_is_noticed_and_a_running_one_is_not") {
  asio::io_context driving;
  asio::io_context watched;
  manual_clock clock;
  health_monitor monitor{{.heartbeat_interval = 10ms, .max_heartbeat_age = 5s}, clock};
  monitor.watch_loop("worker", watched.get_executor());
  const auto alive = [&] { return monitor.report(health_probe::liveness); };
  CHECK(alive().http_status == 200);  // not judged before the start
  clock.advance(1h);
  CHECK(alive().http_status == 200);

  monitor.start(driving.get_executor());
  const auto round = [&](bool run_worker) {
    clock.advance(1s);
    driving.restart();
    // The timer waits in real time, so one turn of the driver takes at most a heartbeat interval.
    driving.run_one();
    driving.poll();
    if (!run_worker) return;
    watched.restart();
    watched.poll();
  };
  for (int i = 0; i < 20; ++i) round(true);
  CHECK(alive().http_status == 200);
  for (int i = 0; i < 20; ++i) round(false);
  CHECK(alive().http_status == 503);
  CHECK(alive().reason == "loop_stalled");
  const auto loops = alive().checks;
  REQUIRE(loops.size() == 2);
  CHECK(loops[0].name == "worker");
  CHECK(loops[0].state == health_state::failed);
  CHECK(loops[1].name == "health_monitor");
  CHECK(loops[1].state == health_state::ok);
  CHECK(watched.poll() <= 1);  // beats do not pile up in a loop that does not run
  for (int i = 0; i < 2; ++i) round(true);
  CHECK(alive().http_status == 200);
  clock.advance(1h);  // now the loop that drives the monitor stands still
  CHECK(alive().http_status == 503);
}
