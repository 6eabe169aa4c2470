// SPDX-License-Identifier: Apache-2.0
// A primary and two replicas, all well: who serves what.
#include "db/cluster/cluster_fixture.hpp"

#include <spillway/db/partitions.hpp>
#include <spillway/db/routing_health.hpp>
#include <spillway/metrics/metrics_registry.hpp>

#include <doctest/doctest.h>

#include <future>
#include <map>
#include <optional>
#include <stdexcept>
#include <thread>

using namespace spillway;
using namespace spillway::tests;

namespace {

/// Shared by the cases here, none of which harms it.
cluster_fixture& calm() {
  static cluster_fixture fixture;
  return fixture;
}

/// Until both replicas get what is their due.
database open_in_turn(postgres_cluster_config config) {
  config.routing.strategy = read_strategy::round_robin;
  config.routing.slow_start = 0ms;
  auto db = open_postgres_cluster(config).value();
  wait_until([&] {
    const auto stats = routing_of(db).value();
    return node_of(stats, "b").state == db_node_state::usable && node_of(stats, "c").state == db_node_state::usable;
  });
  return db;
}

session_options with(consistency_token& token) {
  session_options options;
  options.token = &token;
  return options;
}

}  // namespace

TEST_CASE("cluster.writes_go_to_the_primary_and_reads_to_the_replicas") {
  auto config = calm().config();
  config.routing.down_after = 100;  // a probe that is late says nothing here
  auto db = open_in_turn(config);
  CHECK(db.system_name() == "postgresql");
  make_table(db);
  std::map<std::string, int> reads;
  for (int i = 0; i < 60; ++i) ++reads[db.read(server_of).value()];
  CHECK(reads["a"] == 0);
  CHECK(reads["b"] > 5);
  CHECK(reads["c"] > 5);
  const auto on_a = db.write([](write_session& s) { return server_of(s); });
  CHECK(on_a.value() == "a");
  session_options primary;
  primary.on_primary = true;
  CHECK(db.read(server_of, primary).value() == "a");
  const auto stats = routing_of(db).value();
  REQUIRE(stats.primary);
  CHECK(stats.nodes[*stats.primary].name == "a");
  CHECK(node_of(stats, "b").role == db_node_role::replica);
  CHECK(stats.system != 0);
  for (const auto& each : stats.nodes) CHECK(each.in_flight == 0);
  const auto text = explain_routing(db);
  CHECK(text.find("primary a") != std::string::npos);
  CHECK(text.find("b: usable") != std::string::npos);
}

TEST_CASE("cluster.a_token_shows_every_reader_what_was_written") {
  auto db = calm().open();
  make_table(db);
  db.write([](write_session& s) { return s.execute("DELETE FROM entry"); }).value();
  consistency_token token;
  int stale{0};
  std::map<std::string, int> served;
  for (std::int64_t i = 0; i < 500; ++i) {
    db.write([&](write_session& s) { return s.execute("INSERT INTO entry (id) VALUES ($1)", i); }, with(token)).value();
    REQUIRE_FALSE(token.empty());
    // As it travels: another part of the program, that knows the text alone.
    auto seen = consistency_token::parse(token.to_string()).value();
    const auto read = db.read([&](read_session& s) {
      ++served[server_of(s)];
      return s.query_one<std::int64_t>("SELECT id FROM entry WHERE id = $1", i).value().has_value();
    }, with(seen));
    if (!read.value()) ++stale;
  }
  CHECK(stale == 0);
  CHECK(served["b"] + served["c"] >= 250);  // nearly all, on a machine that keeps up
  const auto stats = routing_of(db).value();
  CHECK(stats.proven + stats.checks > 0);
}

