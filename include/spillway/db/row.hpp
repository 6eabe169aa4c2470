// SPDX-License-Identifier: Apache-2.0
/// @file
/// Rows that a query gave, and typed access to their columns.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/db/sql_value.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace spillway {

/// The program asked a row for something it does not hold: another type, a null without std::optional, a column that is not there. The
/// message names the column, what is stored and what was asked for.
class SPILLWAY_EXPORT row_access_error : public std::logic_error {
 public:
  using logic_error::logic_error;
  ~row_access_error() override;
};

namespace detail {

struct row_data;

template <class T>
inline constexpr bool is_optional{false};
template <class T>
inline constexpr bool is_optional<std::optional<T>>{true};

template <class T>
inline constexpr bool is_tuple{false};
template <class... T>
inline constexpr bool is_tuple<std::tuple<T...>>{true};
template <class A, class B>
inline constexpr bool is_tuple<std::pair<A, B>>{true};

/// Types that point into the row they came from.
template <class T>
inline constexpr bool borrows_from_row{std::same_as<T, std::string_view> || std::same_as<T, sql_value> ||
                                       std::same_as<T, std::span<const std::byte>>};
template <class T>
inline constexpr bool borrows_from_row<std::optional<T>>{borrows_from_row<T>};
template <class... T>
inline constexpr bool borrows_from_row<std::tuple<T...>>{(borrows_from_row<T> || ...)};
template <class A, class B>
inline constexpr bool borrows_from_row<std::pair<A, B>>{borrows_from_row<A> || borrows_from_row<B>};

}  // namespace detail

/// One row, looked at. Copy it freely.
///
///     auto id = row.get<std::int64_t>(0);
///     auto note = row.get<std::optional<std::string>>("note");
///     auto [name, size] = row.as<std::tuple<std::string, std::uint32_t>>();
///
/// Reads as bool (0 or 1), any integer type it fits, float or double (also from an integer that converts exactly; a real may be rounded to
/// float, but must be in its range), std::string, std::string_view, std::vector<std::byte>, std::span<const std::byte>, sql_value, and
/// std::optional of these.
///
/// Lifetime: the row_set's, or the call of the function a stream gave it to. Views taken from it live as long.
/// Errors:   row_access_error.
class SPILLWAY_EXPORT row_view {
 public:
  /// Columns count from 0.
  template <class T>
  [[nodiscard]] T get(std::size_t column) const;
  /// The first column by that name, case-sensitive.
  template <class T>
  [[nodiscard]] T get(std::string_view name) const {
    return get<T>(index_of(name));
  }
  /// All columns, in order. A tuple or pair must have as many elements as there are columns; any other type takes the only one.
  template <class T>
  [[nodiscard]] T as() const;

  [[nodiscard]] sql_value value(std::size_t column) const;
  [[nodiscard]] std::size_t size() const noexcept;  ///< Columns.
  [[nodiscard]] std::string_view column_name(std::size_t column) const;
  [[nodiscard]] std::size_t index_of(std::string_view name) const;

 private:
  friend class row_set;
  friend struct detail::row_data;
  row_view(const detail::row_data& data, std::size_t first_cell) noexcept : data_{&data}, first_cell_{first_cell} {}

  std::int64_t integer(std::size_t column, std::string_view asked, std::int64_t least, std::uint64_t most) const;
  double real(std::size_t column, bool as_float) const;
  std::string_view text(std::size_t column, std::string_view asked) const;
  std::span<const std::byte> blob(std::size_t column, std::string_view asked) const;
  void expect_columns(std::size_t count) const;

  const detail::row_data* data_;
  std::size_t first_cell_;
};

/// The rows of a query, held in memory. Copies share them.
///
///     for (auto row : session.query("SELECT name FROM city").value()) print(row.get<std::string_view>(0));
///
/// Threads: may be read from any thread.
class SPILLWAY_EXPORT row_set {
 public:
  class iterator {
   public:
    using value_type = row_view;
    using difference_type = std::ptrdiff_t;
    using reference = row_view;
    using iterator_category = std::input_iterator_tag;

    iterator() noexcept = default;
    iterator(const row_set& rows, std::size_t index) noexcept : rows_{&rows}, index_{index} {}
    row_view operator*() const { return (*rows_)[index_]; }
    iterator& operator++() noexcept { return ++index_, *this; }
    iterator operator++(int) noexcept { return {*rows_, index_++}; }
    friend bool operator==(const iterator&, const iterator&) noexcept = default;

   private:
    const row_set* rows_{nullptr};
    std::size_t index_{0};
  };

  /// No rows, no columns.
  row_set() noexcept = default;
  explicit row_set(std::shared_ptr<const detail::row_data> data) noexcept : data_{std::move(data)} {}

  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  /// Errors: row_access_error if there is no such row.
  [[nodiscard]] row_view operator[](std::size_t index) const;
  [[nodiscard]] iterator begin() const noexcept { return {*this, 0}; }
  [[nodiscard]] iterator end() const noexcept { return {*this, size()}; }
  [[nodiscard]] std::vector<std::string> column_names() const;

 private:
  std::shared_ptr<const detail::row_data> data_;
};

template <class T>
T row_view::get(std::size_t column) const {
  if constexpr (detail::is_optional<T>) {
    if (value(column).is_null()) return std::nullopt;
    return get<typename T::value_type>(column);
  } else if constexpr (std::same_as<T, sql_value>) {
    return value(column);
  } else if constexpr (std::same_as<T, bool>) {
    return integer(column, "bool", 0, 1) != 0;
  } else if constexpr (detail::sql_integer<T>) {
    constexpr auto least = static_cast<std::int64_t>(std::numeric_limits<T>::min());
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    return static_cast<T>(integer(column, std::signed_integral<T> ? "signed integer" : "unsigned integer", least, most));
  } else if constexpr (std::floating_point<T>) {
    return static_cast<T>(real(column, std::same_as<T, float>));
  } else if constexpr (std::same_as<T, std::string> || std::same_as<T, std::string_view>) {
    return T{text(column, "text")};
  } else if constexpr (std::same_as<T, std::span<const std::byte>>) {
    return blob(column, "blob");
  } else if constexpr (std::same_as<T, std::vector<std::byte>>) {
    const auto bytes = blob(column, "blob");
    return T(bytes.begin(), bytes.end());
  } else {
    static_assert(!sizeof(T), "a column cannot be read as this type");
  }
}

template <class T>
T row_view::as() const {
  if constexpr (detail::is_tuple<T>) {
    expect_columns(std::tuple_size_v<T>);
    return [this]<std::size_t... I>(std::index_sequence<I...>) {
      return T{get<std::tuple_element_t<I, T>>(I)...};
    }(std::make_index_sequence<std::tuple_size_v<T>>{});
  } else {
    expect_columns(1);
    return get<T>(std::size_t{0});
  }
}

}  // namespace spillway
