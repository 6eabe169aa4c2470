// SPDX-License-Identifier: Apache-2.0
// Readings that a test sets.
#pragma once

#include <spillway/health/system_sensors.hpp>

#include <map>
#include <string>

namespace spillway::testing {

struct fake_sensors final : system_sensors {
  [[nodiscard]] result<memory_reading> memory() const override { return memory_now; }
  [[nodiscard]] result<cpu_reading> cpu() const override { return cpu_now; }
  [[nodiscard]] result<disk_reading> disk(const std::string& path) const override {
    const auto found = disks.find(path);
    if (found == disks.end()) return error_code{ENOENT, boost::system::system_category()};
    return found->second;
  }

  result<memory_reading> memory_now{memory_reading{50, 100}};
  result<cpu_reading> cpu_now{cpu_reading{}};
  std::map<std::string, disk_reading> disks{{"/", {50, 50}}};
};

}  // namespace spillway::testing
