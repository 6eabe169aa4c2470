// SPDX-License-Identifier: Apache-2.0
#include "pg_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

namespace spillway::detail {

namespace {

// Of the catalogue pg_type; they never change.
constexpr Oid oid_bool{16};
constexpr Oid oid_bytea{17};
constexpr Oid oid_int8{20};
constexpr Oid oid_int2{21};
constexpr Oid oid_int4{23};
constexpr Oid oid_oid{26};
constexpr Oid oid_float4{700};
constexpr Oid oid_float8{701};
constexpr Oid oid_numeric{1700};

constexpr int text_format{0};
constexpr int binary_format{1};
constexpr std::size_t no_value{std::numeric_limits<std::size_t>::max()};

void append_big_endian(std::vector<char>& bytes, std::uint64_t bits) {
  for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(bits >> static_cast<unsigned>(shift)));
}

unsigned nibble(char digit) noexcept {
  return static_cast<unsigned>(digit >= 'a' ? digit - 'a' + 10 : digit >= 'A' ? digit - 'A' + 10 : digit - '0');
}

std::optional<std::int64_t> as_integer(std::string_view text) noexcept {
  std::int64_t number{0};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<double> as_real(std::string_view text) noexcept {
  double number{0};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (end != text.data() + text.size()) return std::nullopt;
  if (failure == std::errc::result_out_of_range) {
    // A numeric may be beyond any double: too large is infinite, too small is zero.
    const bool small = text.find("0.000") < 2;
    const double magnitude = small ? 0.0 : std::numeric_limits<double>::infinity();
    return text.starts_with('-') ? -magnitude : magnitude;
  }
  if (failure != std::errc{}) return std::nullopt;
  return number;
}

/// A decimal as its digits without the zeros around them, and the place of the point before them: 0.0150 is "15" and -1.
struct decimal {
  std::string digits;
  int point{0};
  friend bool operator==(const decimal&, const decimal&) = default;
};

decimal decimal_of(std::string_view text) {
  decimal made;
  bool behind_point{false};
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == 'e') {
      int exponent{0};
      const auto* const at = text.data() + i + (text.substr(i + 1).starts_with('+') ? 2 : 1);
      std::from_chars(at, text.data() + text.size(), exponent);
      made.point += exponent;
      break;
    }
    if (c == '.') behind_point = true;
    if (c < '0' || c > '9') continue;
    if (made.digits.empty() && c == '0') {
      if (behind_point) --made.point;
      continue;
    }
    made.digits += c;
    if (!behind_point) ++made.point;
  }
  made.digits.erase(made.digits.find_last_not_of('0') + 1);
  return made;
}

/// Whether the double, written as short as can be, is this decimal again.
bool is_exact(std::string_view text, double number) {
  constexpr std::size_t always{std::numeric_limits<double>::digits10};
  return text.size() <= always || (std::isfinite(number) && decimal_of(text) == decimal_of(fmt::format("{}", number)));
}

}  // namespace

char pg_parameters::signature_of(const sql_value& value) noexcept {
  switch (value.type()) {
    case sql_type::real: return 'd';
    case sql_type::blob: return 'b';
    default: return '-';
  }
}

