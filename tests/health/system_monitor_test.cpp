// SPDX-License-Identifier: Apache-2.0
#include <spillway/health/health_error.hpp>
#include <spillway/health/system_monitor.hpp>

#include "health/fake_sensors.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
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

TEST_CASE("system_monitor.judge_warns_only_above_each_threshold") {
  const system_monitor_config config;
  CHECK(judge({0.80, 0.80, {{"/", 0.90}}, {}}, config).state == health_state::ok);
  const auto memory = judge({0.81, 0.5, {{"/", 0.5}}, {}}, config);
  CHECK(memory.state == health_state::degraded);
  CHECK(memory.message == "memory 81.0 % > 80 %");
  CHECK(judge({0.5, 0.805, {{"/", 0.5}}, {}}, config).message == "CPU 80.5 % > 80 %");
  CHECK(judge({0.5, 0.5, {{"/", 0.5}, {"/data", 0.95}}, {}}, config).message == "disk /data 95.0 % > 90 %");
  CHECK(judge({0.9, 0.9, {{"/", 0.99}}, {}}, config).message == "memory 90.0 % > 80 %; CPU 90.0 % > 80 %; disk / 99.0 % > 90 %");
}

TEST_CASE("system_monitor.judge_takes_no_reading_for_no_warning_and_something_unreadable_for_unknown") {
  const system_monitor_config config;
  CHECK(judge({}, config).state == health_state::ok);
  const auto unreadable = judge({std::nullopt, 0.1, {}, {"cannot read memory: x"}}, config);
  CHECK(unreadable.state == health_state::unknown);
  CHECK(unreadable.message == "cannot read memory: x");
  const auto both = judge({std::nullopt, 0.9, {}, {"cannot read memory: x"}}, config);
  CHECK(both.state == health_state::degraded);
  CHECK(both.message == "CPU 90.0 % > 80 %; cannot read memory: x");
}

TEST_CASE("system_monitor.the_processor's_load_is_that_between_two_samples") {
  const auto sensors = std::make_shared<fake_sensors>();
  const system_monitor monitor{{}, sensors};
  const auto check = monitor.check();
  const auto sample = [&](std::chrono::nanoseconds busy, std::chrono::nanoseconds capacity) {
    sensors->cpu_now = std::vector{cpu_reading{busy, capacity}};
    (void)check(no_hurry);
    return monitor.last_sample().cpu_used_ratio;
  };
  CHECK_FALSE(sample(100s, 1'000s));  // nothing to compare with
  CHECK(sample(109s, 1'010s) == 0.9);
  CHECK(check(no_hurry).state == health_state::ok);  // no time has passed: no reading
  CHECK(sample(110s, 1'020s) == 0.1);
  CHECK_FALSE(sample(3s, 40s));  // another control group
  CHECK(sample(4s, 44s) == 0.25);
}

TEST_CASE("system_monitor.of_several_limits_of_the_processor_the_one_closest_to_being_reached_counts") {
  const auto sensors = std::make_shared<fake_sensors>();
  const system_monitor monitor{{}, sensors};
  const auto sample = [&](std::vector<cpu_reading> readings) {
    sensors->cpu_now = std::move(readings);
    (void)monitor.check()(no_hurry);
    return monitor.last_sample().cpu_used_ratio;
  };
  CHECK_FALSE(sample({{10s, 100s, "inner"}, {20s, 400s, "outer"}}));
  CHECK(sample({{11s, 110s, "inner"}, {38s, 440s, "outer"}}) == 0.45);
  CHECK(sample({{20s, 120s, "inner"}, {47s, 480s, "outer"}}) == 0.9);
  CHECK_FALSE(sample({{21s, 9'000s, "inner, raised"}}));  // no load of 1 s in 8,880 s
  CHECK(sample({{26s, 9'010s, "inner, raised"}}) == 0.5);
}

TEST_CASE("system_monitor.the_check_reports_degraded_with_its_warnings") {
  const auto sensors = std::make_shared<fake_sensors>();
  const system_monitor monitor{{.disk_paths = {"/", "/gone"}}, sensors};
  sensors->memory_now = memory_reading{85, 100};
  const auto result = monitor.check()(no_hurry);
  CHECK(result.state == health_state::degraded);
  CHECK(result.message == "memory 85.0 % > 80 %; cannot read disk /gone: No such file or directory");
  sensors->memory_now = error_code{health_errc::unreadable};
  CHECK(monitor.check()(no_hurry).state == health_state::unknown);
  CHECK_FALSE(monitor.last_sample().memory_used_ratio);
}

TEST_CASE("system_monitor.a_disk_that_hangs_freezes_no_other_reading") {
  const auto sensors = std::make_shared<fake_sensors>();
  sensors->disks["/data"] = {1, 3};
  const system_monitor monitor{{.disk_paths = {"/", "/data"}}, sensors};
  const auto check = monitor.check();
  bool hung{false};
  sensors->before_disk = [&](const std::string& path) {
    if (path != "/data" || std::exchange(hung, true)) return;
    CHECK(monitor.last_sample().memory_used_ratio == 0.5);
    REQUIRE(monitor.last_sample().disks.size() == 2);
    CHECK(monitor.last_sample().disks[0].used_ratio == 0.5);
    CHECK_FALSE(monitor.last_sample().disks[1].used_ratio);
    sensors->memory_now = memory_reading{60, 100};
    CHECK(check(no_hurry).state == health_state::ok);  // another check of the same monitor, in the meantime
  };
  CHECK(check(no_hurry).state == health_state::ok);
  CHECK(hung);
  CHECK(monitor.last_sample().memory_used_ratio == 0.6);  // not overwritten by the sample that was begun before
  CHECK(monitor.last_sample().disks[1].used_ratio == 0.25);
}

TEST_CASE("system_monitor.thresholds_are_configurable_and_validated") {
  const auto sensors = std::make_shared<fake_sensors>();
  CHECK(system_monitor({.memory_warning_ratio = 0.4}, sensors).check()(no_hurry).state == health_state::degraded);
  CHECK(refusal([] { system_monitor{{.memory_warning_ratio = 0.0}}; }) ==
        "system_monitor_config.memory_warning_ratio is 0; it must be in (0, 1]");
  CHECK(refusal([] { system_monitor{{.cpu_warning_ratio = 80}}; }) ==
        "system_monitor_config.cpu_warning_ratio is 80; it must be in (0, 1]");
  CHECK(refusal([] { system_monitor{{.disk_warning_ratio = -1}}; }) ==
        "system_monitor_config.disk_warning_ratio is -1; it must be in (0, 1]");
  CHECK(refusal([] { system_monitor{{.disk_paths = {""}}}; }) ==
        "system_monitor_config.disk_paths has an empty entry; each must be a path");
  CHECK(refusal([] { system_monitor{{.disk_paths = std::vector<std::string>(17, "/")}}; }) ==
        "system_monitor_config.disk_paths has 17 entries; it must have at most 16");
}

TEST_CASE("system_monitor.reads_the_real_machine") {
  const system_monitor monitor;
  const auto check = monitor.check();
  (void)check(no_hurry);
  const auto result = check(no_hurry);
  const auto sample = monitor.last_sample();
  CHECK(result.message == judge(sample, {}).message);
  REQUIRE(sample.memory_used_ratio);
  CHECK(*sample.memory_used_ratio > 0);
  REQUIRE(sample.disks.size() == 1);
  CHECK(sample.unreadable.empty());
}
