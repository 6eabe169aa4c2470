// SPDX-License-Identifier: Apache-2.0
// Reads behind writes on a primary with two replicas, all well: is anything stale, who serves it, and what does it cost?
//   routing_bench [PAIRS [SECONDS]]
#include "cluster_goals.hpp"

#include "db/support/tcp_relay.hpp"

#include <atomic>
#include <cstdlib>
#include <future>
#include <mutex>

#include <sys/resource.h>

namespace {

using namespace spillway;
using namespace spillway::bench;

constexpr int threads{4};

struct pairs_result {
  std::int64_t stale{0};
  std::int64_t failed{0};
  std::int64_t on_replica{0};
  std::int64_t slow{0};  // beyond 250 ms
  std::vector<double> read_ms;
};

/// Each thread updates a row of its own, and reads it back.
pairs_result write_and_read(database& db, int pairs, bool with_token) {
  db.write([](write_session& s) { return s.execute_script("CREATE TABLE IF NOT EXISTS pair (id int PRIMARY KEY, n bigint NOT NULL); TRUNCATE pair;"); }).value();
  pairs_result all;
  std::mutex mutex;
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      pairs_result mine;
      consistency_token token;
      session_options options{30s};
      options.token = &token;
      const session_options plain{30s};
      db.write([&](write_session& s) { return s.execute("INSERT INTO pair VALUES ($1, -1)", t); }, options).value();
      for (std::int64_t n = 0; n < pairs / threads; ++n) {
        if (!db.write([&](write_session& s) { return s.execute("UPDATE pair SET n = $2 WHERE id = $1", t, n); }, options)) ++mine.failed;
        bool replica{false};
        const auto began = clock_type::now();
        const auto seen = db.read([&](read_session& s) {
          const auto rows = s.query("SELECT n, pg_is_in_recovery() FROM pair WHERE id = $1", t).value();
          if (rows.size() == 0) return std::int64_t{-2};
          replica = rows[0].get<bool>(1);
          return rows[0].get<std::int64_t>(0);
        }, with_token ? options : plain);
        const auto took = milliseconds_of(clock_type::now() - began);
        mine.read_ms.push_back(took);
        if (!seen) ++mine.failed;
        else if (*seen != n) ++mine.stale;
        if (replica) ++mine.on_replica;
        if (took > 250) ++mine.slow;
      }
      const std::scoped_lock lock{mutex};
      all.stale += mine.stale;
      all.failed += mine.failed;
      all.on_replica += mine.on_replica;
      all.slow += mine.slow;
      all.read_ms.insert(all.read_ms.end(), mine.read_ms.begin(), mine.read_ms.end());
    });
  }
  for (auto& each : running) each.join();
  return all;
}

