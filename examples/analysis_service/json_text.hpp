// SPDX-License-Identifier: Apache-2.0
/// @file
/// Records as the JSON that clients see.
#pragma once

#include "analysis_service/analysis_queue.hpp"
#include "analysis_service/file_query.hpp"
#include "analysis_service/records.hpp"
#include "analysis_service/store.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace analysis {

/// "2026-01-31T12:00:00.000Z"
[[nodiscard]] std::string utc_text(unix_ms time);

[[nodiscard]] std::string to_json(const project_record& project);
[[nodiscard]] std::string to_json(const analysis_record& analysis, const std::optional<progress_snapshot>& progress);

/// What the result of a complete analysis says; 0 if it is not complete.
[[nodiscard]] std::int64_t files_found(const analysis_record& analysis);

/// `{"items":[...],"next_cursor":...}` of records that are JSON already.
[[nodiscard]] std::string page_json(std::span<const std::string> items, const std::optional<std::string>& next_cursor);

/// The requested fields of one file.
[[nodiscard]] std::string to_json(const file_row& file, std::span<const file_field> fields);

}  // namespace analysis
