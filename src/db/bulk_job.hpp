// SPDX-License-Identifier: Apache-2.0
// A bulk statement as drivers see it, once its names are checked.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/db/detail/range_source.hpp>
#include <spillway/db/db_error.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace spillway::detail {

enum class bulk_kind : std::uint8_t { insert, insert_or_skip, insert_or_update, update };

/// Names are quoted.
struct bulk_job {
  bulk_kind kind{bulk_kind::insert};
  std::string table;
  std::vector<std::string> columns;  ///< What the rows have values for.
  std::vector<std::size_t> keys;     ///< By their place in `columns`; of an insert that changes rows, and of an update.
  std::vector<std::size_t> set;      ///< The same, of what is changed.
};

/// The rows, each checked before it is given.
class SPILLWAY_EXPORT bulk_rows {
 public:
  bulk_rows(parameter_source& source, const bulk_job& job) noexcept : source_{source}, job_{job} {}

  /// Nothing at the end, and after a row that cannot be. What is given stays valid until the next call.
  [[nodiscard]] std::optional<std::span<const sql_value>> next();
  [[nodiscard]] const db_error& failure() const noexcept { return failure_; }
  [[nodiscard]] std::uint64_t given() const noexcept { return given_; }
  /// Ends the rows with a failure of one that was given.
  void refuse(std::uint64_t row, db_errc code, std::size_t column, std::string_view why);

 private:
  [[nodiscard]] bool sound(std::span<const sql_value> values);

  parameter_source& source_;
  const bulk_job& job_;
  std::uint64_t given_{0};
  db_error failure_;
};

/// The failure, said of a row.
[[nodiscard]] SPILLWAY_EXPORT db_error error_of_row(std::uint64_t row, const db_error& error);

/// An insert of one row.
[[nodiscard]] SPILLWAY_EXPORT std::string insert_sql(const bulk_job& job);
/// An update of one row.
[[nodiscard]] SPILLWAY_EXPORT std::string update_sql(const bulk_job& job);
/// What stands behind the rows of an insert.
[[nodiscard]] SPILLWAY_EXPORT std::string conflict_sql(const bulk_job& job);

}  // namespace spillway::detail
