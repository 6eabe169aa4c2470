// SPDX-License-Identifier: Apache-2.0
/// @file
/// Watches the machine the program runs on, and warns before something is used up.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/core/metric_writer.hpp>
#include <spillway/health/health_check.hpp>
#include <spillway/health/system_sensors.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

struct system_monitor_config {
  double memory_warning_ratio{0.80};  ///< Used share above which it warns. In (0, 1]; 1 never warns.
  double cpu_warning_ratio{0.80};     ///< Likewise, over the time since the last sample.
  double disk_warning_ratio{0.90};    ///< Likewise, for each path.
  std::vector<std::string> disk_paths{"/"};  ///< Any path on each file system of interest. At most 16, none empty.
};

struct disk_sample {
  std::string path;
  std::optional<double> used_ratio;
};

/// Used shares in [0, 1]; none where the system did not tell, and for the processor in the first sample and after a change of its limits.
struct system_sample {
  std::optional<double> memory_used_ratio;
  std::optional<double> cpu_used_ratio;
  std::vector<disk_sample> disks;
  std::vector<std::string> unreadable;  ///< What the system did not tell, and why.
};

/// Decides what a sample means: degraded with the warnings as message, unknown if something could not be read and nothing else is
/// wrong, or ok.
[[nodiscard]] SPILLWAY_EXPORT health_result judge(const system_sample& sample, const system_monitor_config& config);

/// Samples memory, processor and disks each time its check runs. A disk that hangs hangs its check, so give a disk that may to a monitor
/// of its own.
///
///     system_monitor system;
///     health.add({.name = "system", .criticality = health_criticality::non_critical, .failures_to_fail = 2}, system.check());
///
/// Threads:  any.
/// Lifetime: its checks share its state and may outlive it.
/// Errors:   the constructor throws std::invalid_argument naming the field.
class SPILLWAY_EXPORT system_monitor {
 public:
  explicit system_monitor(const system_monitor_config& config = {}, std::shared_ptr<const system_sensors> sensors = linux_sensors());

  /// Takes a sample and judges it.
  [[nodiscard]] blocking_health_check check() const;

  /// The newest sample; empty before the first.
  [[nodiscard]] system_sample last_sample() const;

 private:
  struct state;
  std::shared_ptr<state> state_;
};

/// spillway_system_memory_used_ratio, spillway_system_cpu_used_ratio, spillway_system_disk_used_ratio{path}. `name` is not used.
SPILLWAY_EXPORT void write_metrics(const system_monitor& monitor, std::string_view name, metric_writer& out);

}  // namespace spillway
