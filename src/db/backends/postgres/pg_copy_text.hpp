// SPDX-License-Identifier: Apache-2.0
// Rows in the text format of COPY.
#pragma once

#include <spillway/db/sql_value.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace spillway::detail {

/// Appends the values, without the tab or the end of line behind them. There is no NaN among them.
/// Returns the place of a text with a NUL byte in it, which PostgreSQL cannot store; then what was appended is of no use.
[[nodiscard]] std::optional<std::size_t> append_copy_values(std::string& text, std::span<const sql_value> values);

}  // namespace spillway::detail
