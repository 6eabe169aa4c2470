// SPDX-License-Identifier: Apache-2.0
/// @file
/// Readings of memory, processor and disk. To sense only; what they mean is decided elsewhere.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/core/result.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace spillway {

struct memory_reading {
  std::uint64_t used_bytes{0};   ///< What could not be given back at once: file caches do not count.
  std::uint64_t limit_bytes{0};  ///< Of the control group, or what the machine has.
};

/// Both durations only grow; what lies between two readings of one `limit` is the load.
struct cpu_reading {
  std::chrono::nanoseconds busy{0};
  std::chrono::nanoseconds capacity{0};
  std::string limit{};  ///< What sets the capacity: a control group and its quota, or nothing but the machine.
};

struct disk_reading {
  std::uint64_t used_bytes{0};
  std::uint64_t available_bytes{0};  ///< To this process, without what is reserved for root.
};

/// Threads: every member may be called from any thread.
/// Errors:  health_errc::unreadable, or the code of the operating system.
class SPILLWAY_EXPORT system_sensors {
 public:
  virtual ~system_sensors();
  [[nodiscard]] virtual result<memory_reading> memory() const = 0;
  /// One for each limit, at least one.
  [[nodiscard]] virtual result<std::vector<cpu_reading>> cpu() const = 0;
  /// Of the file system that holds `path`. May block for as long as that file system does.
  [[nodiscard]] virtual result<disk_reading> disk(const std::string& path) const = 0;
};

/// Linux: the limits of the process' control group and those above it, where there are any below what the machine has (memory: versions 1
/// and 2, the limit closest to being reached; processor: version 2), else /proc.
/// `root` is put before /proc and /sys.
[[nodiscard]] SPILLWAY_EXPORT std::shared_ptr<const system_sensors> linux_sensors(const std::string& root = {});

}  // namespace spillway
