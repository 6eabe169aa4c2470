// SPDX-License-Identifier: Apache-2.0
// Point selects by spillway: db_load URL CALLERS SECONDS. Prints selects a second.
#include <spillway/db/postgres.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

using namespace spillway;

namespace {

double run(database& db, int callers, std::chrono::milliseconds length) {
  using clock = std::chrono::steady_clock;
  std::atomic<std::int64_t> done{0};
  std::vector<std::thread> threads;
  const auto began = clock::now();
  for (int c = 0; c < callers; ++c) {
    threads.emplace_back([&, id = static_cast<std::uint32_t>(c) * 7'919U]() mutable {
      std::int64_t mine{0};
      while (clock::now() - began < length) {
        id = id * 1'103'515'245U + 12'345U;
        const auto rows = db.query(sql_query{"SELECT abalance FROM pgbench_accounts WHERE aid = $1", static_cast<std::int64_t>(id % 100'000) + 1}).value();
        if (rows.size() != 1) std::abort();
        ++mine;
      }
      done += mine;
    });
  }
  for (auto& thread : threads) thread.join();
  return static_cast<double>(done) / std::chrono::duration<double>{clock::now() - began}.count();
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  postgres_config config;
  config.url = arguments[1];
  config.readers = 8;
  config.writers = 1;
  auto db = open_postgres(config).value();
  const int callers = std::atoi(arguments[2]);
  run(db, callers, std::chrono::milliseconds{500});
  std::printf("%.0f\n", run(db, callers, std::chrono::seconds{std::atoi(arguments[3])}));
}
