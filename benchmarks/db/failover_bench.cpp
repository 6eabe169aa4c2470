// SPDX-License-Identifier: Apache-2.0
// Servers that are killed, handed over and frozen under load: how long until the router has found its way?
//   failover_bench [RUNS]
#include "cluster_goals.hpp"

#include <atomic>
#include <cstdlib>
#include <mutex>

namespace {

using namespace spillway;
using namespace spillway::bench;

/// Tries to write on a server past the router; the moment of the first success.
clock_type::time_point accepts_writes(const std::string& url) {
  for (;;) {
    postgres_config one;
    one.url = url;
    one.readers = 1;
    one.writers = 1;
    auto direct = open_postgres(one);
    if (direct && direct->write([](write_session& s) { return s.execute("INSERT INTO entry VALUES (DEFAULT, 'direct')"); })) return clock_type::now();
    std::this_thread::sleep_for(1ms);
  }
}

void make_table(database& db) {
  db.write([](write_session& s) { return s.execute("CREATE TABLE entry (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, by text NOT NULL)"); }).value();
}

/// Writes on several threads, each with its longest time.
class load {
 public:
  explicit load(database& db) {
    for (int i = 0; i < 4; ++i) {
      threads_.emplace_back([this, &db] {
        while (!stop_) {
          const auto began = clock_type::now();
          const auto done = db.run_tx([](write_session& s) { return s.execute("INSERT INTO entry VALUES (DEFAULT, 'routed')"); }, session_options{20s});
          const auto now = clock_type::now();
          const std::scoped_lock lock{mutex_};
          longest_ = std::max(longest_, now - began);
          if (done) {
            ++committed;
            if (watching_ && began > *watching_ && !first_) first_ = now;
          } else {
            ++failed;
            if (done.error() == db_errc::not_primary) ++refused;
            why = done.error().what();
          }
        }
      });
    }
  }
  /// The first success of a write begun after `moment`.
  clock_type::time_point first_after(clock_type::time_point moment) {
    {
      const std::scoped_lock lock{mutex_};
      watching_ = moment;
      first_.reset();
    }
    wait_for([&] {
      const std::scoped_lock lock{mutex_};
      return first_.has_value();
    });
    const std::scoped_lock lock{mutex_};
    return first_.value_or(clock_type::now());
  }
  void stop() {
    stop_ = true;
    for (auto& each : threads_) each.join();
    threads_.clear();
  }
  clock_type::duration longest() {
    const std::scoped_lock lock{mutex_};
    return longest_;
  }
  std::atomic<std::int64_t> committed{0};
  std::atomic<std::int64_t> failed{0};
  std::atomic<std::int64_t> refused{0};  // with "no primary"
  std::string why;

