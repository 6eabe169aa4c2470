// SPDX-License-Identifier: Apache-2.0
// A monitor whose time and threads belong to the test.
#pragma once

#include <spillway/health/health_monitor.hpp>
#include <spillway/testing/manual_clock.hpp>

#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace spillway::testing {

/// Once an interval of 10 s, with a deadline of 2 s, and every answer counts at once.
inline health_check_config plain(std::string name, health_criticality criticality = health_criticality::critical) {
  return {.name = std::move(name),
          .criticality = criticality,
          .interval = std::chrono::seconds{10},
          .timeout = std::chrono::seconds{2},
          .failures_to_fail = 1,
          .successes_to_recover = 1,
          .jitter_ratio = 0.0};
}

/// Blocking checks run inside `run`, on the thread of the test.
struct monitored {
  explicit monitored(health_monitor_config config = {}) : monitor{with_executor(std::move(config)), clock} {}

  /// Polls, and runs what that started until nothing is left to do.
  void run() {
    monitor.poll();
    io.restart();
    io.poll();
  }
  void advance_and_run(std::chrono::nanoseconds by) {
    clock.advance(by);
    run();
  }

  [[nodiscard]] health_report ready() const { return monitor.report(health_probe::readiness); }
  [[nodiscard]] health_check_report check(const std::string& name) const {
    const auto report = ready();
    const auto found = std::find_if(report.checks.begin(), report.checks.end(), [&name](const auto& one) { return one.name == name; });
    return found == report.checks.end() ? health_check_report{} : *found;
  }

  health_monitor_config with_executor(health_monitor_config config) {
    config.blocking_executor = io.get_executor();
    config.on_change = [this](const health_change& change) {
      changes.push_back(std::string{change.check} + ": " + std::string{to_string(change.from)} + " to " + std::string{to_string(change.to)});
    };
    return config;
  }

  boost::asio::io_context io;
  manual_clock clock;
  std::vector<std::string> changes;
  health_monitor monitor;
};

}  // namespace spillway::testing
