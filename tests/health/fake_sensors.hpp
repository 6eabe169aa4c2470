// SPDX-License-Identifier: Apache-2.0
// Readings that a test sets.
#pragma once

#include <spillway/health/health_check.hpp>
#include <spillway/health/system_sensors.hpp>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace spillway::testing {

inline const health_check_context no_hurry{deadline::never(), {}};

struct fake_sensors : system_sensors {
  [[nodiscard]] result<memory_reading> memory() const override { return memory_now; }
  [[nodiscard]] result<std::vector<cpu_reading>> cpu() const override { return cpu_now; }
  [[nodiscard]] result<disk_reading> disk(const std::string& path) const override {
    if (before_disk) before_disk(path);
    const auto found = disks.find(path);
    if (found == disks.end()) return error_code{ENOENT, boost::system::system_category()};
    return found->second;
  }

  result<memory_reading> memory_now{memory_reading{50, 100}};
  result<std::vector<cpu_reading>> cpu_now{std::vector<cpu_reading>(1)};
  std::map<std::string, disk_reading> disks{{"/", {50, 50}}};
  std::function<void(const std::string&)> before_disk{};
};

}  // namespace spillway::testing
