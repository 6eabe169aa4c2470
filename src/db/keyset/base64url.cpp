// SPDX-License-Identifier: Apache-2.0
#include "base64url.hpp"

#include <cstdint>

namespace spillway::detail {

namespace {

constexpr std::string_view alphabet{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"};

}  // namespace

std::string base64url_encoded(std::string_view bytes) {
  std::string text;
  text.reserve(base64url_chars(bytes.size()));
  std::uint32_t bits{0};
  unsigned count{0};
  for (const char byte : bytes) {
    bits = (bits << 8U) | static_cast<unsigned char>(byte);
    for (count += 8; count >= 6; count -= 6) text += alphabet[(bits >> (count - 6)) & 0x3fU];
  }
  if (count > 0) text += alphabet[(bits << (6 - count)) & 0x3fU];
  return text;
}

bool is_base64url(std::string_view text) noexcept { return text.find_first_not_of(alphabet) == std::string_view::npos; }

std::optional<std::string> base64url_decoded(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  std::uint32_t bits{0};
  unsigned count{0};
  for (const char c : text) {
    const auto digit = alphabet.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = (bits << 6U) | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>((bits >> count) & 0xffU);
  }
  // What is left over must be less than a digit, and zero, or one cursor could be written in several ways.
  if (count >= 6 || (bits & ((1U << count) - 1U)) != 0) return std::nullopt;
  return bytes;
}

}  // namespace spillway::detail