TEST_CASE("cluster.a_token_is_served_by_the_primary_while_the_replicas_are_behind") {
  auto& fixture = calm();
  auto db = fixture.open();
  make_table(db);
  fixture.cluster.lag(1, 30);
  fixture.cluster.lag(2, 30);
  consistency_token token;
  const std::int64_t id{100'000};
  db.write([&](write_session& s) { return s.execute("INSERT INTO entry (id) VALUES ($1)", id); }, with(token)).value();
  for (int i = 0; i < 20; ++i) {
    const auto read = db.read([&](read_session& s) {
      CHECK(server_of(s) == "a");
      return s.query_one<std::int64_t>("SELECT id FROM entry WHERE id = $1", id).value().has_value();
    }, with(token));
    CHECK(read.value());
  }
  // Without a demand a replica will do, and so it does with one that it meets.
  CHECK(db.read(server_of).value() != "a");
  session_options old_enough;
  old_enough.max_staleness = 1h;
  CHECK(db.read(server_of, old_enough).has_value());
  fixture.cluster.lag(1, 0);
  fixture.cluster.lag(2, 0);
  wait_until([&] { return db.read(server_of, with(token)).value() != "a"; });
}

TEST_CASE("cluster.a_bound_on_staleness_is_kept") {
  auto& fixture = calm();
  auto db = fixture.open();
  make_table(db);
  fixture.cluster.lag(1, 30);
  std::atomic<bool> stop{false};
  std::thread writer{[&] {
    for (int i = 0; !stop; ++i) {
      (void)db.write([&](write_session& s) { return s.execute("INSERT INTO entry (id, note) VALUES ($1, 'now') ON CONFLICT (id) DO UPDATE SET note = clock_timestamp()::text", 200'000); });
    }
  }};
  session_options fresh;
  fresh.max_staleness = 500ms;
  std::map<std::string, int> served;
  // b is behind by more than that from then on.
  wait_until([&] {
    const auto stats = routing_of(db).value();
    const auto& b = node_of(stats, "b");
    return b.lag && *b.lag > 1s;
  });
  for (int i = 0; i < 200; ++i) ++served[db.read(server_of, fresh).value()];
  CHECK(served["b"] == 0);
  CHECK(served["c"] > 100);
  stop = true;
  writer.join();
  fixture.cluster.lag(1, 0);
  wait_until([&] { return db.read(server_of, fresh).value() == "b"; });
}

TEST_CASE("cluster.an_asynchronous_call_is_routed_alike") {
  auto db = calm().open();
  make_table(db);
  consistency_token token;
  std::promise<bool> found;
  const std::int64_t id{300'000};
  auto write = [&](write_session& s) { return s.execute("INSERT INTO entry (id) VALUES ($1)", id); };
  db.async_write(write, with(token), [&](std::exception_ptr, result<std::uint64_t, db_error> done) {
    REQUIRE(done.has_value());
    auto read = [&](read_session& s) { return s.query_one<std::int64_t>("SELECT id FROM entry WHERE id = $1", id).value().has_value(); };
    db.async_read(read, with(token), [&](std::exception_ptr, result<bool, db_error> seen) { found.set_value(seen.value()); });
  });
  CHECK(found.get_future().get());
  // One that asks for nothing shares connections with others, on a replica.
  std::promise<std::string> served;
  db.async_query(sql_query{"SELECT current_setting('cluster_name')"}, {}, [&](result<row_set, db_error> rows) {
    served.set_value(rows.value()[0].get<std::string>(0));
  });
  const auto name = served.get_future().get();
  CHECK((name == "node1" || name == "node2"));
  wait_until([&] {
    const auto stats = routing_of(db).value();
    return node_of(stats, "b").in_flight + node_of(stats, "c").in_flight == 0;
  });
}

TEST_CASE("cluster.a_token_of_another_system_is_refused") {
  auto db = calm().open();
  consistency_token token{42, 1, 1};
  const auto read = db.read(server_of, with(token));
  REQUIRE_FALSE(read.has_value());
  CHECK(read.error() == db_errc::foreign_token);
  // A write as well, and before anything of it is done: the place of its commit could not be added.
  bool ran{false};
  const auto written = db.write([&](write_session&) { ran = true; }, with(token));
  REQUIRE_FALSE(written.has_value());
  CHECK(written.error() == db_errc::foreign_token);
  CHECK_FALSE(ran);
}

TEST_CASE("cluster.the_first_read_on_a_session_says_nothing_about_its_node") {
  auto config = calm().config();
  config.sessions.readers = 1;
  config.routing.down_after = 100;
  auto db = open_in_turn(config);
  std::map<std::string, int> reads;
  while (reads["b"] == 0 || reads["c"] == 0) ++reads[db.read(server_of).value()];
  const auto stats = routing_of(db).value();
  for (const auto* name : {"b", "c"}) CHECK((node_of(stats, name).latency == 0ns) == (reads[name] == 1));
  while (reads["b"] < 2 || reads["c"] < 2) ++reads[db.read(server_of).value()];
  for (const auto* name : {"b", "c"}) CHECK(node_of(routing_of(db).value(), name).latency > 0ns);
}

TEST_CASE("cluster.the_status_of_partitions_is_that_of_the_primary") {
  auto& fixture = calm();
  for (const int replica : {1, 2}) fixture.cluster.lag(replica, 30);
  auto db = fixture.open();
  db.write([](write_session& s) { return s.execute("CREATE TABLE event (at timestamptz NOT NULL) PARTITION BY RANGE (at)"); }).value();
  partition_manager events{db, {.table = "event", .months_ahead = 1}};
  const auto made = events.run().value().created.size();
  CHECK(made == 2);
  CHECK(events.status().value().partitions == made);
  for (const int replica : {1, 2}) fixture.cluster.lag(replica, 0);
}

TEST_CASE("cluster.a_server_of_another_system_is_refused_at_the_start") {
  const cluster_fixture other{0};
  auto config = calm().config();
  config.nodes.push_back({other.cluster.url(0), "stranger"});
  const auto opened = open_postgres_cluster(config);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error() == db_errc::foreign_node);
  const auto said = std::string{opened.error().message()};
  CHECK(said.find('\n') == std::string::npos);
  CHECK(said.find("; stranger: of no known role, system " + other.cluster.value("SELECT system_identifier FROM pg_control_system()")) != std::string::npos);
  CHECK(said.starts_with("a: a primary, system "));
}

TEST_CASE("cluster.the_start_says_what_is_wrong") {
  auto config = calm().config();
  config.sessions.connect_timeout = 3s;
  SUBCASE("no primary among the nodes") {
    config.nodes.erase(config.nodes.begin());
    const auto opened = open_postgres_cluster(config);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error() == db_errc::not_primary);
    CHECK(opened.error().message().find("there is no primary: b: a replica, system ") != std::string::npos);
    CHECK(opened.error().message().find('\n') == std::string_view::npos);
  }
  SUBCASE("nobody there") {
    for (std::size_t i = 0; i < config.nodes.size(); ++i) config.nodes[i].url = "postgresql://spillway@127.0.0.1:" + std::to_string(i + 1) + "/postgres";
    const auto opened = open_postgres_cluster(config);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error() == db_errc::cannot_open);
    CHECK(opened.error().message().find("127.0.0.1:1") != std::string::npos);
  }
  SUBCASE("wrong password") {
    for (auto& each : config.nodes) {
      const auto at = each.url.find("spillway@");
      each.url.replace(at, 8, "guarded:wrong");
    }
    const auto opened = open_postgres_cluster(config);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error() == db_errc::authentication_failed);
    CHECK(opened.error().message().find("wrong") == std::string::npos);
  }
  SUBCASE("the primary alone is not there") {
    config.nodes[0].url = "postgresql://spillway@127.0.0.1:1/postgres";
    const auto opened = open_postgres_cluster(config);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error() == db_errc::not_primary);
    CHECK(opened.error().message().find("Connection refused") != std::string::npos);
  }
  SUBCASE("the same name twice") {
    config.nodes[1].name = "a";
    CHECK_THROWS_WITH_AS((void)open_postgres_cluster(config), "postgres_cluster_config.nodes[1].name is 'a', as that of another node; each must have its own",
                         std::invalid_argument);
  }
  SUBCASE("the same server twice") {
    config.nodes.push_back({config.nodes[1].url, "again"});
    const auto where = "127.0.0.1:" + std::to_string(calm().cluster.port(1));
    CHECK_THROWS_WITH_AS((void)open_postgres_cluster(config), ("postgres_cluster_config.nodes[3].url is of the same server as postgres_cluster_config.nodes[1].url: " + where).c_str(),
                         std::invalid_argument);
  }
  SUBCASE("another database") {
    config.nodes[2].url = calm().cluster.url(2, "other");
    CHECK_THROWS_WITH_AS((void)open_postgres_cluster(config),
                         "postgres_cluster_config.nodes[2].url leads to the database \"other\", postgres_cluster_config.nodes[0].url to \"postgres\"; all nodes must lead to one",
                         std::invalid_argument);
  }
  SUBCASE("a url in the wrong place") {
    config.sessions.url = config.nodes[0].url;
    CHECK_THROWS_AS((void)open_postgres_cluster(config), std::invalid_argument);
  }
  SUBCASE("a url that is none") {
    config.nodes[2].url = "nonsense";
    CHECK_THROWS_AS((void)open_postgres_cluster(config), std::invalid_argument);
  }
}

