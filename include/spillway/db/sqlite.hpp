// SPDX-License-Identifier: Apache-2.0
/// @file
/// Opens a SQLite file as a database.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/db/database.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace spillway {

/// What a committed transaction survives.
enum class sqlite_synchronous : std::uint8_t {
  normal,  ///< The end of the process, however sudden. The newest may be lost if the machine loses power; the file stays sound.
  full,    ///< Loss of power, too: each commit waits for the disk.
};

/// Only `path` must be given.
struct sqlite_config {
  /// The file; its directory must exist. Not empty, no ":memory:" (sessions could not share it) and no "file:" URI.
  std::string path{};
  bool create{true};                                        ///< Make the file if it is not there; never again once it was opened.
  std::size_t readers{4};                                   ///< Sessions that read, beside the one that writes. In [1, 64].
  sqlite_synchronous synchronous{sqlite_synchronous::normal};
  std::chrono::milliseconds other_process_timeout{5'000};   ///< Wait for a lock another process holds, within the call's deadline. In [0, 1 h].
  std::size_t statement_cache{128};                         ///< Prepared statements kept by each session. In [0, 4'096]; 0 keeps none.
  std::uint64_t page_cache_bytes{4U << 20U};                ///< Of each session. In [64 KiB, 16 GiB].
  std::uint64_t max_value_bytes{64U << 20U};                ///< Largest text or blob, and row. In [1 KiB, 1'000'000'000].
  std::optional<std::uint64_t> max_file_bytes{};            ///< Beyond it, writing is db_errc::disk_full. At least 64 KiB; none: no limit.
  std::int32_t application_id{0};                           ///< Stamps a new file; another stamp is refused. 0: neither.
  database_config database{};
};

/// Opens the file in WAL mode with foreign keys on. One session writes, `readers` sessions read. In SQL, double quotes are for names only;
/// a statement of more than 1 MiB is db_errc::value_too_large, a script of such statements may be longer.
///
/// Errors: throws std::invalid_argument naming a field that is out of range. db_errc::cannot_open, corrupt, busy, incompatible_schema (the
///         application_id) and others of the engine, naming the path.
[[nodiscard]] SPILLWAY_EXPORT result<database, db_error> open_sqlite(const sqlite_config& config);

}  // namespace spillway
