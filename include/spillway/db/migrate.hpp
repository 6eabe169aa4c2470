// SPDX-License-Identifier: Apache-2.0
/// @file
/// Brings the schema of a database up to date.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/db/database.hpp>

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string_view>

namespace spillway {

/// Runs those of the numbered scripts that the database has not seen, all in one transaction, and returns how many they were. The first has
/// number 1; append new ones, never change an old one. What was run is kept in the table `spillway_migration` with a checksum, and the
/// newest number where the engine shows such a thing (SQLite: user_version).
///
///     migrate(db, {"CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
///                  "ALTER TABLE city ADD COLUMN size INTEGER NOT NULL DEFAULT 0"}).value();
///
/// Several processes may do this at once: one does the work, the others find it done. How long they wait for it is up to the engine (SQLite:
/// `other_process_timeout`, then db_errc::busy).
/// Time:   as long as it takes, whatever `database_config.timeout` says, unless `options` are given.
/// Errors: db_errc::incompatible_schema if the database has more migrations than there are scripts, or a script is not the one that was run;
///         else what the script that failed reports, with its number. Then nothing has changed.
[[nodiscard]] SPILLWAY_EXPORT result<std::size_t, db_error> migrate(database& db, std::span<const std::string_view> scripts,
                                                                    const session_options& options = std::chrono::nanoseconds::max());
[[nodiscard]] inline result<std::size_t, db_error> migrate(database& db, std::initializer_list<std::string_view> scripts,
                                                           const session_options& options = std::chrono::nanoseconds::max()) {
  return migrate(db, std::span<const std::string_view>{scripts.begin(), scripts.size()}, options);
}

}  // namespace spillway
