// SPDX-License-Identifier: Apache-2.0
#include "analyzer/text_encoding.hpp"

#include "analyzer/byte_scan.hpp"

#include <algorithm>
#include <cstddef>

namespace analysis {

namespace {

/// What the first byte of a character asks for; no continuation and an empty range when it cannot be first.
struct lead {
  std::uint8_t continuations;
  std::uint8_t lowest;
  std::uint8_t highest;
};

constexpr lead lead_of(std::uint8_t byte) noexcept {
  if (byte >= 0xC2 && byte <= 0xDF) return {1, 0x80, 0xBF};
  if (byte == 0xE0) return {2, 0xA0, 0xBF};
  if (byte == 0xED) return {2, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {2, 0x80, 0xBF};
  if (byte == 0xF0) return {3, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {3, 0x80, 0xBF};
  if (byte == 0xF4) return {3, 0x80, 0x8F};
  return {0, 0, 0};
}

void append_escaped(std::string& out, char c) {
  constexpr std::string_view digits = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  out += {'\\', 'x', digits[byte >> 4U], digits[byte & 15U]};
}

}  // namespace

void utf8_checker::feed(std::string_view bytes) noexcept {
  const char* p = bytes.data();
  const char* const end = p + bytes.size();
  while (p != end && valid_) {
    if (missing_ == 0) {
      constexpr std::ptrdiff_t block = 256;
      while (end - p >= block && is_ascii(p, p + block)) p += block;
      while (p != end && static_cast<unsigned char>(*p) < 0x80) ++p;
      if (p == end) return;
      const lead first = lead_of(static_cast<std::uint8_t>(*p++));
      valid_ = first.continuations != 0;
      missing_ = first.continuations;
      lowest_ = first.lowest;
      highest_ = first.highest;
      continue;
    }
    const auto byte = static_cast<std::uint8_t>(*p++);
    valid_ = byte >= lowest_ && byte <= highest_;
    --missing_;
    lowest_ = 0x80;
    highest_ = 0xBF;
  }
}

bool is_utf8(std::string_view bytes) noexcept {
  utf8_checker checker;
  checker.feed(bytes);
  return checker.complete();
}

std::string displayable(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (std::size_t i = 0; i < bytes.size();) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (byte < 0x80) {
      if (byte < 0x20 || byte == 0x7F || byte == '\\') {
        append_escaped(out, bytes[i]);
      } else {
        out.push_back(bytes[i]);
      }
      ++i;
      continue;
    }
    const std::size_t length = std::size_t{1} + lead_of(byte).continuations;
    const std::string_view character = bytes.substr(i, length);
    if (length > 1 && character.size() == length && is_utf8(character)) {
      out += character;
      i += length;
    } else {
      append_escaped(out, bytes[i]);
      ++i;
    }
  }
  return out;
}

}  // namespace analysis
