// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/row.hpp>

#include "row_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace spillway {

row_access_error::~row_access_error() = default;

std::string_view to_string(sql_type type) noexcept {
  switch (type) {
    case sql_type::null: return "null";
    case sql_type::integer: return "integer";
    case sql_type::real: return "real";
    case sql_type::text: return "text";
    case sql_type::blob: return "blob";
  }
  return "unknown";
}

namespace detail {

void throw_integer_too_large(std::uint64_t value) {
  throw std::out_of_range(fmt::format("the parameter {} is above {}, the largest integer a database column holds", value,
                                      std::numeric_limits<std::int64_t>::max()));
}

void row_data::add(sql_value value) {
  row_cell cell;
  cell.type = value.type();
  const auto append = [&](const char* data, std::size_t length) {
    cell.offset = bytes.size();
    cell.length = length;
    bytes.insert(bytes.end(), data, data + length);
  };
  switch (value.type()) {
    case sql_type::null: break;
    case sql_type::integer: cell.integer = std::get<std::int64_t>(value.get()); break;
    case sql_type::real: cell.real = std::get<double>(value.get()); break;
    case sql_type::text: {
      const auto text = std::get<std::string_view>(value.get());
      append(text.data(), text.size());
      break;
    }
    case sql_type::blob: {
      const auto blob = std::get<std::span<const std::byte>>(value.get());
      append(reinterpret_cast<const char*>(blob.data()), blob.size());
      break;
    }
  }
  cells.push_back(cell);
}

void row_data::clear_rows() noexcept {
  cells.clear();
  bytes.clear();
  rows = 0;
}

sql_value row_data::value(std::size_t index) const noexcept {
  const auto& cell = cells[index];
  switch (cell.type) {
    case sql_type::null: break;
    case sql_type::integer: return cell.integer;
    case sql_type::real: return cell.real;
    case sql_type::text: return std::string_view{bytes.data() + cell.offset, cell.length};
    case sql_type::blob:
      return std::span<const std::byte>{reinterpret_cast<const std::byte*>(bytes.data() + cell.offset), cell.length};
  }
  return {};
}

}  // namespace detail

namespace {

[[noreturn]] void throw_wrong_type(const row_view& row, std::size_t column, std::string_view asked) {
  const auto stored = row.value(column).type();
  throw row_access_error(fmt::format("column {} ({}) holds {}, asked for {}{}", column, row.column_name(column), to_string(stored), asked,
                                     stored == sql_type::null ? "; use std::optional" : ""));
}

template <class T>
T stored_as(const row_view& row, std::size_t column, std::string_view asked) {
  const auto value = row.value(column);
  if (const auto* held = std::get_if<T>(&value.get())) return *held;
  throw_wrong_type(row, column, asked);
}

}  // namespace

std::size_t row_view::size() const noexcept { return data_->columns.size(); }

sql_value row_view::value(std::size_t column) const {
  if (column >= size()) throw row_access_error(fmt::format("column {} was asked for; the row has {} columns", column, size()));
  return data_->value(first_cell_ + column);
}

std::string_view row_view::column_name(std::size_t column) const {
  if (column >= size()) throw row_access_error(fmt::format("the name of column {} was asked for; the row has {} columns", column, size()));
  return data_->columns[column];
}

std::size_t row_view::index_of(std::string_view name) const {
  const auto found = std::ranges::find(data_->columns, name);
  if (found == data_->columns.end()) {
    throw row_access_error(fmt::format("column \"{}\" was asked for; the row has: {}", name, fmt::join(data_->columns, ", ")));
  }
  return static_cast<std::size_t>(found - data_->columns.begin());
}

std::int64_t row_view::integer(std::size_t column, std::string_view asked, std::int64_t least, std::uint64_t most) const {
  const auto held = stored_as<std::int64_t>(*this, column, asked);
  if (held < least || (held > 0 && static_cast<std::uint64_t>(held) > most)) {
    throw row_access_error(fmt::format("column {} ({}) holds the integer {}, asked for {} in [{}, {}]", column, column_name(column), held,
                                       asked, least, most));
  }
  return held;
}

double row_view::real(std::size_t column, bool as_float) const {
  const std::string_view asked{as_float ? "float" : "double"};
  const auto refuse = [&](std::string_view type, auto number) {
    throw row_access_error(fmt::format("column {} ({}) holds the {} {}, which {} cannot represent", column, column_name(column), type, number,
                                       asked));
  };
  const auto held = value(column);
  if (const auto* whole = std::get_if<std::int64_t>(&held.get())) {
    const auto converted = as_float ? double{static_cast<float>(*whole)} : static_cast<double>(*whole);
    // 2^63 itself cannot be converted back.
    if (converted >= 0x1p63 || static_cast<std::int64_t>(converted) != *whole) refuse("integer", *whole);
    return converted;
  }
  const auto stored = stored_as<double>(*this, column, asked);
  if (as_float && std::isfinite(stored) && std::abs(stored) > std::numeric_limits<float>::max()) refuse("real", stored);
  return stored;
}

std::string_view row_view::text(std::size_t column, std::string_view asked) const {
  return stored_as<std::string_view>(*this, column, asked);
}

std::span<const std::byte> row_view::blob(std::size_t column, std::string_view asked) const {
  return stored_as<std::span<const std::byte>>(*this, column, asked);
}

void row_view::expect_columns(std::size_t count) const {
  if (count != size()) throw row_access_error(fmt::format("{} columns were asked for; the row has {}", count, size()));
}

std::size_t row_set::size() const noexcept { return data_ ? data_->rows : 0; }

row_view row_set::operator[](std::size_t index) const {
  if (index >= size()) throw row_access_error(fmt::format("row {} was asked for; there are {} rows", index, size()));
  return data_->row(index);
}

std::vector<std::string> row_set::column_names() const { return data_ ? data_->columns : std::vector<std::string>{}; }

}  // namespace spillway