TEST_CASE("cluster.a_single_server_is_no_cluster") {
  auto config = calm().config();
  postgres_config one = config.sessions;
  one.url = config.nodes[0].url;
  auto db = open_postgres(one).value();
  CHECK(routing_of(db).error() == db_errc::not_supported);
}

TEST_CASE("cluster.metrics_and_health_tell_what_the_router_knows") {
  auto& fixture = calm();
  std::optional<database> db{fixture.open()};
  make_table(*db);
  for (int i = 0; i < 20; ++i) (void)db->read(server_of).value();
  metrics_registry registry;
  const auto binding = bind(registry, "shop", *db);
  const auto text = expose(registry);
  CHECK(text.find("spillway_db_node_up{database=\"shop\",node=\"c\"} 1") != std::string::npos);
  CHECK(text.find("spillway_db_node_primary{database=\"shop\",node=\"a\"} 1") != std::string::npos);
  CHECK(text.find("spillway_db_replica_lag_seconds{database=\"shop\",node=\"b\"}") != std::string::npos);
  CHECK(text.find("spillway_db_route_refusals_total{database=\"shop\",reason=\"primary_down\"} 0") != std::string::npos);
  const health_check_context context{deadline::never(), {}};
  const auto primary = primary_health_check(*db);
  const auto replicas = replica_health_check(*db, 1s);
  CHECK(primary(context).message == "primary: a");
  wait_until([&] { return replicas(context).state == health_state::ok; });
  fixture.cluster.lag(1, 30);
  db->write([](write_session& s) { return s.execute("INSERT INTO entry (id) VALUES (400000) ON CONFLICT DO NOTHING"); }).value();
  wait_until([&] { return replicas(context).state == health_state::degraded; });
  CHECK(replicas(context).message.find("b: ") == 0);
  CHECK(replicas(context).message.find("ms behind") != std::string::npos);
  CHECK(primary(context).state == health_state::ok);
  fixture.cluster.lag(1, 0);
  db.reset();
  CHECK(replicas(context).state != health_state::failed);  // a check may be kept longer
}

