// SPDX-License-Identifier: Apache-2.0
#include <spillway/http/json_escape.hpp>

#include <cstddef>

namespace spillway {

namespace {

/// The length of the UTF-8 sequence at the beginning of `text`, 0 if there is none. Overlong forms, surrogates and what lies beyond U+10FFFF are
/// none.
[[nodiscard]] std::size_t utf8_length(std::string_view text) noexcept {
  const auto at = [&text](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto follows = [&at](std::size_t i) { return (at(i) & 0xC0U) == 0x80U; };
  const auto first = at(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if ((first == 0xE0 && at(1) < 0xA0) || (first == 0xED && at(1) > 0x9F)) return 0;
    return follows(1) && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if ((first == 0xF0 && at(1) < 0x90) || (first == 0xF4 && at(1) > 0x8F)) return 0;
    return follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char digits[]{"0123456789abcdef"};
  out.push_back('"');
  std::size_t plain{0};  // length of what needs no change
  const auto flush = [&](std::size_t then_skip) {
    out.append(text.substr(0, plain));
    text.remove_prefix(plain + then_skip);
    plain = 0;
  };
  while (plain < text.size()) {
    const char c = text[plain];
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      flush(1);
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20 || byte == 0x7F) {
      flush(1);
      out.append("\\u00");
      out.push_back(digits[byte >> 4]);
      out.push_back(digits[byte & 15]);
    } else if (byte < 0x80) {
      ++plain;
    } else if (const auto length = utf8_length(text.substr(plain)); length != 0) {
      plain += length;
    } else {
      flush(1);
      out.append("\xEF\xBF\xBD");
    }
  }
  flush(0);
  out.push_back('"');
}

}  // namespace spillway
