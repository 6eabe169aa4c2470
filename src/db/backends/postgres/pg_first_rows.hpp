// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../bulk_job.hpp"
#include "../../row_data.hpp"

#include <spillway/db/sql_value.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace spillway::detail {

/// The rows of a bulk statement that come first, kept until it is known how many there are. Few go by statements of their own; from there on the
/// round trips of COPY, or of a temporary table, are the cheaper way.
class pg_first_rows {
 public:
  /// After this `rows` has failed, or `all` tells whether it has ended.
  pg_first_rows(const bulk_job& job, bulk_rows& rows);

  /// There are no others.
  [[nodiscard]] bool all() const noexcept { return all_; }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::vector<sql_value> values(std::size_t row) const;

  /// Rows that one prepared statement takes.
  struct group {
    std::size_t begin{0};
    std::size_t end{0};
    std::vector<sql_value> types;  // for each parameter a value of its type; null if they have no other
  };
  /// All of them, in their order.
  [[nodiscard]] std::vector<group> groups() const;

 private:
  [[nodiscard]] group alike(std::size_t row) const;

  row_data kept_;
  std::size_t width_;
  std::size_t count_{0};
  bool all_{false};
};

/// Ends the rows with a text that has a NUL byte, which is in this column.
void refuse_nul(bulk_rows& rows, std::uint64_t row, std::size_t column);

}  // namespace spillway::detail
