// SPDX-License-Identifier: Apache-2.0
// What observers and logs are told.
#include <spillway/health/health_monitor.hpp>

#include "health/monitored.hpp"

#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <vector>

using namespace spillway;
using namespace spillway::testing;
using namespace std::chrono_literals;

TEST_CASE("health_monitor.an_observer_may_call_back_and_may_throw") {
  manual_clock clock;
  boost::asio::io_context io;
  std::vector<std::string> logged;
  health_monitor* self{nullptr};
  int called{0};
  health_monitor monitor{{.blocking_executor = io.get_executor(),
                          .on_change =
                              [&](const health_change& change) {
                                ++called;
                                (void)self->report(health_probe::readiness);
                                self->poll();
                                if (change.to == health_state::ok) throw std::runtime_error{"observer"};
                              },
                          .log = [&logged](const log_event& event) { logged.emplace_back(event.message); }},
                         clock};
  self = &monitor;
  const auto reporter = monitor.add_reporter(plain("part"));
  reporter.report(health_result::ok());
  reporter.report(health_result::failed("broke"));
  CHECK(called == 2);
  CHECK(logged == std::vector<std::string>{"check changed state", "on_change threw", "check changed state"});
}

TEST_CASE("health_monitor.logs_what_hangs_and_what_returns") {
  manual_clock clock;
  std::vector<std::string> logged;
  health_completion complete;
  health_monitor monitor{{.log = [&logged](const log_event& event) {
                           logged.push_back(std::string{event.message} + " " + std::string{event.fields.back().value});
                         }},
                         clock};
  monitor.add_async(plain("slow"), [&](const health_check_context&, health_completion done) { complete = std::move(done); });
  monitor.poll();
  clock.advance(3s);
  monitor.poll();
  clock.advance(2s);
  complete(health_result::ok());
  CHECK(logged == std::vector<std::string>{"check hangs no answer within 2000 ms", "check changed state no answer within 2000 ms",
                                           "check that hung returned after 5000 ms"});
}

TEST_CASE("health_monitor.changes_an_observer_is_too_slow_for_are_counted") {
  manual_clock clock;
  health_monitor* self{nullptr};
  const health_reporter* reporter{nullptr};
  int called{0};
  health_monitor monitor{{.on_change =
                              [&](const health_change&) {
                                if (++called > 1) return;
                                for (int i = 0; i < 1'500; ++i) {
                                  reporter->report(i % 2 == 0 ? health_result::failed("x") : health_result::ok());
                                }
                              }},
                         clock};
  self = &monitor;
  const auto made = monitor.add_reporter(plain("part"));
  reporter = &made;
  made.report(health_result::ok());
  CHECK(called == 1 + 1'024);
  CHECK(self->stats().lost_changes == 1'500 - 1'024);
}

TEST_CASE("health_monitor.a_log_sink_that_throws_silences_nobody_else") {
  manual_clock clock;
  int told{0};
  health_monitor monitor{{.on_change = [&told](const health_change&) { ++told; },
                          .log =
                              [](const log_event& event) {
                                if (event.level == log_level::error) throw std::runtime_error{"sink"};
                              }},
                         clock};
  const auto reporter = monitor.add_reporter(plain("part"));
  reporter.report(health_result::ok());
  reporter.report(health_result::failed("broke"));  // the sink throws
  reporter.report(health_result::ok());
  CHECK(told == 3);
}
