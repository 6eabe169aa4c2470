// SPDX-License-Identifier: Apache-2.0
/// @file
/// One value on its way into the database or out of it.
#pragma once

#include <spillway/core/export.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace spillway {

enum class sql_type : std::uint8_t { null, integer, real, text, blob };

/// "null", "integer", "real", "text", "blob".
[[nodiscard]] SPILLWAY_EXPORT std::string_view to_string(sql_type type) noexcept;

namespace detail {

template <class T>
concept sql_integer = std::integral<T> && !std::same_as<T, char> && !std::same_as<T, wchar_t> && !std::same_as<T, char8_t> &&
                      !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

[[noreturn]] SPILLWAY_EXPORT void throw_integer_too_large(std::uint64_t value);

}  // namespace detail

/// Null, a 64-bit integer, a double, text (UTF-8) or bytes. Text and bytes are borrowed: from the caller on the way in, from the row on
/// the way out. Converts from bool, whole numbers, floating point, strings, `std::span<const std::byte>`, `std::vector<std::byte>`,
/// `nullptr`, and `std::optional` of these.
///
/// Errors: an unsigned number above 2^63 - 1 throws std::out_of_range. As a parameter, NaN is db_errc::type_mismatch: not every engine keeps it.
class sql_value {
 public:
  using storage = std::variant<std::monostate, std::int64_t, double, std::string_view, std::span<const std::byte>>;

  // NOLINTBEGIN(google-explicit-constructor): a parameter list is written with plain values
  constexpr sql_value() noexcept = default;
  constexpr sql_value(std::nullptr_t) noexcept {}
  constexpr sql_value(std::nullopt_t) noexcept {}
  template <detail::sql_integer T>
  constexpr sql_value(T value) : value_{to_int64(value)} {}
  template <std::floating_point T>
  constexpr sql_value(T value) noexcept : value_{static_cast<double>(value)} {}
  constexpr sql_value(std::string_view value) noexcept : value_{value} {}
  constexpr sql_value(const std::string& value) noexcept : value_{std::string_view{value}} {}
  /// A null pointer is null.
  constexpr sql_value(const char* value) noexcept {
    if (value != nullptr) value_ = std::string_view{value};
  }
  constexpr sql_value(std::span<const std::byte> value) noexcept : value_{value} {}
  constexpr sql_value(const std::vector<std::byte>& value) noexcept : value_{std::span<const std::byte>{value}} {}
  template <class T>
    requires std::constructible_from<sql_value, const T&>
  constexpr sql_value(const std::optional<T>& value) {
    if (value) *this = sql_value{*value};
  }
  // NOLINTEND(google-explicit-constructor)

  [[nodiscard]] constexpr sql_type type() const noexcept { return static_cast<sql_type>(value_.index()); }
  [[nodiscard]] constexpr bool is_null() const noexcept { return value_.index() == 0; }
  /// For std::visit; the order of the alternatives is that of sql_type.
  [[nodiscard]] constexpr const storage& get() const noexcept { return value_; }

 private:
  template <class T>
  static constexpr std::int64_t to_int64(T value) {
    if constexpr (std::unsigned_integral<T> && sizeof(T) >= sizeof(std::int64_t)) {
      if (value > static_cast<T>(std::numeric_limits<std::int64_t>::max())) detail::throw_integer_too_large(value);
    }
    return static_cast<std::int64_t>(value);
  }

  storage value_;
};

/// Something a parameter can be made of.
template <class T>
concept sql_parameter = std::constructible_from<sql_value, const T&>;

/// The values of one statement's parameters: `{7, "seven"}`, or a span made at run time. Borrowed, like the values.
class sql_parameters {
 public:
  constexpr sql_parameters() noexcept = default;
  // NOLINTBEGIN(google-explicit-constructor)
  /// Lives until the end of the full expression it is written in.
  constexpr sql_parameters(std::initializer_list<sql_value> values) noexcept : values_{values.begin(), values.size()} {}
  constexpr sql_parameters(std::span<const sql_value> values) noexcept : values_{values} {}
  constexpr sql_parameters(const std::vector<sql_value>& values) noexcept : values_{values} {}
  // NOLINTEND(google-explicit-constructor)

  [[nodiscard]] constexpr std::span<const sql_value> values() const noexcept { return values_; }

 private:
  std::span<const sql_value> values_;
};

}  // namespace spillway
