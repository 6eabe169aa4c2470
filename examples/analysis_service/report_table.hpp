// SPDX-License-Identifier: Apache-2.0
/// @file
/// A report for people.
#pragma once

#include "analysis_service/analysis_run.hpp"

#include <string>

namespace analysis {

/// A table of the languages with totals, and what was not counted.
[[nodiscard]] std::string to_table(const run_report& report);

/// One line about a run under way, at most `width` columns: a bar, files, megabytes a second.
[[nodiscard]] std::string progress_line(const analysis_progress& progress, double seconds, std::size_t width);

}  // namespace analysis
