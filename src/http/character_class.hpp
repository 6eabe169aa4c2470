// SPDX-License-Identifier: Apache-2.0
// The small alphabets of HTTP.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace spillway::detail {

using character_table = std::array<bool, 256>;

[[nodiscard]] constexpr character_table make_table(std::string_view extra) noexcept {
  character_table table{};
  for (char c = '0'; c <= '9'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (char c = 'a'; c <= 'z'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (char c = 'A'; c <= 'Z'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (const char c : extra) table[static_cast<unsigned char>(c)] = true;
  return table;
}

inline constexpr character_table token_characters{make_table("!#$%&'*+-.^_`|~")};       // RFC 9110, 5.6.2
inline constexpr character_table host_characters{make_table("-._~!$&'()*+;=%:[]")};     // RFC 3986, host and port
inline constexpr character_table request_id_characters{make_table("-._~+/=:@")};

[[nodiscard]] constexpr bool all_of_class(std::string_view text, const character_table& table) noexcept {
  for (const char c : text) {
    if (!table[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

[[nodiscard]] constexpr char to_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

/// Compares ASCII letters without their case.
[[nodiscard]] constexpr bool same_text(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

}  // namespace spillway::detail
