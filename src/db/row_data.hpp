// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spillway/db/row.hpp>

#include <string>
#include <vector>

namespace spillway::detail {

/// One value. Text and blobs lie in `row_data::bytes`.
struct row_cell {
  sql_type type{sql_type::null};
  union {
    std::int64_t integer{0};
    double real;
    std::size_t offset;
  };
  std::size_t length{0};  // of a real: 1 if it was rounded
};

/// Rows as a driver fills them in: the cells of all rows, one row after the other.
struct SPILLWAY_EXPORT row_data {
  std::vector<std::string> columns;
  std::vector<row_cell> cells;
  std::vector<char> bytes;
  std::size_t rows{0};

  void add(sql_value value);
  /// Forgets the rows and keeps the columns and the memory.
  void clear_rows() noexcept;
  [[nodiscard]] std::size_t size_bytes() const noexcept { return cells.size() * sizeof(row_cell) + bytes.size(); }
  [[nodiscard]] sql_value value(std::size_t cell) const noexcept;
  [[nodiscard]] row_view row(std::size_t index) const noexcept { return {*this, index * columns.size()}; }

  /// The real that was added last is not quite what the engine holds.
  void mark_rounded() noexcept { cells.back().length = 1; }
  [[nodiscard]] static bool is_rounded(const row_view& row, std::size_t column) noexcept {
    const auto& cell = row.data_->cells[row.first_cell_ + column];
    return cell.type == sql_type::real && cell.length != 0;
  }
};

}  // namespace spillway::detail
