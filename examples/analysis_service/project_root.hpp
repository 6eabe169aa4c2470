// SPDX-License-Identifier: Apache-2.0
/// @file
/// The one directory below which projects may lie, and the safe way into it.
#pragma once

#include "analyzer/file_descriptor.hpp"

#include <spillway/core/result.hpp>

#include <string>
#include <string_view>

namespace analysis {

struct project_directory {
  file_descriptor fd;
  std::string path;  ///< Below the root, without empty and `.` components; empty for the root itself.
};

/// Why a path was refused, for the one who sent it.
struct path_refusal {
  std::string reason;
};

/// Opens directories below one root, component by component, and follows no symbolic link: what it hands out lies below the root however the
/// tree changes meanwhile.
///
/// Threads: every member may be called from any thread.
/// Errors:  the constructor throws std::invalid_argument if the root is no directory that can be opened.
class project_root {
 public:
  explicit project_root(const std::string& root);

  /// `requested` is relative to the root, or absolute and then below it by name.
  [[nodiscard]] spillway::result<project_directory, path_refusal> open(std::string_view requested) const;

  [[nodiscard]] const std::string& path() const noexcept { return root_; }

 private:
  std::string root_;  ///< Canonical.
  file_descriptor fd_;
};

}  // namespace analysis
