// SPDX-License-Identifier: Apache-2.0
/// @file
/// What the server keeps: projects, analyses, and the files of an analysis.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace analysis {

/// Milliseconds since 1970-01-01 UTC, as stored and as told to clients.
using unix_ms = std::int64_t;

struct project_record {
  std::int64_t id{0};
  std::string name;
  std::string path;  ///< Below the configured root; empty for the root itself.
  unix_ms created_at{0};
};

enum class analysis_status : std::uint8_t { queued, running, complete, failed, cancelled };

[[nodiscard]] std::string_view to_string(analysis_status status) noexcept;
[[nodiscard]] std::optional<analysis_status> analysis_status_named(std::string_view name) noexcept;

struct analysis_record {
  std::int64_t id{0};
  std::int64_t project_id{0};
  analysis_status status{analysis_status::queued};
  std::int64_t attempts{0};  ///< How often it was started; above one after a crash.
  unix_ms created_at{0};
  std::optional<unix_ms> started_at;
  std::optional<unix_ms> finished_at;
  std::string error;   ///< Why it failed.
  std::string result;  ///< The summary as JSON text, once complete.
};

}  // namespace analysis
