// SPDX-License-Identifier: Apache-2.0
/// @file
/// What the store says differently to each engine; all else is the same SQL on both.
#pragma once

#include <span>
#include <string_view>

namespace analysis {

struct store_sql {
  std::span<const std::string_view> migrations;  ///< The scripts for spillway::migrate: append, never change.
  /// The rows of `file` lie in a partition for each month, by the column `found_at`.
  bool by_month;
  /// Takes the versions that are still valid over into the month of an analysis: $1 is its id, $2 its project, $3 the beginning of the month, $4 when
  /// it began. Empty if nothing is kept by month.
  std::string_view renew_versions;
  /// Waits for what a program that died has still under way on a server. Empty if nothing outlives the program.
  std::string_view wait_for_the_dead;
  /// Finds the analysis $1 if its attempt $2 is running, and keeps it so until the end of the transaction.
  std::string_view hold_attempt;
};

extern const store_sql sqlite_sql;
extern const store_sql postgres_sql;

}  // namespace analysis
