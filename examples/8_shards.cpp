// SPDX-License-Identifier: Apache-2.0
// One table spread over four databases by tenant, and one question to all of them under one deadline.
#include <spillway/db/shard_map.hpp>
#include <spillway/db/sqlite.hpp>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;

int main() {
  const auto folder = std::filesystem::temp_directory_path() / ("spillway-example-" + std::to_string(std::random_device{}()));
  std::filesystem::create_directory(folder);
  {
    std::vector<database> databases;
    for (int i = 0; i < 4; ++i) {
      databases.push_back(open_sqlite({.path = (folder / ("shard" + std::to_string(i) + ".db")).string()}).value());
      databases.back().write([](write_session& s) { return s.execute("CREATE TABLE note (tenant TEXT NOT NULL, text TEXT NOT NULL)"); }).value();
    }
    shard_map shards{std::move(databases)};

    // Whatever belongs to one tenant lies on one shard, and there it has transactions.
    for (int i = 0; i < 100; ++i) {
      const auto tenant = "tenant-" + std::to_string(i);
      shards.on(tenant).write([&](write_session& s) { return s.execute("INSERT INTO note VALUES ($1, 'hello')", tenant); }).value();
    }

    // All shards are asked at once; one that hangs costs its own answer, not the whole.
    const auto counts = shards.scatter([](read_session& s) { return s.query_one<int>("SELECT count(*) FROM note").value().value(); }, 500ms);
    int total{0};
    for (std::size_t i = 0; i < shards.size(); ++i) {
      const auto& count = counts.shards()[i];
      std::printf("shard %zu: %s\n", i, count ? std::to_string(*count).c_str() : count.error().what().c_str());
      if (count) total += *count;
    }
    std::printf("%d notes%s\n", total, counts.complete() ? "" : " at least");

    // With eight shards, a tenant stays where it is or goes from shard i to i + 4.
    const shard_key tenant{"tenant-7"};
    std::printf("tenant-7: shard %zu of 4, %zu of 8\n", tenant.shard_of(4), tenant.shard_of(8));
  }
  std::filesystem::remove_all(folder);
}
