// SPDX-License-Identifier: Apache-2.0
/// @file
/// Analyzes every file below a directory on a bounded pool of threads.
#pragma once

#include "analyzer/file_analysis.hpp"
#include "analyzer/tree_walk.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace analysis {

/// Counters of a running analysis, set to zero when it starts. Threads: read from any thread while it runs.
struct analysis_progress {
  std::atomic<std::uint64_t> files_found{0};    ///< Regular files listed so far. Grows until the walk ends.
  std::atomic<std::uint64_t> files_done{0};     ///< Of those, finished, whatever their status.
  std::atomic<std::uint64_t> files_skipped{0};  ///< Finished without counts, links and unreadable directories included.
  std::atomic<std::uint64_t> files_read{0};     ///< Opened. Stays 0 over a tree that did not change.
  std::atomic<std::uint64_t> bytes_read{0};
};

/// The earlier result for a file that now has this identity, or nothing. The result is used only if its own identity
/// is equal. Called by worker threads at the same time; no earlier result means the file is read.
using known_file_lookup = std::function<std::optional<file_analysis>(std::string_view path, const file_identity&)>;

inline constexpr std::size_t most_threads = 64;

struct tree_options {
  std::size_t threads{0};  ///< That read and count, at most `most_threads`. 0: as many as the machine runs at once.
  tree_walk_options walk;
  file_options file;

  known_file_lookup known_file;  ///< May be empty: then every file is read.

  /// `tree_summary::started_at_ns` of the run the known files come from. A file changed since then, or in the same
  /// tick of the file system's clock, is read although its identity is equal: it may have changed after it was read.
  std::int64_t earlier_started_at_ns{0};

  analysis_progress* progress{nullptr};  ///< Outlives the run. May be null.
};

enum class tree_outcome : std::uint8_t { completed, cancelled, failed };

[[nodiscard]] std::string_view name_of(tree_outcome outcome) noexcept;

struct language_total {
  language id{language::unknown};
  std::uint64_t files{0};
  std::uint64_t bytes{0};
  std::uint64_t code{0};
  std::uint64_t comment{0};
  std::uint64_t blank{0};
};

struct tree_summary {
  tree_outcome outcome{tree_outcome::completed};
  std::string message;             ///< Why it failed.
  std::int64_t started_at_ns{0};   ///< By the clock that stamps files, in nanoseconds since 1970.
  bool file_limit_reached{false};  ///< `max_files` ended the walk: the totals are those of a part.
  std::vector<language_total> languages;  ///< Counted files only, most code first.
  std::array<std::uint64_t, file_status_count> files_by_status{};  ///< Index: file_status.
  std::uint64_t files{0};       ///< Everything given to the sink.
  std::uint64_t files_read{0};  ///< Opened.
  std::uint64_t bytes_read{0};
  std::uint64_t unchanged{0};   ///< Taken from the earlier result.
  std::uint64_t known_content{0};
};

/// Takes the results of some files; it may move them away. An exception ends the run as `failed`.
using result_sink = std::function<void(std::span<file_analysis>)>;

/// Analyzes the tree and returns when all is done.
///
///     const tree_summary summary = analyze_tree("/srv/code", {}, store_results);
///
/// Threads:      blocks the caller, and calls the sink on the caller's thread. The order of files is not defined.
/// Errors:       never thrown: a root that cannot be opened, a sink or lookup that throws and lack of memory end the
///               run as `failed` with a message. Trouble with one file is in that file's status.
/// Time:         the real-time clock once, for `started_at_ns`.
/// Cancellation: the token is looked at before each chunk of each file; results not yet given to the sink are dropped.
/// Cost:         one 64 KiB buffer per thread, a bounded number of waiting file names and results: the size of the
///               tree and of its files does not matter. A slow sink holds the workers back.
[[nodiscard]] tree_summary analyze_tree(const std::string& root, const tree_options& options, const result_sink& sink,
                                        std::stop_token stop = {});

/// The same for a directory that is already open (taken over), for callers that checked where it is.
[[nodiscard]] tree_summary analyze_tree(int root, const tree_options& options, const result_sink& sink,
                                        std::stop_token stop = {});

}  // namespace analysis
