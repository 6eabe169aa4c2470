// SPDX-License-Identifier: Apache-2.0
#include "db/support/postgres_cluster.hpp"

#include <spillway/db/bulk.hpp>
#include <spillway/db/postgres.hpp>
#include <spillway/db/shard_map.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <random>
#include <ranges>
#include <string>
#include <tuple>
#include <vector>

using namespace spillway;
using namespace spillway::tests;
using namespace std::chrono_literals;

namespace {

database open(const std::string& url) {
  postgres_config config;
  config.url = url;
  config.readers = 2;
  config.writers = 2;
  config.database.timeout = std::chrono::minutes{1};
  return open_postgres(config).value();
}

/// How many of the keys lie in another partition than the one we say.
std::int64_t misplaced(database& db) {
  return db.read([](read_session& s) {
    return s.query_one<std::int64_t>("SELECT count(*) FROM placed WHERE tableoid <> ('placed_' || ours)::regclass").value().value();
  }, 60s).value();
}

void make_placed(database& db, const std::string& type, std::size_t shards) {
  db.write([&](write_session& s) {
    s.execute("DROP TABLE IF EXISTS placed").value();
    s.execute("CREATE TABLE placed (k " + type + " NOT NULL, ours bigint NOT NULL) PARTITION BY HASH (k)").value();
    for (std::size_t i = 0; i < shards; ++i) {
      const auto n = std::to_string(i);
      s.execute("CREATE TABLE placed_" + n + " PARTITION OF placed FOR VALUES WITH (MODULUS " + std::to_string(shards) + ", REMAINDER " + n + ")").value();
    }
  }).value();
}

}  // namespace

// The goal's 10^6 keys are in benchmarks/db/shard_goals.
TEST_CASE("shard_key.agrees with PARTITION BY HASH on random numbers and texts") {
  const postgres_database place;
  auto db = open(place.url());
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random{seed};
  for (const std::size_t shards : {4U, 7U}) {
    make_placed(db, "bigint", shards);
    const auto numbers = std::views::iota(0, 20'000) | std::views::transform([&](int) {
                           const auto key = static_cast<std::int64_t>(random()) >> (random() % 64);
                           return std::tuple{key, shard_key{key}.shard_of(shards)};
                         });
    db.write([&](write_session& s) { return bulk_insert(s, {"placed", {"k", "ours"}}, numbers); }, 60s).value();
    CHECK(misplaced(db) == 0);
    make_placed(db, "text", shards);
    const auto texts = std::views::iota(0, 20'000) | std::views::transform([&](int) {
                         std::string key;
                         for (auto length = random() % 40; length > 0; --length) key += static_cast<char>('!' + random() % 90);
                         const auto shard = shard_key{key}.shard_of(shards);
                         return std::tuple{std::move(key), shard};
                       });
    db.write([&](write_session& s) { return bulk_insert(s, {"placed", {"k", "ours"}}, texts); }, 60s).value();
    CHECK(misplaced(db) == 0);
  }
}

TEST_CASE("shard_map.a server that is frozen costs its own answer, at the deadline") {
  const postgres_database first;
  const postgres_database second;
  const postgres_cluster other;
  std::vector<database> made;
  made.push_back(open(first.url()));
  made.push_back(open(other.url()));
  made.push_back(open(second.url()));
  shard_map shards{std::move(made)};
  const auto ask = [](read_session& s) { return s.query_one<std::string>("SELECT current_database()::text").value().value(); };
  CHECK(shards.scatter(ask, 5s).complete());
  other.halt(0, "STOP");
  const auto began = std::chrono::steady_clock::now();
  auto answers = shards.scatter(ask, 300ms);
  const auto took = std::chrono::steady_clock::now() - began;
  CHECK(took >= 300ms);
  CHECK(took < 5s);
  CHECK(answers.failed() == 1);
  CHECK(answers.shards()[1].error() == db_errc::timed_out);
  CHECK(std::move(answers).partial() == std::vector<std::string>{first.name, second.name});
  other.resume(0);
}
