// SPDX-License-Identifier: Apache-2.0
// Names of tables and columns that a program gives us as text, on their way into SQL.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/db/db_error.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace spillway::detail {

/// PostgreSQL cuts longer names without a word.
inline constexpr std::size_t name_limit_bytes{63};

/// "schema.table" as "schema"."table": up to `most_parts` parts between dots, each of 1 to 63 bytes and without NUL. Case is kept.
/// Errors: db_errc::wrong_parameters, calling the name `what`.
[[nodiscard]] SPILLWAY_EXPORT result<std::string, db_error> quoted_name(std::string_view name, std::string_view what, std::size_t most_parts);

/// What stands behind the last dot.
[[nodiscard]] inline std::string_view last_part(std::string_view name) noexcept { return name.substr(name.rfind('.') + 1); }

}  // namespace spillway::detail
