// SPDX-License-Identifier: Apache-2.0
#include "pg_copy_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace spillway::detail {

namespace {

template <class Number>
void append_number(std::string& text, Number number) {
  std::array<char, 32> digits;
  const auto written = std::to_chars(digits.begin(), digits.end(), number);
  text.append(digits.begin(), written.ptr);
}

/// What must not stand for itself: it would end the value or the row, or mean something else.
constexpr char escape_of(char c) noexcept {
  switch (c) {
    case '\\': return '\\';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    default: return 0;
  }
}

/// False if there is a NUL byte.
bool append_text(std::string& text, std::string_view value) {
  auto plain = value.begin();
  for (auto at = value.begin(); at != value.end(); ++at) {
    if (*at > '\\') continue;
    if (*at == '\0') return false;
    const char escape = escape_of(*at);
    if (escape == 0) continue;
    text.append(plain, at);
    text += '\\';
    text += escape;
    plain = at + 1;
  }
  text.append(plain, value.end());
  return true;
}

void append_bytes(std::string& text, std::span<const std::byte> bytes) {
  constexpr std::string_view digits{"0123456789abcdef"};
  text += "\\\\x";
  for (const auto byte : bytes) {
    text += digits[std::to_integer<std::size_t>(byte >> 4U)];
    text += digits[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
}

void append_real(std::string& text, double real) {
  if (std::isinf(real)) {
    text += real > 0 ? "Infinity" : "-Infinity";
  } else {
    append_number(text, real);
  }
}

}  // namespace

std::optional<std::size_t> append_copy_values(std::string& text, std::span<const sql_value> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += '\t';
    const auto& value = values[i].get();
    switch (values[i].type()) {
      case sql_type::null: text += "\\N"; break;
      case sql_type::integer: append_number(text, std::get<std::int64_t>(value)); break;
      case sql_type::real: append_real(text, std::get<double>(value)); break;
      case sql_type::text:
        if (!append_text(text, std::get<std::string_view>(value))) return i;
        break;
      case sql_type::blob: append_bytes(text, std::get<std::span<const std::byte>>(value)); break;
    }
  }
  return std::nullopt;
}

}  // namespace spillway::detail
