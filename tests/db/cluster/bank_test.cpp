// SPDX-License-Identifier: Apache-2.0
// Money moves between accounts while sessions are killed at random: none is made or lost, and every caller knows how his transfer ended.
#include "db/cluster/cluster_fixture.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <vector>

using namespace spillway;
using namespace spillway::tests;

TEST_CASE("bank.sums_stay_exact_and_every_outcome_is_known_while_sessions_are_killed") {
  cluster_fixture fixture{1};
  auto config = fixture.config();
  config.sessions.writers = 8;
  config.sessions.database.retry.attempts = 100;
  config.sessions.database.retry.budget_ratio = 10;
  auto db = open_postgres_cluster(config).value();
  constexpr int accounts{20};
  constexpr int workers{8};
  const char* const given = std::getenv("SPILLWAY_TRANSFERS");  // for a longer run than a test can be
  const int each = given != nullptr ? std::atoi(given) / workers : 100;
  db.write([](write_session& s) -> result<void, db_error> {
    s.execute("CREATE TABLE account (id int PRIMARY KEY, cents bigint NOT NULL)").value();
    s.execute("CREATE TABLE transfer (id bigint PRIMARY KEY)").value();
    s.execute("INSERT INTO account SELECT i, 1000 FROM generate_series(0, 19) AS i").value();
    return {};
  }).value();

  std::atomic<int> left{workers};
  std::mutex mutex;
  std::set<std::int64_t> done;
  std::map<std::string, int> failures;
  std::vector<std::thread> threads;
  for (int worker = 0; worker < workers; ++worker) {
    threads.emplace_back([&, worker] {
      std::minstd_rand random{static_cast<std::uint32_t>(worker + 1)};
      for (int i = 0; i < each; ++i) {
        const auto id = std::int64_t{worker} * 1'000'000 + i;
        const int from = static_cast<int>(random() % accounts);
        const int to = static_cast<int>((static_cast<std::uint32_t>(from) + 1 + random() % (accounts - 1)) % accounts);
        const int cents = static_cast<int>(random() % 50);
        session_options options{60s};
        options.isolation = tx_isolation::serializable;
        const auto outcome = db.run_tx([&](write_session& s) -> result<void, db_error> {
          const auto has = s.query_one<std::int64_t>("SELECT cents FROM account WHERE id = $1", from).value().value();
          if (has >= cents) {
            s.execute("UPDATE account SET cents = cents - $2 WHERE id = $1", from, cents).value();
            s.execute("UPDATE account SET cents = cents + $2 WHERE id = $1", to, cents).value();
          }
          const auto noted = s.execute("INSERT INTO transfer (id) VALUES ($1)", id);  // twice would be an error
          if (!noted) return noted.error();
          return {};
        }, options);
        const std::scoped_lock lock{mutex};
        if (outcome) done.insert(id);
        else ++failures[outcome.error().what()];
      }
      --left;
    });
  }
  int killed{0};
  while (left > 0) {
    const auto victims = fixture.cluster.sql(
        "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE application_name = 'spillway' AND "
        "state IS DISTINCT FROM 'idle' ORDER BY random() LIMIT 2) AS victim");
    killed += static_cast<int>(victims.size());
  }
  for (auto& thread : threads) thread.join();

  for (const auto& [what, count] : failures) MESSAGE(count << " x " << what);
  MESSAGE("sessions killed: " << killed);
  CHECK(failures.empty());
  CHECK(killed > 20);
  CHECK(fixture.cluster.value("SELECT sum(cents) FROM account") == "20000");
  CHECK(fixture.cluster.value("SELECT count(*) FROM account WHERE cents < 0") == "0");
  CHECK(fixture.cluster.value("SELECT count(*) FROM transfer") == std::to_string(done.size()));
  CHECK(done.size() == static_cast<std::size_t>(workers * each));
}
