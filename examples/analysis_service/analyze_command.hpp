// SPDX-License-Identifier: Apache-2.0
/// @file
/// `analysis_service analyze PATH`: one analysis, without a server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace analysis {

struct analyze_arguments {
  std::string path;
  std::string data_dir;  ///< Where earlier results are kept. Empty: nothing is kept.
  bool json{false};
  std::size_t threads{0};
  std::uint64_t max_file_bytes{4ULL << 30U};
  std::uint64_t max_files{5'000'000};
};

/// The report goes to standard output, progress to standard error if that is a terminal. Returns the exit code: 0 complete, 1 failed, 130
/// interrupted.
[[nodiscard]] int analyze(const analyze_arguments& arguments);

}  // namespace analysis
