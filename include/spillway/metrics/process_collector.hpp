// SPDX-License-Identifier: Apache-2.0
/// @file
/// What the process itself uses, under the names every Prometheus client uses.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/core/metric_writer.hpp>

#include <string>
#include <string_view>

namespace spillway {

/// Memory, processor time, open files and threads of this process, read when asked. What cannot be read is left out.
///
///     process_collector process;
///     metric_binding process_metrics = bind(registry, "process", process);
///
/// Threads: any.
class SPILLWAY_EXPORT process_collector {
 public:
  /// `proc_root` is where /proc is mounted.
  explicit process_collector(std::string proc_root = "/proc");

  [[nodiscard]] const std::string& proc_root() const noexcept { return proc_root_; }

 private:
  std::string proc_root_;
};

/// The names are fixed by convention, so `name` is not used.
SPILLWAY_EXPORT void write_metrics(const process_collector& process, std::string_view name, metric_writer& out);

}  // namespace spillway
