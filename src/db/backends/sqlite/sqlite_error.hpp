// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spillway/db/db_error.hpp>

#include <string>
#include <string_view>

struct sqlite3;

namespace spillway::detail {

/// The code for an extended result code of SQLite. It has one number for many mistakes in SQL, so its message decides between those.
[[nodiscard]] db_errc db_errc_of_sqlite(int extended_code, std::string_view message) noexcept;

/// What the connection says about its last failure.
[[nodiscard]] db_error sqlite_error(sqlite3* connection, int result_code, std::string_view sql = {});

/// Whether a connection that reported this should be replaced.
[[nodiscard]] bool sqlite_must_reopen(int extended_code) noexcept;

}  // namespace spillway::detail
