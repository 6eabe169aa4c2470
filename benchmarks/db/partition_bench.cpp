// SPDX-License-Identifier: Apache-2.0
// Partitions are made, attached, detached and dropped, and a default one is drained, while writers write and a query of 60 s is open:
// for how long is any writer held up? pg_partman does the same work beside it, where it is installed.
#include "postgres_goals.hpp"

#include <spillway/db/partitions.hpp>

#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace spillway;
using namespace spillway::bench;
using namespace std::chrono_literals;

namespace {

constexpr auto query_length = 60s;
constexpr int writers{4};

database open_as(const std::string& url, const std::string& name, std::size_t sessions) {
  postgres_config config;
  config.url = url;
  config.application_name = name;
  config.readers = 1;
  config.writers = sessions;
  config.database.timeout = 2min;
  config.database.slow_statement = 1h;
  return open_postgres(config).value();
}

/// Rows of this month, one a transaction, from several threads.
class writer_load {
 public:
  explicit writer_load(const std::string& url) : db_{open_as(url, "writers", writers)} {
    for (int i = 0; i < writers; ++i) threads_.emplace_back([this] { run(); });
  }
  ~writer_load() { stop(); }
  void stop() {
    stopped_ = true;
    for (auto& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  [[nodiscard]] double worst_ms() const { return static_cast<double>(worst_us_.load()) / 1e3; }
  [[nodiscard]] std::int64_t written() const { return written_; }
  [[nodiscard]] std::int64_t failed() const { return failed_; }

 private:
  void run() {
    while (!stopped_) {
      const auto took = seconds_of([&] {
        const auto done = db_.write([](write_session& s) { return s.execute("INSERT INTO event (at, note) VALUES (now(), 'load')"); });
        ++(done ? written_ : failed_);
        if (!done && !told_.exchange(true)) std::printf("  a write failed: %s\n", done.error().what().c_str());
      });
      const auto us = static_cast<std::int64_t>(took * 1e6);
      for (auto before = worst_us_.load(); before < us && !worst_us_.compare_exchange_weak(before, us);) {
      }
      std::this_thread::sleep_for(2ms);  // the load is that of a service, not of the machine's limit
    }
  }

  database db_;
  std::atomic<bool> stopped_{false};
  std::atomic<std::int64_t> worst_us_{0};
  std::atomic<std::int64_t> written_{0};
  std::atomic<std::int64_t> failed_{0};
  std::atomic<bool> told_{false};
  std::vector<std::thread> threads_;
};

/// What the server says about writers that wait for a lock on a table, looked at every few milliseconds.
class lock_watch {
 public:
  explicit lock_watch(const std::string& url) : db_{open_as(url, "watch", 1)}, thread_{[this] { run(); }} {}
  ~lock_watch() { stop(); }
  void stop() {
    stopped_ = true;
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] double worst_ms() const { return worst_ms_; }

 private:
  void run() {
    while (!stopped_) {
      const auto waited = db_.read([](read_session& s) {
        return s.query_one<double>(
            "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart))::float8 * 1000, 0) FROM pg_locks l JOIN pg_stat_activity a "
            "USING (pid) WHERE NOT l.granted AND l.locktype = 'relation' AND a.application_name = 'writers'");
      });
      if (waited && *waited) worst_ms_ = std::max(worst_ms_, **waited);
      std::this_thread::sleep_for(3ms);
    }
  }

  database db_;
  std::atomic<bool> stopped_{false};
  double worst_ms_{0};
  std::thread thread_;
};

/// A report that somebody runs over the whole table.
class long_query {
 public:
  explicit long_query(const std::string& url) : db_{open_as(url, "report", 1)}, thread_{[this] {
    db_.read([this](read_session& s) {
      s.query("SELECT count(*) FROM event").value();
      began_ = true;
      began_.notify_all();
      s.query("SELECT pg_sleep($1::float8)", std::chrono::duration<double>{query_length}.count()).value();
    }, 2min).value();
    over_ = true;
  }} {
    began_.wait(false);
  }
  ~long_query() { thread_.join(); }
  [[nodiscard]] bool over() const { return over_; }

 private:
  database db_;
  std::atomic<bool> began_{false};
  std::atomic<bool> over_{false};
  std::thread thread_;
};

struct outcome {
  double worst_lock_wait_ms;
  double worst_write_ms;
  std::int64_t failed;
  double took_s;
};

outcome under_load(const std::string& url, const std::function<void()>& work) {
  writer_load load{url};
  lock_watch watch{url};
  double took{0};
  {
    long_query query{url};
    took = seconds_of(work);
  }
  load.stop();
  watch.stop();
  return {watch.worst_ms(), load.worst_ms(), load.failed(), took};
}

void report(const char* what, const outcome& seen) {
  std::printf("%-34s worst lock wait of a writer %8.1f ms, worst write %8.1f ms, %lld failed, took %.1f s\n", what, seen.worst_lock_wait_ms,
              seen.worst_write_ms, static_cast<long long>(seen.failed), seen.took_s);
  std::fflush(stdout);
}

constexpr const char* make_table{
    "CREATE TABLE event (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)"};

partition_config config_of(unsigned ahead, std::optional<unsigned> keep) {
  partition_config config;
  config.table = "event";
  config.months_ahead = ahead;
  config.keep_months = keep;
  return config;
}

/// Three months back until now, with rows in each.
void past_months(database& db) {
  auto config = config_of(3, {});
  config.now = [] { return std::chrono::system_clock::now() - std::chrono::days{92}; };
  partition_manager{db, config}.run(1min).value();
  db.write([](write_session& s) {
    return s.execute("INSERT INTO event (at, note) SELECT date_trunc('month', now()) - i * interval '1 hour', 'old' FROM generate_series(0, 1900) AS i");
  }).value();
}

void without_default() {
  const tests::postgres_database place;
  auto db = open(place.url());
  db.write([](write_session& s) { return s.execute(make_table); }).value();
  past_months(db);
  partition_report done;
  const auto seen = under_load(place.url(), [&] { done = partition_manager{db, config_of(3, 1)}.run(2min).value(); });
  report("no default partition", seen);
  std::printf("  made %zu, detached %zu, dropped %zu\n", done.created.size(), done.detached.size(), done.dropped.size());
  goal("R12-writer-blocked-ms", seen.worst_lock_wait_ms, "<=", 100);
  goal("R12-writes-failed", static_cast<double>(seen.failed), "<=", 0);
  goal("R12-dropped", static_cast<double>(done.dropped.size()), ">=", 2);
}

/// The runway has ended: this month's rows, and those that are written now, go to the default partition.
void fill_default(const std::string& url) {
  auto db = open(url);
  db.write([](write_session& s) {
    return s.execute("INSERT INTO event (at, note) SELECT date_trunc('month', now()) + i * interval '1 second', 'late' FROM generate_series(0, 49999) AS i");
  }, 1min).value();
}

void with_default() {
  const tests::postgres_database place;
  auto db = open(place.url());
  db.write([](write_session& s) {
    s.execute(make_table).value();
    s.execute("CREATE TABLE event_default PARTITION OF event DEFAULT").value();
  }).value();
  fill_default(place.url());
  partition_report done;
  const auto seen = under_load(place.url(), [&] { done = partition_manager{db, config_of(3, {})}.run(2min).value(); });
  report("draining a default partition", seen);
  const auto left = db.read([](read_session& s) { return s.query_one<std::int64_t>("SELECT count(*) FROM event_default").value().value(); }).value();
  std::printf("  made %zu, moved %llu rows, %lld left\n", done.created.size(), static_cast<unsigned long long>(done.drained), static_cast<long long>(left));
  goal("R12-default-writer-blocked-ms", seen.worst_lock_wait_ms, "<=", 100);
  goal("R12-default-rows-left", static_cast<double>(left), "<=", 0);
}

void pg_partman() {
  const tests::postgres_database place;
  const auto sql = [&](const std::string& text) { place.cluster.sql(text, 0, place.name); };
  try {
    sql("CREATE SCHEMA partman; CREATE EXTENSION pg_partman SCHEMA partman");
  } catch (const std::runtime_error& missing) {
    std::printf("pg_partman: not here (%s)\n", missing.what());
    return;
  }
  std::printf("\npg_partman %s\n", place.cluster.value("SELECT extversion FROM pg_extension WHERE extname = 'pg_partman'", 0, place.name).c_str());
  sql(make_table);
  sql("SELECT partman.create_parent('public.event', 'at', 'native', 'monthly', p_premake := 1, "
      "p_start_partition := (date_trunc('month', now()) - interval '3 months')::text)");
  sql("UPDATE partman.part_config SET premake = 3, retention = '1 month', retention_keep_table = false, infinite_time_partitions = true");
  sql("INSERT INTO event (at, note) SELECT date_trunc('month', now()) - i * interval '1 hour', 'old' FROM generate_series(0, 1900) AS i");
  auto seen = under_load(place.url(), [&] { sql("SELECT partman.run_maintenance('public.event')"); });
  report("run_maintenance, as it comes", seen);
}

}  // namespace

int main() {
  std::printf("%d writers, a query open for %lld s, PostgreSQL %s\n\n", writers, static_cast<long long>(query_length.count()),
              tests::postgres_cluster::shared().value("SHOW server_version").c_str());
  without_default();
  with_default();
  pg_partman();
}
