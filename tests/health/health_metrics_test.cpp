// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/metric_writer.hpp>
#include <spillway/health/health_monitor.hpp>

#include "health/monitored.hpp"

#include <doctest/doctest.h>

#include <map>
#include <string>

using namespace spillway;
using namespace spillway::testing;
using namespace std::chrono_literals;

namespace {

/// Keeps each series as `name{label=value,...}`.
class recording_writer final : public metric_writer {
 public:
  void counter(std::string_view name, std::string_view, metric_labels labels, double value) override { keep(name, labels, value); }
  void gauge(std::string_view name, std::string_view, metric_labels labels, double value) override { keep(name, labels, value); }
  void histogram(std::string_view, std::string_view, metric_labels, const latency_snapshot&,
                 std::span<const std::chrono::nanoseconds>) override {
    FAIL("no histogram expected");
  }
  [[nodiscard]] double at(const std::string& series) const {
    REQUIRE_MESSAGE(series_.contains(series), series);
    return series_.at(series);
  }

 private:
  void keep(std::string_view name, metric_labels labels, double value) {
    std::string key{name};
    char separator{'{'};
    for (const auto& label : labels) {
      key += separator;
      key += std::string{label.name} + "=" + std::string{label.value};
      separator = ',';
    }
    key += labels.empty() ? "" : "}";
    CHECK_MESSAGE(series_.emplace(key, value).second, key);  // no series twice
  }
  std::map<std::string, double> series_;
};

}  // namespace

TEST_CASE("health_metrics.tell_state_duration_last_change_and_what_hangs") {
  monitored with;
  const auto reporter = with.monitor.add_reporter({.name = "part", .failures_to_fail = 1});
  health_completion complete;
  with.monitor.add_async({.name = "slow", .failures_to_fail = 1}, [&](const health_check_context&, health_completion done) {
    complete = std::move(done);
  });
  with.run();
  with.clock.advance(1500ms);
  complete(health_result::ok());
  reporter.report(health_result::degraded("low"));
  with.advance_and_run(20s);  // the second run of `slow`
  with.advance_and_run(2s);   // which hangs
  recording_writer out;
  write_metrics(with.monitor, "main", out);
  CHECK(out.at("spillway_health_ready{monitor=main}") == 0);
  CHECK(out.at("spillway_health_alive{monitor=main}") == 1);
  CHECK(out.at("spillway_health_check_up{monitor=main,check=part}") == 1);
  CHECK(out.at("spillway_health_check_up{monitor=main,check=slow}") == 0);
  CHECK(out.at("spillway_health_check_state{monitor=main,check=part,state=degraded}") == 1);
  CHECK(out.at("spillway_health_check_state{monitor=main,check=part,state=ok}") == 0);
  CHECK(out.at("spillway_health_check_state{monitor=main,check=slow,state=failed}") == 1);
  CHECK(out.at("spillway_health_check_duration_seconds{monitor=main,check=slow}") == 1.5);
  CHECK(out.at("spillway_health_check_last_change_timestamp_seconds{monitor=main,check=part}") == 946'684'801.5);
  CHECK(out.at("spillway_health_check_hung{monitor=main,check=slow}") == 1);
  CHECK(out.at("spillway_health_check_hung{monitor=main,check=part}") == 0);
  CHECK(out.at("spillway_health_check_runs_total{monitor=main,check=slow,outcome=ok}") == 1);
  CHECK(out.at("spillway_health_check_runs_total{monitor=main,check=slow,outcome=timed_out}") == 1);
  CHECK(out.at("spillway_health_lost_changes_total{monitor=main}") == 0);
}
