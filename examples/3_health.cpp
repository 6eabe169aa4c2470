// SPDX-License-Identifier: Apache-2.0
// A part that breaks, one that hangs and one that reports by itself; and what the probes answer meanwhile.
#include <spillway/core/io_runner.hpp>
#include <spillway/health/health_monitor.hpp>
#include <spillway/health/system_monitor.hpp>

#include <chrono>
#include <cstdio>
#include <latch>
#include <memory>

int main() {
  using namespace spillway;
  using namespace std::chrono_literals;
  const auto hanging = std::make_shared<std::latch>(1);  // nobody counts it down until the end
  std::latch cache_failed{1};

  io_runner runner;
  runner.start();
  health_monitor_config config;
  config.on_change = [&cache_failed](const health_change& change) {
    std::printf("%s: %s -> %s %s\n", std::string{change.check}.c_str(), std::string{to_string(change.from)}.c_str(),
                std::string{to_string(change.to)}.c_str(), std::string{change.message}.c_str());
    if (change.check == "cache" && change.to == health_state::failed) cache_failed.count_down();
  };
  health_monitor health{config};

  const health_reporter database = health.add_reporter({.name = "database"});
  database.report(health_result::ok("connected"));
  health.add({.name = "cache", .criticality = health_criticality::non_critical, .interval = 50ms, .failures_to_fail = 2,
              .degraded_weight_ratio = 0.6},
             [runs = std::make_shared<int>(0)](const health_check_context&) {
               return ++*runs < 3 ? health_result::ok() : health_result::failed("connection refused");
             });
  health.add({.name = "archive", .criticality = health_criticality::non_critical, .interval = 50ms, .timeout = 50ms},
             [hanging](const health_check_context&) {
               hanging->wait();
               return health_result::ok();
             });
  const system_monitor machine;
  health.add({.name = "machine", .criticality = health_criticality::non_critical, .interval = 1s}, machine.check());
  health.watch_loop("main", runner.executor());
  health.start(runner.executor());

  cache_failed.wait();
  const health_report report = health.report(health_probe::readiness);
  std::printf("readiness %d %s\n", report.http_status, to_json(report, health_detail::full).c_str());
  health.set_draining();
  const auto draining = health.report(health_probe::readiness);
  const auto alive = health.report(health_probe::liveness);
  std::printf("draining: readiness %d %s, liveness %d\n", draining.http_status, to_json(draining).c_str(), alive.http_status);
  hanging->count_down();
  return report.http_status == 200 && draining.http_status == 503 && alive.http_status == 200 ? 0 : 1;
}
