// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/shard_key.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using spillway::shard_key;

// The remainders are what PostgreSQL 15's satisfies_hash_partition says for 16 partitions; the 10^6 keys are asked in postgres_shard_test.
TEST_CASE("shard_key.gives the partition PostgreSQL chooses for a number") {
  const std::array<std::pair<std::int64_t, std::size_t>, 8> known{{{0, 0},
                                                                   {1, 8},
                                                                   {-1, 5},
                                                                   {42, 2},
                                                                   {std::numeric_limits<std::int64_t>::max(), 6},
                                                                   {std::numeric_limits<std::int64_t>::min(), 15},
                                                                   {4'294'967'296, 8},
                                                                   {1'234'567'890'123, 15}}};
  for (const auto& [key, partition] : known) {
    CAPTURE(key);
    CHECK(shard_key{key}.shard_of(16) == partition);
  }
  // hashint8extended(42, 8816678312871386365), and the constant of a row of one key.
  CHECK(shard_key{42}.hash() == 7'363'975'540'656'877'951U + 0x49a0'f4dd'15e5'a8e3U);
  CHECK(shard_key{-1}.hash() == static_cast<std::uint64_t>(-5'017'072'347'659'237'694) + 0x49a0'f4dd'15e5'a8e3U);
}

TEST_CASE("shard_key.gives the partition PostgreSQL chooses for a text, at every length of the last block") {
  const std::vector<std::pair<std::string, std::size_t>> known{{"", 6},          {"a", 14},           {"abc", 5},
                                                               {"abcd", 1},      {"abcdefgh", 5},     {"abcdefghijk", 11},
                                                               {"abcdefghijkl", 9}, {"abcdefghijklm", 6}, {"tenant-00042", 8},
                                                               {"Zürich 東京", 9}, {std::string(100, 'x'), 10}};
  for (const auto& [key, partition] : known) {
    CAPTURE(key);
    CHECK(shard_key{key}.shard_of(16) == partition);
  }
}

TEST_CASE("shard_key.is the same for the same number of any type, and for the same text") {
  CHECK(shard_key{7}.hash() == shard_key{std::uint64_t{7}}.hash());
  CHECK(shard_key{std::int16_t{-7}}.hash() == shard_key{std::int64_t{-7}}.hash());
  CHECK(shard_key{"x"}.hash() == shard_key{std::string{"x"}}.hash());
  CHECK_THROWS_AS(shard_key{std::numeric_limits<std::uint64_t>::max()}, std::out_of_range);
}

TEST_CASE("shard_key.moves only from shard i to i + N when N shards become 2 N, and about half of the keys do") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random{seed};
  for (const std::size_t shards : {1U, 3U, 4U, 7U}) {
    int moved{0};
    for (int i = 0; i < 10'000; ++i) {
      const shard_key key{static_cast<std::int64_t>(random())};
      const auto before = key.shard_of(shards);
      const auto after = key.shard_of(2 * shards);
      CHECK((after == before || after == before + shards));
      CHECK(key.moves_when_doubled(shards) == (after != before));
      moved += after != before ? 1 : 0;
    }
    CHECK(moved > 4'700);
    CHECK(moved < 5'300);
  }
}
