// SPDX-License-Identifier: Apache-2.0
/// @file
/// Finds the next byte that matters in a run of ordinary ones, sixteen at a time.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace analysis {

/// Up to eight bytes to look for; unused places repeat the first one.
class byte_set {
 public:
  constexpr byte_set() = default;

  constexpr void insert(unsigned char byte) noexcept {
    for (std::size_t i = 0; i < size_; ++i) {
      if (bytes_[i] == byte) return;
    }
    if (size_ == bytes_.size()) std::abort();  // Reached only while the constant tables are built: it fails to compile.
    bytes_[size_++] = byte;
    for (std::size_t i = size_; i < bytes_.size(); ++i) bytes_[i] = bytes_[0];
  }

  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
  [[nodiscard]] constexpr unsigned char operator[](std::size_t i) const noexcept { return bytes_[i]; }

 private:
  std::array<unsigned char, 8> bytes_{};
  std::size_t size_{0};
};

constexpr byte_set bytes_of(std::string_view bytes) {
  byte_set set;
  for (const char c : bytes) set.insert(static_cast<unsigned char>(c));
  return set;
}

namespace detail {

#if defined(__SSE2__)

template <std::size_t Needles>
const char* find_any(const byte_set& set, const char* p, const char* end) noexcept {
  __m128i needles[Needles];
  for (std::size_t i = 0; i < Needles; ++i) needles[i] = _mm_set1_epi8(static_cast<char>(set[i]));
  for (; end - p >= 16; p += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    __m128i found = _mm_cmpeq_epi8(block, needles[0]);
    for (std::size_t i = 1; i < Needles; ++i) {
      found = _mm_or_si128(found, _mm_cmpeq_epi8(block, needles[i]));
    }
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(found));
    if (mask != 0) return p + std::countr_zero(mask);
  }
  for (; p != end; ++p) {
    const auto byte = static_cast<unsigned char>(*p);
    for (std::size_t i = 0; i < Needles; ++i) {
      if (byte == set[i]) return p;
    }
  }
  return end;
}

#else

template <std::size_t Needles>
const char* find_any(const byte_set& set, const char* p, const char* end) noexcept {
  constexpr std::uint64_t ones = 0x0101010101010101U;
  constexpr std::uint64_t highs = 0x8080808080808080U;
  for (; end - p >= 8; p += 8) {
    std::uint64_t block = 0;
    std::memcpy(&block, p, sizeof block);
    std::uint64_t found = 0;
    for (std::size_t i = 0; i < Needles; ++i) {
      const std::uint64_t difference = block ^ (ones * set[i]);
      found |= (difference - ones) & ~difference & highs;
    }
    if (found != 0) break;
  }
  for (; p != end; ++p) {
    const auto byte = static_cast<unsigned char>(*p);
    for (std::size_t i = 0; i < Needles; ++i) {
      if (byte == set[i]) return p;
    }
  }
  return end;
}

#endif

}  // namespace detail

/// The first byte of [p, end) that is in the set, or end.
inline const char* find_any(const byte_set& set, const char* p, const char* end) noexcept {
  if (set.size() <= 2) return detail::find_any<2>(set, p, end);
  if (set.size() <= 4) return detail::find_any<4>(set, p, end);
  return detail::find_any<8>(set, p, end);
}

/// True when [p, end) holds only ASCII.
inline bool is_ascii(const char* p, const char* end) noexcept {
  std::uint64_t seen = 0;
  for (; end - p >= 32; p += 32) {
    std::array<std::uint64_t, 4> block;
    std::memcpy(block.data(), p, sizeof block);
    seen |= block[0] | block[1] | block[2] | block[3];
    if ((seen & 0x8080808080808080U) != 0) return false;
  }
  for (; p != end; ++p) seen |= static_cast<unsigned char>(*p);
  return (seen & 0x8080808080808080U) == 0;
}

/// Space, tab, vertical tab, form feed, carriage return; not the line feed.
inline bool is_blank_byte(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/// Letter, digit, underscore, or part of a UTF-8 sequence.
inline bool is_word_byte(char c) noexcept {
  const auto u = static_cast<unsigned char>(c);
  return (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || u == '_' || u >= 0x80;
}

}  // namespace analysis
