// SPDX-License-Identifier: Apache-2.0
/// @file
/// Rare events a module reports to whoever keeps the log.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

namespace spillway {

enum class log_level : std::uint8_t { debug, info, warning, error };

struct log_field {
  std::string_view name;
  std::string_view value;
};

/// One thing that happened. The text lives only as long as the call of the sink.
struct log_event {
  log_level level{log_level::info};
  std::string_view module;   ///< "http", "db", ...
  std::string_view message;  ///< A constant sentence; what varies is in the fields.
  std::span<const log_field> fields;
};

/// Receives events, outside locks, from any thread, and must not throw. An empty sink drops them.
using log_sink = std::function<void(const log_event&)>;

}  // namespace spillway
