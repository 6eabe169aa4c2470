// SPDX-License-Identifier: Apache-2.0
/// @file
/// Checks of disk space and memory.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/health/health_check.hpp>
#include <spillway/health/system_sensors.hpp>

#include <memory>
#include <string>

namespace spillway {

struct disk_space_config {
  std::string path{"/"};           ///< Any path on the file system in question. Not empty.
  double degraded_above_ratio{0.90};  ///< Used share above which it is degraded. In (0, 1].
  double failed_above_ratio{0.98};    ///< Used share above which it fails. In [degraded_above_ratio, 1]; 1 never fails.
};

/// Blocking, and hangs if the file system does.
/// Errors: throws std::invalid_argument naming the field.
[[nodiscard]] SPILLWAY_EXPORT blocking_health_check disk_space_check(const disk_space_config& config = {},
                                                                     std::shared_ptr<const system_sensors> sensors = linux_sensors());

struct memory_check_config {
  double degraded_above_ratio{0.80};  ///< As for disk_space_config.
  double failed_above_ratio{0.95};
};

/// Errors: throws std::invalid_argument naming the field.
[[nodiscard]] SPILLWAY_EXPORT blocking_health_check memory_check(const memory_check_config& config = {},
                                                                 std::shared_ptr<const system_sensors> sensors = linux_sensors());

}  // namespace spillway