void reads_behind_writes(tests::postgres_cluster& cluster, int pairs) {
  auto db = open_postgres_cluster(config_of(cluster, 3)).value();
  auto naive = write_and_read(db, pairs / 10, false);
  std::printf("naive, without a token: %.1f %% stale of %d, read p50 %.3f ms\n", 100.0 * static_cast<double>(naive.stale) / (pairs / 10), pairs / 10,
              quantile(naive.read_ms, 0.5));
  auto ours = write_and_read(db, pairs, true);
  const auto stats = routing_of(db).value();
  std::printf("with a token: %d pairs, %lld failed, proven %llu, asked %llu, missed %llu, on the primary %llu\n", pairs, static_cast<long long>(ours.failed),
              static_cast<unsigned long long>(stats.proven), static_cast<unsigned long long>(stats.checks_passed),
              static_cast<unsigned long long>(stats.checks_missed), static_cast<unsigned long long>(stats.fallbacks));
  goal("R1.stale", static_cast<double>(ours.stale + ours.failed), "<=", 0);
  goal("R1.share_on_replicas", static_cast<double>(ours.on_replica) / pairs, ">=", 0.9);
  goal("R1.added_p50_ms", quantile(ours.read_ms, 0.5) - quantile(naive.read_ms, 0.5), "<=", 1);
  goal("R1.added_p99_ms", quantile(ours.read_ms, 0.99) - quantile(naive.read_ms, 0.99), "<=", 20);
  goal("R2.waits_above_250_ms", static_cast<double>(ours.slow), "<=", 0);

  // The replicas show everything a second later: the script knows whole seconds.
  cluster.lag(1, 1);
  cluster.lag(2, 1);
  std::this_thread::sleep_for(1'500ms);
  auto delayed = write_and_read(db, pairs / 20, true);
  std::printf("replicas 1 s behind: %.1f %% on replicas, read p50 %.3f ms\n", 100.0 * static_cast<double>(delayed.on_replica) / (pairs / 20),
              quantile(delayed.read_ms, 0.5));
  goal("R1.stale_of_delayed", static_cast<double>(delayed.stale + delayed.failed), "<=", 0);
  cluster.lag(1, 0);
  cluster.lag(2, 0);
}

void round_trips(tests::postgres_cluster& cluster) {
  tests::tcp_relay relay{cluster.port(0)};
  auto config = config_of(cluster, 1, 1);
  config.nodes[0].url = "postgresql://spillway@127.0.0.1:" + std::to_string(relay.port()) + "/postgres?sslmode=disable";
  config.routing.probe_interval = 9s;  // or the probes would be counted
  config.routing.max_sample_age = 10s;
  auto db = open_postgres_cluster(config).value();
  db.write([](write_session& s) { return s.execute("CREATE TABLE IF NOT EXISTS trip (id int)"); }).value();
  const auto turns = [&](consistency_token* token) {
    session_options options;
    options.token = token;
    const auto write = [&] { db.write([](write_session& s) { return s.execute("INSERT INTO trip VALUES (1)"); }, options).value(); };
    write();
    const auto before = relay.turns();
    for (int i = 0; i < 100; ++i) write();
    return static_cast<double>(relay.turns() - before) / 100;
  };
  consistency_token token;
  const auto without = turns(nullptr);
  const auto with = turns(&token);
  std::printf("round trips of a write: %.2f, with a token %.2f\n", without, with);
  goal("R2.extra_round_trips", with - without, "<=", 0.05);  // a probe may fall in
}

void idle(tests::postgres_cluster& cluster, int seconds) {
  auto db = open_postgres_cluster(config_of(cluster, 3)).value();
  std::this_thread::sleep_for(1s);
  const auto cpu = [] {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto of = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
    return of(used.ru_utime) + of(used.ru_stime);
  };
  const auto before = cpu();
  double worst_ms{0};
  std::int64_t unknown{0};
  const auto until = clock_type::now() + std::chrono::seconds{seconds};
  while (clock_type::now() < until) {
    for (const auto& node : routing_of(db).value().nodes) {
      if (node.role != db_node_role::replica) continue;
      if (!node.lag) ++unknown;
      else worst_ms = std::max(worst_ms, milliseconds_of(*node.lag));
    }
    std::this_thread::sleep_for(50ms);
  }
  std::printf("idle for %d s: lag unknown %lld times\n", seconds, static_cast<long long>(unknown));
  goal("R3.cpu_percent", 100 * (cpu() - before) / seconds, "<=", 1);
  goal("R3.greatest_lag_ms", worst_ms, "<=", 500);  // its age alone; no write was missed
}

double rate_of(const postgres_cluster_config& config, int callers, std::chrono::seconds length, std::chrono::microseconds (*time_of)(int)) {
  auto db = open_postgres_cluster(config).value();
  const auto fast = std::to_string(std::chrono::duration<double>{time_of(1)}.count());
  const auto slow = std::to_string(std::chrono::duration<double>{time_of(2)}.count());
  const auto sql = "SELECT pg_sleep(CASE current_setting('cluster_name') WHEN 'node1' THEN " + fast + " ELSE " + slow + " END)";
  std::atomic<std::int64_t> done{0};
  std::vector<std::thread> all;
  const auto run = [&](std::chrono::nanoseconds for_this_long, std::atomic<std::int64_t>& count) {
    all.clear();
    const auto began = clock_type::now();
    for (int t = 0; t < callers; ++t) {
      all.emplace_back([&] {
        while (clock_type::now() - began < for_this_long) {
          if (db.query(sql_query{sql})) ++count;
        }
      });
    }
    for (auto& each : all) each.join();
    return static_cast<double>(count) / std::chrono::duration<double>{clock_type::now() - began}.count();
  };
  std::atomic<std::int64_t> warm{0};
  (void)run(1s, warm);
  return run(length, done);
}

void unequal_replicas(tests::postgres_cluster& cluster, int seconds) {
  const auto times = [](int node) { return node == 1 ? std::chrono::microseconds{5'000} : std::chrono::microseconds{15'000}; };
  auto config = config_of(cluster, 3, 8);
  config.routing.eject_latency_factor = 1'000;
  // Sixteen sessions between them, and twice as many callers: a session without work is what a bad choice costs.
  const auto alone = [&](int node) {
    auto one = config;
    one.nodes.erase(one.nodes.begin() + (node == 1 ? 2 : 1));
    return rate_of(one, 8, std::chrono::seconds{seconds}, times);
  };
  const auto ideal = alone(1) + alone(2);
  const auto p2c = rate_of(config, 32, std::chrono::seconds{seconds}, times);
  config.routing.strategy = read_strategy::round_robin;
  const auto round_robin = rate_of(config, 32, std::chrono::seconds{seconds}, times);
  std::printf("replicas 1:3 in speed: ideal %.0f/s, power of two %.0f/s, round robin %.0f/s\n", ideal, p2c, round_robin);
  goal("R8.power_of_two_over_ideal", p2c / ideal, ">=", 0.95);
}

void hedging(tests::postgres_cluster& cluster, int seconds) {
  const auto measure = [&](double ratio, double& extra) {
    auto config = config_of(cluster, 3);
    config.routing.hedge_ratio = ratio;
    config.routing.eject_latency_floor = 1h;
    config.routing.strategy = read_strategy::round_robin;
    auto db = open_postgres_cluster(config).value();
    const sql_query some_slow{"SELECT CASE WHEN current_setting('cluster_name') = 'node1' AND random() < 0.05 THEN pg_sleep(0.05)::text ELSE '' END"};
    std::vector<double> took;
    std::int64_t asked{0};
    const auto until = clock_type::now() + std::chrono::seconds{3 * seconds};
    while (clock_type::now() < until) {
      const auto began = clock_type::now();
      std::promise<bool> answer;
      db.async_query(some_slow, 10s, [&](result<row_set, db_error> rows) { answer.set_value(rows.has_value()); });
      if (!answer.get_future().get()) std::abort();
      if (++asked > 300) took.push_back(milliseconds_of(clock_type::now() - began));
    }
    extra = static_cast<double>(routing_of(db).value().hedged) / static_cast<double>(asked);
    std::printf("hedge_ratio %.2f: %lld queries, p50 %.3f ms, p99 %.1f ms, p99.9 %.1f ms, asked twice %.2f %%\n", ratio, static_cast<long long>(asked),
                quantile(took, 0.5), quantile(took, 0.99), quantile(took, 0.999), 100 * extra);
    return quantile(took, 0.999);
  };
  double none{0};
  double extra{0};
  const auto without = measure(0, none);
  const auto with = measure(0.05, extra);
  goal("R7.p999_reduced_by", 1 - with / without, ">=", 0.8);
  goal("R7.extra_queries", extra, "<=", 0.05);
}

}  // namespace

int main(int argc, char** argv) {
  const int pairs = argc > 1 ? std::atoi(argv[1]) : 20'000;
  const int seconds = argc > 2 ? std::atoi(argv[2]) : 3;
  tests::postgres_cluster cluster{2};
  reads_behind_writes(cluster, pairs);
  round_trips(cluster);
  idle(cluster, 5 * seconds);
  hedging(cluster, seconds);
  unequal_replicas(cluster, seconds);
}
