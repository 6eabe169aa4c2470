// SPDX-License-Identifier: Apache-2.0
/// @file
/// The directory that belongs to one running program at a time.
#pragma once

#include "analyzer/file_descriptor.hpp"

#include <string>
#include <string_view>

namespace analysis {

/// Makes the directory if it is missing, and holds a lock in it for as long as it lives; the lock is gone with the process, however it ends.
///
/// Errors: the constructor throws std::runtime_error, also if another process holds the lock of that name.
class data_directory {
 public:
  data_directory(const std::string& path, std::string_view lock_name);

  /// The path of a file in the directory.
  [[nodiscard]] std::string file(std::string_view name) const;

 private:
  std::string path_;
  file_descriptor lock_;
};

}  // namespace analysis
