// SPDX-License-Identifier: Apache-2.0
// Rows that may be skipped, many of them: the known ones are left out first, and the others inserted by a plain statement.
#pragma once

#include "../../bulk_job.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::detail {

/// ON CONFLICT looks into the index and marks the row twice for each it inserts; an anti join and a plain INSERT take two thirds of the time. That they
/// do the same, but for rows that others insert meanwhile, is so for tables as `pg_known_key_sql` describes them.
struct pg_known_key {
  std::vector<std::string> columns;   ///< None: the table is not one of them.
  std::vector<std::string> not_null;  ///< What else may not be null, of rows that are left out either.

  /// Takes in a row of `pg_known_key_sql`.
  void add(std::string_view column, bool is_key);
  /// Whether the rows have values for the key.
  [[nodiscard]] bool serves(const bulk_job& job) const;
};

/// Below, to look at the table costs more than it saves. Measured: bulk_bench, "small batches".
inline constexpr std::uint64_t pg_known_key_pays_from{2'048};

/// $1 is the table, quoted. A row for each column of its one unique key and each other that may not be null: the name, quoted, and whether it is of the key. No
/// row if there is anything else that has a say in what becomes of a row: another unique or an exclusion constraint, a key that may be null or is equal
/// in its own way, CHECK, triggers, rules, policies, partitions. Nor in a serializable transaction, which would conflict with whatever the join has read.
extern const std::string_view pg_known_key_sql;

/// Makes the temporary table refuse what the table would. Empty if there is nothing.
[[nodiscard]] std::string pg_require_values_sql(const bulk_job& job, const pg_known_key& key);
/// Of equal rows the first. Errors of the server that mean another way has to decide: unique_violation, not_null_violation.
[[nodiscard]] std::string pg_insert_unknown_sql(const bulk_job& job, const pg_known_key& key);

}  // namespace spillway::detail
