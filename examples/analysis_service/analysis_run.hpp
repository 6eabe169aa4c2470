// SPDX-License-Identifier: Apache-2.0
/// @file
/// One analysis from beginning to end: what is known, the tree, and the store.
#pragma once

#include "analysis_service/records.hpp"
#include "analysis_service/store.hpp"
#include "analyzer/file_descriptor.hpp"
#include "analyzer/tree_analysis.hpp"

#include <spillway/core/clock.hpp>
#include <spillway/db/consistency_token.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

namespace analysis {

struct run_options {
  std::size_t threads{0};                    ///< 0 means one for each processor.
  std::uint64_t max_file_bytes{4ULL << 30U};
  std::uint64_t max_files{5'000'000};
  analysis_progress* progress{nullptr};      ///< Outlives the run. May be null.
  std::function<bool()> may_complete;        ///< Asked once, right before the result is shown; false: cancelled. May be empty.
  spillway::consistency_token seen{};        ///< What the run must see of the store: at least the beginning of its own analysis.
};

struct run_report {
  tree_summary summary;          ///< `outcome` and `message` also tell of a store that failed.
  std::string longest_line_path;
  line_counts longest_line;      ///< Of the file that has it.
  std::int64_t duration_ms{0};
  spillway::consistency_token shown{};  ///< Who has it sees the result.
};

/// The report as clients get it.
[[nodiscard]] std::string to_json(const run_report& report);

/// Analyses a directory and shows the result as the next snapshot of the project. `analysis` is running in `records`, and stays so unless the
/// outcome is `completed`: what a run that ended otherwise has added is for the caller to drop.
[[nodiscard]] run_report run_analysis(store& records, const analysis_record& analysis, file_descriptor directory, const run_options& options,
                                      const spillway::clock_source& clock, std::stop_token stop);

/// The same without a store: nothing is known, nothing is kept.
[[nodiscard]] run_report run_analysis(file_descriptor directory, const run_options& options, const spillway::clock_source& clock,
                                      std::stop_token stop);

}  // namespace analysis
