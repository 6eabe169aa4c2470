// SPDX-License-Identifier: Apache-2.0
/// @file
/// Which of N shards a key belongs to: the same as of N partitions of a PostgreSQL table made with PARTITION BY HASH.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/db/sql_value.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace spillway {

namespace detail {
[[nodiscard]] SPILLWAY_EXPORT std::uint64_t shard_hash(std::int64_t key) noexcept;
[[nodiscard]] SPILLWAY_EXPORT std::uint64_t shard_hash(std::string_view key) noexcept;
}  // namespace detail

/// A key by which data are spread over shards: a whole number, hashed as a `bigint`, or text, hashed by its bytes as `text` of a
/// deterministic collation. The same number as `int` and as `std::int64_t` is the same key.
///
///     shard_key{42}.shard_of(4);            // 2: the row lies in the partition with MODULUS 4, REMAINDER 2
///     shard_key{"tenant-7"}.shard_of(4);
///
/// Errors: an unsigned number above 2^63 - 1 throws std::out_of_range.
class shard_key {
 public:
  // NOLINTBEGIN(google-explicit-constructor): a key is written as the plain value
  template <detail::sql_integer T>
  shard_key(T key) : hash_{detail::shard_hash(std::get<std::int64_t>(sql_value{key}.get()))} {}
  shard_key(std::string_view key) noexcept : hash_{detail::shard_hash(key)} {}
  shard_key(const std::string& key) noexcept : hash_{detail::shard_hash(std::string_view{key})} {}
  shard_key(const char* key) noexcept : hash_{detail::shard_hash(std::string_view{key})} {}
  // NOLINTEND(google-explicit-constructor)

  [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
  /// In [0, shards). `shards` is at least 1.
  [[nodiscard]] std::size_t shard_of(std::size_t shards) const noexcept { return static_cast<std::size_t>(hash_ % shards); }
  /// Whether the key changes its shard when the number of shards doubles. Then it goes from shard i to i + shards, and nowhere else.
  [[nodiscard]] bool moves_when_doubled(std::size_t shards) const noexcept { return shard_of(2 * shards) != shard_of(shards); }

 private:
  std::uint64_t hash_;
};

}  // namespace spillway
