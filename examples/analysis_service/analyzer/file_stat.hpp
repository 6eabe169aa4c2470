// SPDX-License-Identifier: Apache-2.0
/// @file
/// From `stat` to `file_identity`.
#pragma once

#include "analyzer/file_analysis.hpp"

#include <sys/stat.h>

namespace analysis {

inline std::int64_t nanoseconds_of(const timespec& time) noexcept {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

inline file_identity identity_of(const struct stat& info) noexcept {
  return {static_cast<std::uint64_t>(info.st_size), nanoseconds_of(info.st_mtim), nanoseconds_of(info.st_ctim),
          static_cast<std::uint64_t>(info.st_ino)};
}

}  // namespace analysis
