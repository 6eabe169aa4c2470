// SPDX-License-Identifier: Apache-2.0
#include <spillway/health/health_error.hpp>
#include <spillway/health/resource_checks.hpp>

#include "health/fake_sensors.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>

using namespace spillway;
using namespace spillway::testing;

TEST_CASE("disk_space_check.goes_from_ok_over_degraded_to_failed") {
  const auto sensors = std::make_shared<fake_sensors>();
  const auto check = disk_space_check({}, sensors);
  const auto state_at = [&](std::uint64_t used) {
    sensors->disks["/"] = {used, 1'000 - used};
    return check(no_hurry).state;
  };
  CHECK(state_at(900) == health_state::ok);
  CHECK(state_at(901) == health_state::degraded);
  CHECK(state_at(980) == health_state::degraded);
  CHECK(state_at(981) == health_state::failed);
  CHECK(check(no_hurry).message == "disk of / is 98.1 % used");
}

TEST_CASE("disk_space_check.a_path_that_is_gone_fails") {
  const auto result = disk_space_check({.path = "/gone"}, std::make_shared<fake_sensors>())(no_hurry);
  CHECK(result.state == health_state::failed);
  CHECK(result.message == "cannot read the space of /gone: No such file or directory");
}

TEST_CASE("disk_space_check.reads_the_real_disk") {
  CHECK(disk_space_check({.failed_above_ratio = 1.0})(no_hurry).state != health_state::failed);
  CHECK(disk_space_check({.path = "/proc"})(no_hurry).state == health_state::ok);  // has no size
}

TEST_CASE("memory_check.goes_from_ok_over_degraded_to_failed") {
  const auto sensors = std::make_shared<fake_sensors>();
  const auto check = memory_check({}, sensors);
  const auto state_at = [&](std::uint64_t used) {
    sensors->memory_now = memory_reading{used, 1'000};
    return check(no_hurry).state;
  };
  CHECK(state_at(800) == health_state::ok);
  CHECK(state_at(801) == health_state::degraded);
  CHECK(state_at(951) == health_state::failed);
  sensors->memory_now = error_code{health_errc::unreadable};
  CHECK(check(no_hurry).state == health_state::unknown);
}

TEST_CASE("resource_checks.a_bad_configuration_names_the_field") {
  CHECK_THROWS_WITH_AS((void)disk_space_check({.path = ""}), "disk_space_config.path is empty; it must be a path", std::invalid_argument);
  CHECK_THROWS_WITH_AS((void)disk_space_check({.degraded_above_ratio = 1.1}),
                       "disk_space_config.degraded_above_ratio is 1.1; it must be in (0, 1]", std::invalid_argument);
  CHECK_THROWS_WITH_AS((void)disk_space_check({.failed_above_ratio = 0.5}),
                       "disk_space_config.failed_above_ratio is 0.5; it must be in [0.9, 1]", std::invalid_argument);
  CHECK_THROWS_WITH_AS((void)memory_check({.failed_above_ratio = 0.5}),
                       "memory_check_config.failed_above_ratio is 0.5; it must be in [0.8, 1]", std::invalid_argument);
}
