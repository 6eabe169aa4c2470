// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/shard_key.hpp>

#include <bit>

namespace spillway::detail {

namespace {

// PostgreSQL's hash of a partition key is lookup3 of Bob Jenkins (public domain, 2006), read as little-endian words and started from a fixed seed. What
// it gives for each key is mixed into that of the whole row, which starts at zero.
constexpr std::uint64_t partition_seed{0x7a5b'2236'7996'dcfdU};
constexpr std::uint64_t row_constant{0x49a0'f4dd'15e5'a8e3U};

struct lookup3 {
  std::uint32_t a, b, c;

  explicit lookup3(std::size_t length) noexcept : a{0x9e37'79b9U + static_cast<std::uint32_t>(length) + 3'923'095U}, b{a}, c{a} {
    a += static_cast<std::uint32_t>(partition_seed >> 32U);
    b += static_cast<std::uint32_t>(partition_seed);
    mix();
  }

  void mix() noexcept {
    a -= c, a ^= std::rotl(c, 4), c += b;
    b -= a, b ^= std::rotl(a, 6), a += c;
    c -= b, c ^= std::rotl(b, 8), b += a;
    a -= c, a ^= std::rotl(c, 16), c += b;
    b -= a, b ^= std::rotl(a, 19), a += c;
    c -= b, c ^= std::rotl(b, 4), b += a;
  }

  std::uint64_t last() noexcept {
    c ^= b, c -= std::rotl(b, 14);
    a ^= c, a -= std::rotl(c, 11);
    b ^= a, b -= std::rotl(a, 25);
    c ^= b, c -= std::rotl(b, 16);
    a ^= c, a -= std::rotl(c, 4);
    b ^= a, b -= std::rotl(a, 14);
    c ^= b, c -= std::rotl(b, 24);
    return (std::uint64_t{b} << 32U) | c;
  }
};

/// Up to four bytes as a little-endian number.
std::uint32_t word(std::string_view bytes) noexcept {
  std::uint32_t made{0};
  for (std::size_t i = 0; i < bytes.size() && i < 4; ++i) made |= std::uint32_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  return made;
}

std::string_view from(std::string_view bytes, std::size_t at) noexcept { return at < bytes.size() ? bytes.substr(at) : std::string_view{}; }

}  // namespace

std::uint64_t shard_hash(std::int64_t key) noexcept {
  const auto low = static_cast<std::uint32_t>(key);
  const auto high = static_cast<std::uint32_t>(static_cast<std::uint64_t>(key) >> 32U);
  lookup3 state{sizeof(std::uint32_t)};
  // So that a number hashes the same as int, bigint and smallint.
  state.a += low ^ (key >= 0 ? high : ~high);
  return state.last() + row_constant;
}

std::uint64_t shard_hash(std::string_view key) noexcept {
  lookup3 state{key.size()};
  for (; key.size() >= 12; key.remove_prefix(12)) {
    state.a += word(key);
    state.b += word(from(key, 4));
    state.c += word(from(key, 8));
    state.mix();
  }
  state.a += word(key);
  state.b += word(from(key, 4));
  state.c += word(from(key, 8)) << 8U;  // the lowest byte is the length's
  return state.last() + row_constant;
}

}  // namespace spillway::detail