TEST_CASE("cluster.a_slow_query_is_hedged_within_the_budget") {
  auto& fixture = calm();
  auto config = fixture.config();
  config.routing.hedge_ratio = 0.05;
  config.routing.eject_latency_floor = 1h;
  config.routing.strategy = read_strategy::round_robin;
  auto db = open_postgres_cluster(config).value();
  // One in twenty-five is slow, on one replica alone.
  const sql_query slow_on_b{"SELECT CASE WHEN current_setting('cluster_name') = 'node1' AND random() < 0.04 THEN pg_sleep(0.2)::text ELSE '' END"};
  const auto ask = [&] {
    const auto began = std::chrono::steady_clock::now();
    std::promise<void> answered;
    db.async_query(slow_on_b, 10s, [&](result<row_set, db_error> rows) {
      CHECK(rows.has_value());
      answered.set_value();
    });
    answered.get_future().get();
    return std::chrono::steady_clock::now() - began;
  };
  for (int i = 0; i < 300; ++i) ask();
  int slow{0};
  const auto before = routing_of(db).value().hedged;
  for (int i = 0; i < 1'000; ++i) slow += ask() > 150ms ? 1 : 0;
  const auto hedged = routing_of(db).value().hedged - before;
  CHECK(hedged > 5);
  CHECK(hedged <= 60);  // 5 % of them, and what was saved up
  CHECK(slow < 13);     // of about twenty
}
