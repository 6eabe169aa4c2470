// SPDX-License-Identifier: Apache-2.0
/// @file
/// The monthly partitions of the files on PostgreSQL: there before they are needed, gone when they are too old.
#pragma once

#include <spillway/core/log.hpp>
#include <spillway/db/database.hpp>
#include <spillway/metrics/metrics_registry.hpp>

#include <memory>

namespace analysis {

/// Makes and drops partitions, once at the beginning and then every hour, on a thread of its own.
///
/// Lifetime: the database and the registry outlive it. The destructor waits for what it is doing, for some seconds at most.
/// Errors:   the constructor throws std::runtime_error if the partitions for now and the months ahead cannot be made.
class file_partitions {
 public:
  /// `keep_months` are full months before the current one; 0: all.
  file_partitions(spillway::database& database, unsigned keep_months, spillway::log_sink log, spillway::metrics_registry& registry);
  ~file_partitions();
  file_partitions(const file_partitions&) = delete;
  file_partitions& operator=(const file_partitions&) = delete;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace analysis
