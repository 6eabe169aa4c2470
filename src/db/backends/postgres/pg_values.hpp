// SPDX-License-Identifier: Apache-2.0
// Values on their way to PostgreSQL and back.
#pragma once

#include "pg_result.hpp"

#include "../../row_data.hpp"

#include <spillway/db/db_error.hpp>
#include <spillway/db/sql_value.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::detail {

/// Parameters in the form that libpq takes. Integers and text have no type, so that the server finds one that fits: the same integer goes
/// into a bigint, a boolean or a numeric.
class pg_parameters {
 public:
  /// Errors: type_mismatch for NaN, and for text with a NUL byte in it.
  [[nodiscard]] db_error assign(std::span<const sql_value> values, std::string_view sql);

  [[nodiscard]] int count() const noexcept { return static_cast<int>(types_.size()); }
  [[nodiscard]] const Oid* types() const noexcept { return types_.data(); }
  [[nodiscard]] const char* const* values() const noexcept { return pointers_.data(); }
  [[nodiscard]] const int* lengths() const noexcept { return lengths_.data(); }
  [[nodiscard]] const int* formats() const noexcept { return formats_.data(); }
  /// One letter for each type that is not left to the server.
  [[nodiscard]] static char signature_of(const sql_value& value) noexcept;

 private:
  std::vector<Oid> types_;
  std::vector<const char*> pointers_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
  std::vector<std::size_t> offsets_;  // into the bytes, which move while they grow
  std::vector<char> bytes_;
};

/// How the values of one result are read, found once for all its rows.
class pg_row_decoder {
 public:
  /// Appends the row of the result to `rows`, and the names of the columns if it has none yet.
  void append(const PGresult* result, int row, row_data& rows);
  void name_columns(const PGresult* result, row_data& rows);
  /// For another result.
  void clear() noexcept { forms_.clear(); }

 private:
  enum class form : std::uint8_t { text, integer, boolean, real, numeric, blob };
  static form form_of(Oid type) noexcept;
  void append_value(form as, std::string_view text, row_data& rows);

  std::vector<form> forms_;
  std::vector<std::byte> blob_;
};

}  // namespace spillway::detail