 private:
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  clock_type::duration longest_{};
  std::optional<clock_type::time_point> watching_;
  std::optional<clock_type::time_point> first_;
  std::vector<std::thread> threads_;
};

void killed(int runs) {
  std::vector<double> found;
  std::int64_t refused{0};
  std::int64_t stray{0};
  std::int64_t unknown{0};
  for (int run = 0; run < runs; ++run) {
    tests::postgres_cluster cluster{1};
    auto db = open_postgres_cluster(config_of(cluster, 2)).value();
    make_table(db);
    load writers{db};
    wait_for([&] { return writers.committed > 50; });
    cluster.halt(0, "KILL");
    std::thread promotion{[&] { cluster.promote(1); }};
    const auto accepted = accepts_writes(cluster.url(1));
    const auto used = wait_for([&] { return routing_of(db).value().primary == 1U; });
    const auto seen = clock_type::now();
    promotion.join();
    if (!used) std::printf("not found\n");
    found.push_back(std::max(0.0, milliseconds_of(seen - accepted)));
    // It comes back as it was: nothing may be written there.
    cluster.resume(0);
    wait_for([&] { return routing_of(db).value().nodes[0].state == db_node_state::fenced; });
    const auto before = cluster.value("SELECT count(*) FROM entry", 0);
    const auto so_far = writers.committed.load();
    wait_for([&] { return writers.committed > so_far + 100; });
    if (cluster.value("SELECT count(*) FROM entry", 0) != before) ++stray;
    writers.stop();
    refused += writers.refused;
    unknown += writers.failed - writers.refused;
  }
  std::printf("killed and promoted %d times: found after p50 %.0f ms, longest %.0f ms; outcomes not known %lld\n", runs, quantile(found, 0.5),
              quantile(found, 1.0), static_cast<long long>(unknown));
  goal("R4.longest_until_found_ms", quantile(found, 1.0), "<=", 200);
  goal("R4.runs_with_a_write_on_the_old_primary", static_cast<double>(stray), "<=", 0);
  goal("R4.writes_refused_as_on_a_standby", static_cast<double>(refused), "<=", 0);
}

void handed_over(int runs) {
  std::int64_t failed{0};
  std::vector<double> added;
  for (int run = 0; run < runs; ++run) {
    tests::postgres_cluster cluster{1};
    auto db = open_postgres_cluster(config_of(cluster, 2)).value();
    make_table(db);
    load writers{db};
    wait_for([&] { return writers.committed > 50; });
    const auto began = clock_type::now();
    cluster.halt(0, "INT");
    std::thread promotion{[&] { cluster.promote(1); }};
    const auto accepted = accepts_writes(cluster.url(1));
    promotion.join();
    const auto so_far = writers.committed.load();
    wait_for([&] { return writers.committed > so_far + 100; });
    writers.stop();
    failed += writers.failed;
    if (writers.failed > 0) std::printf("failed: %s\n", writers.why.c_str());
    added.push_back(milliseconds_of(writers.longest() - (accepted - began)));
  }
  std::printf("handed over %d times: the longest wait was longer than the outage by p50 %.0f ms\n", runs, quantile(added, 0.5));
  goal("R5.failed_requests", static_cast<double>(failed), "<=", 0);
  goal("R5.added_wait_ms", quantile(added, 1.0), "<=", 300);
}

void frozen() {
  tests::postgres_cluster cluster{2};
  auto db = open_postgres_cluster(config_of(cluster, 3)).value();
  make_table(db);
  for (const int node : {1, 2}) wait_for([&] { return cluster.value("SELECT to_regclass('entry')", node) == "entry"; });
  struct answer {
    clock_type::time_point at;
    double ms;
  };
  std::mutex mutex;
  std::vector<answer> answers;
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> failed{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const auto began = clock_type::now();
        if (const auto rows = db.query(sql_query{"SELECT count(*) FROM entry"}, session_options{10s}); !rows && failed++ == 0) {
          std::printf("failed: %s\n", rows.error().what().c_str());
        }
        const auto now = clock_type::now();
        {
          const std::scoped_lock lock{mutex};
          answers.push_back({now, milliseconds_of(now - began)});
        }
        std::this_thread::sleep_for(200us);
      }
    });
  }
  const auto p99_between = [&](clock_type::time_point from, clock_type::time_point to) {
    const std::scoped_lock lock{mutex};
    std::vector<double> some;
    for (const auto& each : answers) {
      if (each.at >= from && each.at < to) some.push_back(each.ms);
    }
    return quantile(some, 0.99);
  };
  const auto state_of_c = [&] { return routing_of(db).value().nodes[2].state; };
  std::this_thread::sleep_for(3s);
  const auto began = clock_type::now();
  const auto normal = p99_between(began - 2s, began);
  cluster.halt(2, "STOP");
  const auto stopped = clock_type::now();
  wait_for([&] { return state_of_c() == db_node_state::down || state_of_c() == db_node_state::ejected; });
  const auto out = clock_type::now();
  std::this_thread::sleep_for(2s);
  const auto later = p99_between(stopped + 500ms, stopped + 1'500ms);
  cluster.resume(2);
  const auto thawed = clock_type::now();
  wait_for([&] { return state_of_c() == db_node_state::usable; });
  const auto chosen = routing_of(db).value().nodes[2].chosen;
  wait_for([&] { return routing_of(db).value().nodes[2].chosen > chosen; });
  const auto back = clock_type::now();
  stop = true;
  for (auto& each : readers) each.join();
  std::printf("one of two replicas frozen: p99 %.2f ms before, %.2f ms from 500 ms after on\n", normal, later);
  goal("R6.failed_reads", static_cast<double>(failed), "<=", 0);
  goal("R6.p99_over_normal", later / normal, "<=", 2);
  goal("R6.until_out_ms", milliseconds_of(out - began), "<=", 1'000);
  goal("R6.until_back_ms", milliseconds_of(back - thawed), "<=", 2'000);
}

}  // namespace

int main(int argc, char** argv) {
  const int runs = argc > 1 ? std::atoi(argv[1]) : 5;
  killed(runs);
  handed_over(runs);
  frozen();
}
