// SPDX-License-Identifier: Apache-2.0
// Whether the server agrees where keys belong, where they go when the shards double, and what a frozen shard costs.
#include "postgres_goals.hpp"

#include <spillway/db/bulk.hpp>
#include <spillway/db/shard_map.hpp>

#include <cstdint>
#include <random>
#include <ranges>
#include <tuple>

using namespace spillway;
using namespace spillway::bench;
using namespace std::chrono_literals;

namespace {

constexpr int key_count{1'000'000};
constexpr std::size_t shards{8};

template <class MakeKey>
std::int64_t misplaced(database& db, const std::string& type, MakeKey&& make_key) {
  return db.write([&](write_session& s) {
    s.execute("DROP TABLE IF EXISTS placed").value();
    s.execute("CREATE TABLE placed (k " + type + " NOT NULL, ours bigint NOT NULL) PARTITION BY HASH (k)").value();
    for (std::size_t i = 0; i < shards; ++i) {
      const auto n = std::to_string(i);
      s.execute("CREATE TABLE placed_" + n + " PARTITION OF placed FOR VALUES WITH (MODULUS " + std::to_string(shards) + ", REMAINDER " + n + ")").value();
    }
    const auto rows = std::views::iota(0, key_count) | std::views::transform([&](int i) {
                        auto key = make_key(i);
                        const auto shard = shard_key{key}.shard_of(shards);
                        return std::tuple{std::move(key), shard};
                      });
    bulk_insert(s, {"placed", {"k", "ours"}}, rows).value();
    return s.query_one<std::int64_t>("SELECT count(*) FROM placed WHERE tableoid <> ('placed_' || ours)::regclass").value().value();
  }, 5min).value();
}

void hashes(const std::string& url, std::mt19937_64& random) {
  auto db = open(url);
  std::printf("\n%d keys of each type in %zu hash partitions of the server\n", key_count, shards);
  const auto number = [&](int i) { return i % 2 == 0 ? std::int64_t{i} : static_cast<std::int64_t>(random()); };
  goal("R11-misplaced-bigint", static_cast<double>(misplaced(db, "bigint", number)), "<=", 0);
  const auto text = [&](int i) {
    std::string key{"tenant-" + std::to_string(i)};
    for (auto more = random() % 30; more > 0; --more) key += static_cast<char>('!' + random() % 90);
    return key;
  };
  goal("R11-misplaced-text", static_cast<double>(misplaced(db, "text", text)), "<=", 0);
}

void moves(std::mt19937_64& random) {
  std::int64_t wrong{0};
  std::int64_t moved{0};
  for (int i = 0; i < key_count; ++i) {
    const shard_key key{static_cast<std::int64_t>(random())};
    const auto before = key.shard_of(shards);
    const auto after = key.shard_of(2 * shards);
    wrong += after != before && after != before + shards ? 1 : 0;
    moved += after != before ? 1 : 0;
  }
  std::printf("\n%zu shards become %zu: %.1f %% of %d keys move\n", shards, 2 * shards, 100.0 * static_cast<double>(moved) / key_count, key_count);
  goal("R11-wrong-moves", static_cast<double>(wrong), "<=", 0);
}

void frozen() {
  const tests::postgres_database a;
  const tests::postgres_database b;
  const tests::postgres_database c;
  const tests::postgres_cluster other;
  std::vector<database> made;
  for (const auto& url : {a.url(), b.url(), other.url(), c.url()}) made.push_back(open(url));
  shard_map map{std::move(made)};
  const auto ask = [](read_session& s) { return s.query_one<int>("SELECT 1").value().value(); };
  if (!map.scatter(ask, 10s).complete()) std::abort();
  other.halt(0, "STOP");
  constexpr auto limit = 200ms;
  constexpr int tries{30};
  double worst{0};
  std::size_t answers{0};
  std::vector<double> all;
  for (int i = 0; i < tries; ++i) {
    const auto took = seconds_of([&] { answers += 4 - map.scatter(ask, limit).failed(); }) * 1e3;
    all.push_back(took);
    worst = std::max(worst, took);
  }
  other.resume(0);
  std::printf("\n4 databases, one server frozen, deadline %lld ms, %d times: median %.1f ms, worst %.1f ms, %zu of %d answers of the others\n",
              static_cast<long long>(limit.count()), tries, median(all), worst, answers, 3 * tries);
  goal("R11-frozen-overrun-ms", worst - static_cast<double>(limit.count()), "<=", 20);
  goal("R11-frozen-other-answers", static_cast<double>(answers), ">=", 3 * tries);
}

}  // namespace

int main() {
  std::mt19937_64 random{20260131};
  const tests::postgres_database place;
  std::printf("PostgreSQL %s\n", place.cluster.value("SHOW server_version").c_str());
  hashes(place.url(), random);
  moves(random);
  frozen();
}
