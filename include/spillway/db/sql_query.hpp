// SPDX-License-Identifier: Apache-2.0
/// @file
/// A statement with its parameters, as a value that owns both.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/db/sql_value.hpp>

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

/// What `database::async_query` sends: text and values are copied, so nothing must outlive the call.
///
///     const sql_query name_of{"SELECT name FROM city WHERE id = $1", id};
///     auto rows = co_await db.async_query(name_of, 2s, use_awaitable);
///
/// Threads: a value; copies share what they hold, and may be used anywhere.
/// Errors:  as sql_value.
class SPILLWAY_EXPORT sql_query {
 public:
  // Not an aggregate: may be a temporary in a co_await expression.
  template <sql_parameter... P>
  explicit sql_query(std::string_view sql, const P&... parameters) {
    const std::array<sql_value, sizeof...(P)> values{sql_value(parameters)...};
    keep(sql, std::span<const sql_value>{values});
  }
  sql_query(std::string_view sql, const sql_parameters& parameters) { keep(sql, parameters.values()); }

  [[nodiscard]] std::string_view sql() const noexcept { return held_->sql; }
  [[nodiscard]] std::span<const sql_value> values() const noexcept { return held_->values; }

 private:
  struct held {
    std::string sql;
    std::vector<char> bytes;
    std::vector<sql_value> values;  // of text and blobs, views into `bytes`
  };
  void keep(std::string_view sql, std::span<const sql_value> values);

  std::shared_ptr<const held> held_;
};

}  // namespace spillway
