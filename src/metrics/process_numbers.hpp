// SPDX-License-Identifier: Apache-2.0
// Reads the texts of /proc, see proc(5).
#pragma once

#include <optional>
#include <string_view>

namespace spillway::detail {

struct process_numbers {
  double cpu_ticks;  // user and system
  double threads;
  double started_ticks;  // since boot
  double virtual_bytes;
  double resident_pages;
};

/// Of /proc/self/stat. The program's name in it may hold spaces and parentheses.
[[nodiscard]] std::optional<process_numbers> parse_process_stat(std::string_view text);

/// Of /proc/stat: seconds since 1970.
[[nodiscard]] std::optional<double> parse_boot_time(std::string_view text);

}  // namespace spillway::detail
