// SPDX-License-Identifier: Apache-2.0
// The statements by which many rows reach a table through a temporary one, and few without.
#pragma once

#include "../../bulk_job.hpp"

#include <string>

namespace spillway::detail {

/// Where rows wait that may not go into the table directly: of the same types, and with their number if the last of equal ones counts.
[[nodiscard]] std::string pg_staging_sql(const bulk_job& job);
[[nodiscard]] std::string pg_copy_sql(const bulk_job& job);
/// From there into the table.
[[nodiscard]] std::string pg_merge_sql(const bulk_job& job);
inline constexpr const char* pg_drop_staging_sql{"DROP TABLE pg_temp.spillway_bulk"};

/// What stands behind the statement of one row to learn which rows it has changed.
[[nodiscard]] std::string pg_returned_key_sql(const bulk_job& job);

/// Whether the rows wait in the temporary table.
[[nodiscard]] constexpr bool pg_needs_staging(bulk_kind kind) noexcept { return kind != bulk_kind::insert; }
/// Whether they are numbered there.
[[nodiscard]] constexpr bool pg_needs_numbers(bulk_kind kind) noexcept { return kind == bulk_kind::insert_or_update || kind == bulk_kind::update; }

}  // namespace spillway::detail
