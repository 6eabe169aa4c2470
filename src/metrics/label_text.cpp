// SPDX-License-Identifier: Apache-2.0
#include "metrics/label_text.hpp"

#include <algorithm>

namespace spillway::detail {

namespace {

constexpr bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Length of the character that `text` begins with, or 0 if it begins with none. NUL is none.
std::size_t utf8_length(std::string_view text) noexcept {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto first = byte(0);
  if (first < 0x80) return first == 0 ? 0 : 1;
  const std::size_t length = first >= 0xC2 && first <= 0xDF ? 2 : (first & 0xF0U) == 0xE0 ? 3 : first >= 0xF0 && first <= 0xF4 ? 4 : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return 0;
  }
  const auto second = byte(1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool surrogate = first == 0xED && second > 0x9F;
  const bool too_large = first == 0xF4 && second > 0x8F;
  return overlong || surrogate || too_large ? 0 : length;
}

}  // namespace

bool is_metric_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= longest_name && !is_digit(name.front()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_letter(c) || is_digit(c) || c == ':'; });
}

bool is_label_name(std::string_view name) noexcept {
  return is_metric_name(name) && name.find(':') == std::string_view::npos && !name.starts_with("__");
}

bool is_clean_text(std::string_view text, std::size_t most_bytes) noexcept {
  if (text.size() > most_bytes) return false;
  const auto plain = [](char c) { return static_cast<signed char>(c) > 0; };  // ASCII but for NUL: nearly all there is
  text.remove_prefix(static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), plain) - text.begin()));
  while (!text.empty()) {
    const auto length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string clean_text(std::string_view text, std::size_t most_bytes) {
  constexpr std::string_view replacement{"\xEF\xBF\xBD"};
  std::string clean;
  while (!text.empty()) {
    const auto length = utf8_length(text);
    const auto piece = length == 0 ? replacement : text.substr(0, length);
    if (clean.size() + piece.size() > most_bytes) break;
    clean += piece;
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return clean;
}

}  // namespace spillway::detail
