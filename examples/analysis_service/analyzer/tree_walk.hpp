// SPDX-License-Identifier: Apache-2.0
/// @file
/// Lists the files below a directory without ever leaving it.
#pragma once

#include "analyzer/file_analysis.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace analysis {

struct tree_walk_options {
  std::size_t max_depth{128};  ///< Directories below the root that may be nested. One descriptor each. At least 1.
  std::size_t max_path_bytes{4096};         ///< Longest relative path. At least 1.
  std::optional<std::uint64_t> max_files;   ///< Stop after so many files. Default: no limit.
  std::vector<std::string> skipped_directories{".git", ".hg", ".svn", ".bzr", ".cvs", ".snapshot"};  ///< By name.
};

/// An open directory, kept open as long as some of its files wait to be read.
class open_directory {
 public:
  /// Takes over an open descriptor. `handle()` is null, and errno set, when it is no directory.
  explicit open_directory(int fd) noexcept;
  open_directory(const open_directory&) = delete;
  open_directory& operator=(const open_directory&) = delete;
  ~open_directory();

  [[nodiscard]] void* handle() const noexcept { return handle_; }
  [[nodiscard]] int fd() const noexcept;

 private:
  void* handle_;  // DIR*
};

/// Some files of one directory.
struct file_batch {
  std::shared_ptr<const open_directory> directory;
  std::string prefix;              ///< Of the directory relative to the root: empty or ending in '/'.
  std::vector<std::string> names;  ///< Of regular files, by what the directory says.
};

/// Who is told what is found. Both return false to end the walk.
struct tree_visitor {
  std::function<bool(file_batch)> files;
  std::function<bool(file_analysis)> skipped;  ///< Something that is not read: see its status and reason.
};

enum class walk_end : std::uint8_t { complete, stopped, file_limit };

/// Walks the directory open as `root` (taken over), depth first, one entry at a time.
///
/// Threads: the caller's; visitors are called on it.
/// Errors:  what cannot be entered is given to `skipped`, and the walk goes on.
/// Cost:    one open directory per level and one unfinished batch per level; never a whole listing.
[[nodiscard]] walk_end walk_tree(int root, const tree_walk_options& options, const tree_visitor& visitor);

}  // namespace analysis
