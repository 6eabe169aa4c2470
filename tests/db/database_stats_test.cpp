// SPDX-License-Identifier: Apache-2.0
#include "db/sqlite_fixture.hpp"

#include <spillway/core/metric_writer.hpp>
#include <spillway/db/database.hpp>

#include <doctest/doctest.h>

#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using tests::sqlite_fixture;

namespace {

/// Writes down what it is told, as `name{label="value",...}`.
class listing_writer final : public metric_writer {
 public:
  void counter(std::string_view name, std::string_view, metric_labels labels, double value) override {
    CHECK(name.ends_with("_total"));
    add(name, labels, value);
  }
  void gauge(std::string_view name, std::string_view, metric_labels labels, double value) override { add(name, labels, value); }
  void histogram(std::string_view name, std::string_view, metric_labels labels, const latency_snapshot& durations,
                 std::span<const std::chrono::nanoseconds> bounds) override {
    CHECK(name.ends_with("_seconds"));
    CHECK(std::ranges::is_sorted(bounds));
    add(name, labels, static_cast<double>(durations.count));
  }

  std::map<std::string, double> values;

 private:
  void add(std::string_view name, metric_labels labels, double value) {
    std::string key{name};
    for (const auto& label : labels) key += "|" + std::string{label.name} + "=" + std::string{label.value};
    CHECK_MESSAGE(values.emplace(key, value).second, "told twice: ", key);
  }
};

}  // namespace

TEST_CASE("database_stats.count_what_happened") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x UNIQUE)"); }));
  REQUIRE(db.write([](write_session& s) { return s.execute("INSERT INTO t VALUES (1)"); }));
  CHECK_FALSE(db.write([](write_session& s) { return s.execute("INSERT INTO t VALUES (1)"); }));
  CHECK_THROWS((void)db.write([](write_session&) { throw std::runtime_error{"x"}; }));
  CHECK(db.read([](read_session& s) { return s.query("SELECT * FROM t"); }).has_value());
  CHECK_FALSE(db.read([](read_session& s) { s.query("SELECT * FROM nowhere").value(); }));
  CHECK_FALSE(db.read_for([](read_session&) {}, 0ms));

  const auto stats = db.stats();
  CHECK(stats.writes.sessions == 1);
  CHECK(stats.reads.sessions == 2);
  CHECK(stats.writes.committed == 2);
  CHECK(stats.writes.rolled_back == 2);
  CHECK(stats.writes.run.count == 4);
  CHECK(stats.writes.wait.count == 4);
  CHECK(stats.reads.committed == 1);
  CHECK(stats.reads.rolled_back == 1);
  CHECK(stats.reads.wait_timeouts == 1);
  CHECK(stats.errors_of(db_errc::unique_violation) == 1);
  CHECK(stats.errors_of(db_errc::no_such_object) == 1);
  CHECK(stats.errors_of(db_errc::callback_threw) == 1);
  CHECK(stats.errors_of(db_errc::timed_out) == 1);
  CHECK(stats.statement_cache_hits == 1);
}

TEST_CASE("database_stats.slow_statements_are_logged_with_label_and_statement") {
  const sqlite_fixture fixture;
  auto config = fixture.config();
  std::vector<std::map<std::string, std::string>> events;
  config.database.name = "orders";
  config.database.slow_statement = 0ms;  // all of them
  config.database.log = [&](const log_event& event) {
    CHECK(event.level == log_level::warning);
    CHECK(event.module == "db");
    CHECK(event.message == "slow statement");
    auto& kept = events.emplace_back();
    for (const auto& field : event.fields) kept.emplace(field.name, field.value);
  };
  auto db = open_sqlite(config).value();
  session_options options;
  options.label = "place order";
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x)"); }, options));
  REQUIRE(events.size() == 1);
  CHECK(events[0]["database"] == "orders");
  CHECK(events[0]["operation"] == "write");
  CHECK(events[0]["label"] == "place order");
  CHECK(events[0]["sql"] == "CREATE TABLE t (x)");
  CHECK(std::stod(events[0]["duration_ms"]) >= 0.0);
  for (const auto* span : {"acquire_ms", "queue_ms", "run_ms", "drain_ms"}) CHECK_MESSAGE(std::stod(events[0][span]) >= 0.0, span);

  // However many there are, the log of one call is bounded; the count is not.
  REQUIRE(db.write([](write_session& s) {
    for (int i = 0; i < 100; ++i) s.execute("INSERT INTO t VALUES ($1)", i).value();
  }));
  CHECK(events.size() == 1 + 16);
  CHECK(db.stats().slow_statements == 101);
}

TEST_CASE("database_stats.are_described_for_an_exporter_with_every_series_from_the_start") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  listing_writer fresh;
  write_metrics(db, "orders", fresh);
  CHECK(fresh.values.at("db_client_connection_max|db_client_connection_pool_name=orders-read") == 2);
  CHECK(fresh.values.at("db_client_connections|db_client_connection_pool_name=orders-write|db_client_connection_state=idle") == 1);
  CHECK(fresh.values.at("db_client_connections|db_client_connection_pool_name=orders-write|db_client_connection_state=used") == 0);
  CHECK(fresh.values.at("spillway_db_errors_total|database=orders|error=unique_violation") == 0);
  CHECK(fresh.values.at("spillway_db_shared_commits_total|database=orders") == 0);
  CHECK(fresh.values.at("spillway_db_shared_commit_writes_total|database=orders") == 0);
  CHECK(fresh.values.at("spillway_pool_timeouts_total|pool=orders-read|cause=queue") == 0);
  CHECK(fresh.values.at("spillway_pool_timeouts_total|pool=orders-read|cause=nested") == 0);
  CHECK(fresh.values.at("spillway_pool_opened_total|pool=orders-write") == 1);

  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x)"); }));
  CHECK_FALSE(db.read([](read_session& s) { return s.query("SELECT 1 FROM nowhere"); }).has_value());
  listing_writer used;
  write_metrics(db, "orders", used);
  CHECK(used.values.size() == fresh.values.size());
  CHECK(used.values.at("db_client_operation_duration_seconds|db_system_name=sqlite|db_namespace=orders|db_operation_name=write|role=primary") ==
        1);
  CHECK(used.values.at("spillway_db_transactions_total|database=orders|operation=write|outcome=committed") == 1);
  CHECK(used.values.at("spillway_db_transactions_total|database=orders|operation=read|outcome=rolled_back") == 1);
  CHECK(used.values.at("spillway_db_errors_total|database=orders|error=no_such_object") == 1);
  CHECK(used.values.at("spillway_db_statement_cache_requests_total|database=orders|result=miss") == 2);
}