db_error pg_parameters::assign(std::span<const sql_value> values, std::string_view sql) {
  types_.clear();
  lengths_.clear();
  formats_.clear();
  pointers_.clear();
  bytes_.clear();
  offsets_.clear();
  const auto add = [&](Oid type, int format, std::size_t offset) {
    types_.push_back(type);
    formats_.push_back(format);
    offsets_.push_back(offset);
    lengths_.push_back(offset == no_value ? 0 : static_cast<int>(bytes_.size() - offset));
    if (format == text_format && offset != no_value) bytes_.push_back('\0');
  };
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto& value = values[i];
    const auto offset = bytes_.size();
    switch (value.type()) {
      case sql_type::null: add(0, text_format, no_value); break;
      case sql_type::integer: {
        char digits[24];
        const auto written = std::to_chars(std::begin(digits), std::end(digits), std::get<std::int64_t>(value.get()));
        bytes_.insert(bytes_.end(), digits, written.ptr);
        add(0, text_format, offset);
        break;
      }
      case sql_type::real: {
        const auto real = std::get<double>(value.get());
        if (std::isnan(real)) return {db_errc::type_mismatch, fmt::format("parameter ${}: NaN cannot be stored", i + 1), 0, sql};
        append_big_endian(bytes_, std::bit_cast<std::uint64_t>(real));
        add(oid_float8, binary_format, offset);
        break;
      }
      case sql_type::text: {
        const auto text = std::get<std::string_view>(value.get());
        if (text.find('\0') != std::string_view::npos) {
          return {db_errc::type_mismatch, fmt::format("parameter ${}: PostgreSQL cannot store text with a NUL byte", i + 1), 0, sql};
        }
        bytes_.insert(bytes_.end(), text.begin(), text.end());
        add(0, text_format, offset);
        break;
      }
      case sql_type::blob: {
        const auto blob = std::get<std::span<const std::byte>>(value.get());
        const auto* const data = reinterpret_cast<const char*>(blob.data());
        bytes_.insert(bytes_.end(), data, data + blob.size());
        add(oid_bytea, binary_format, offset);
        break;
      }
    }
    // The protocol has 32 bits for all of a message.
    constexpr std::size_t most_bytes{std::size_t{1} << 30U};
    if (bytes_.size() > most_bytes) {
      return {db_errc::value_too_large, fmt::format("the parameters exceed {} bytes", most_bytes), 0, sql};
    }
  }
  bytes_.push_back('\0');  // something to point to
  for (const auto offset : offsets_) pointers_.push_back(offset == no_value ? nullptr : bytes_.data() + offset);
  return {};
}

pg_row_decoder::form pg_row_decoder::form_of(Oid type) noexcept {
  switch (type) {
    case oid_int2:
    case oid_int4:
    case oid_int8:
    case oid_oid: return form::integer;
    case oid_bool: return form::boolean;
    case oid_float4:
    case oid_float8: return form::real;
    case oid_numeric: return form::numeric;
    case oid_bytea: return form::blob;
    default: return form::text;
  }
}

void pg_row_decoder::name_columns(const PGresult* result, row_data& rows) {
  const int count = PQnfields(result);
  if (forms_.empty()) {
    for (int i = 0; i < count; ++i) forms_.push_back(form_of(PQftype(result, i)));
  }
  if (!rows.columns.empty()) return;
  for (int i = 0; i < count; ++i) rows.columns.emplace_back(PQfname(result, i));
}

void pg_row_decoder::append(const PGresult* result, int row, row_data& rows) {
  name_columns(result, rows);
  for (int i = 0; i < static_cast<int>(forms_.size()); ++i) {
    if (PQgetisnull(result, row, i) != 0) {
      rows.add(nullptr);
      continue;
    }
    append_value(forms_[static_cast<std::size_t>(i)],
                 std::string_view{PQgetvalue(result, row, i), static_cast<std::size_t>(PQgetlength(result, row, i))}, rows);
  }
  ++rows.rows;
}

void pg_row_decoder::append_value(form as, std::string_view text, row_data& rows) {
  switch (as) {
    case form::integer:
      if (const auto number = as_integer(text)) return rows.add(*number);
      break;
    case form::boolean: return rows.add(std::int64_t{text == "t" ? 1 : 0});
    case form::numeric:
      // By the column's scale, not by the value: a price of 1.00 is as real as one of 1.50.
      if (const auto number = as_integer(text)) return rows.add(*number);
      if (const auto number = as_real(text)) {
        rows.add(*number);
        if (!is_exact(text, *number)) rows.mark_rounded();
        return;
      }
      break;
    case form::real:
      if (const auto number = as_real(text)) return rows.add(*number);
      break;
    case form::blob: {
      constexpr std::string_view hex{"\\x"};
      if (!text.starts_with(hex)) break;
      const auto digits = text.substr(hex.size());
      blob_.resize(digits.size() / 2);
      for (std::size_t i = 0; i < blob_.size(); ++i) {
        blob_[i] = static_cast<std::byte>(nibble(digits[2 * i]) << 4U | nibble(digits[2 * i + 1]));
      }
      return rows.add(std::span<const std::byte>{blob_});
    }
    case form::text: break;
  }
  rows.add(text);
}

}  // namespace spillway::detail
