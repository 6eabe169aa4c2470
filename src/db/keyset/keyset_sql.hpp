// SPDX-License-Identifier: Apache-2.0
// The statement of one page.
#pragma once

#include <spillway/db/keyset.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace spillway::detail {

/// The statement, and which sorted values follow the caller's parameters, in their order.
struct keyset_statement {
  std::string sql;
  std::vector<std::size_t> used;
};

/// Where the page begins. Without `values`: at the beginning.
struct keyset_start {
  bool backward{false};
  std::span<const sql_value> values{};
};

/// The rows behind the start in the direction of travel, the nearest first, at most `rows` of them.
///
/// Where all columns go one way and none is null, one comparison of rows finds them. Else they lie in several ranges of the index, one behind the
/// other: rows that agree in all columns but the last, then in all but the last two, and so on. Each range is asked for by itself, since no
/// engine makes ranges of a condition with OR.
/// The names in the configuration are known to be good.
///
/// All ranges in one statement.
[[nodiscard]] keyset_statement keyset_sql(const keyset_config& config, const keyset_start& start, std::size_t parameters, std::size_t rows);
/// A statement for each, the nearest first. How many rows it may give is its last parameter.
[[nodiscard]] std::vector<keyset_statement> keyset_range_sql(const keyset_config& config, const keyset_start& start, std::size_t parameters);

}  // namespace spillway::detail
