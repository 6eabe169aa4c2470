// SPDX-License-Identifier: Apache-2.0
/// @file
/// What earlier analyses of a project found, for an analysis that wants to read only what changed.
#pragma once

#include "analysis_service/store.hpp"
#include "analyzer/file_analysis.hpp"

#include <spillway/db/consistency_token.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace analysis {

/// The versions of a project's files that are valid before an analysis begins.
///
/// Threads: the lookups may be called from any thread; the members that mark, from one.
class known_files {
 public:
  /// `max_file_bytes` is the limit of the analysis to come; what it reads is no older than `seen`. Throws spillway::db_exception.
  known_files(store& records, std::int64_t project_id, std::uint64_t max_file_bytes, const spillway::consistency_token& seen);

  [[nodiscard]] std::int64_t scan_started_ns() const noexcept { return scan_started_ns_; }

  /// The version at this path, if the file has not changed since.
  [[nodiscard]] std::optional<file_analysis> unchanged(std::string_view path, const file_identity& identity) const;

  /// Counts and imports of a content that was seen under any path.
  [[nodiscard]] std::optional<file_analysis> with_content(const blob_id& blob, language id) const;

  /// Tells what the analysis found: true if it is the version known already, which stays valid. Any other version at its path is superseded.
  [[nodiscard]] bool keep(const file_analysis& found);

  /// Versions whose path was not kept: changed or gone.
  [[nodiscard]] std::vector<std::int64_t> superseded() const;
  /// How many versions were not superseded.
  [[nodiscard]] std::size_t kept() const;

 private:
  struct version {
    std::int64_t row_id{0};
    bool kept{false};
    file_analysis content;  ///< Without path and imports.
  };
  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };

  store& records_;
  std::uint64_t max_file_bytes_;
  spillway::consistency_token seen_;
  std::int64_t scan_started_ns_{0};
  std::unordered_map<std::string, version, text_hash, std::equal_to<>> by_path_;  ///< By displayable path.
  mutable std::once_flag indexed_;
  mutable std::map<std::pair<blob_id, language>, const version*> by_content_;  ///< Made at the first question.
};

/// A file as the store keeps it.
[[nodiscard]] file_row to_row(const file_analysis& file);

}  // namespace analysis
