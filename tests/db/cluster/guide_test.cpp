// SPDX-License-Identifier: Apache-2.0
// The code of docs/guide/db_cluster.md, compiled and run.
#include "db/cluster/cluster_fixture.hpp"

#include <spillway/db/postgres_listener.hpp>
#include <spillway/db/routing_health.hpp>
#include <spillway/health/health_monitor.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace spillway::tests;

namespace {

// [cluster_open]
spillway::database open_shop(const std::string& one, const std::string& other, const std::string& third) {
  spillway::postgres_cluster_config config;
  config.nodes = {{one, "db-1"}, {other, "db-2"}, {third, "db-3"}};  // who is the primary they say themselves
  config.sessions.readers = 8;                                       // to each node
  config.sessions.writers = 4;
  return spillway::open_postgres_cluster(config).value();
}
// [cluster_open]

// [cluster_token]
std::string place_order(spillway::database& db, const std::string& customer) {
  spillway::consistency_token token;
  spillway::session_options options;
  options.token = &token;
  db.run_tx([&](spillway::write_session& s) { return s.execute("INSERT INTO shop_order (customer) VALUES ($1)", customer); }, options).value();
  return token.to_string();  // a header of the response: "X-Consistency-Token"
}

std::int64_t count_orders(spillway::database& db, const std::string& customer, const std::string& header) {
  auto token = spillway::consistency_token::parse(header).value();  // an empty header asks for nothing
  spillway::session_options options;
  options.token = &token;
  return db.run_read([&](spillway::read_session& s) {
    return s.query_one<std::int64_t>("SELECT count(*) FROM shop_order WHERE customer = $1", customer).value().value();
  }, options).value();
}
// [cluster_token]

// [cluster_stale]
std::int64_t orders_of_late(spillway::database& db) {
  spillway::session_options options{2s};
  options.max_staleness = 5s;  // from a replica at most so far behind, else from the primary
  const auto rows = db.query(spillway::sql_query{"SELECT count(*) FROM shop_order"}, options).value();
  return rows[0].get<std::int64_t>(0);
}
// [cluster_stale]

// [cluster_health]
void watch(spillway::health_monitor& health, const spillway::database& db) {
  health.add({.name = "primary"}, spillway::primary_health_check(db));
  health.add({.name = "replicas", .criticality = spillway::health_criticality::non_critical}, spillway::replica_health_check(db, 10s));
}
// [cluster_health]

// [cluster_listen]
spillway::postgres_listener hear_of_orders(std::vector<std::string> nodes, std::function<void(std::string)> drop, std::function<void()> drop_all) {
  spillway::postgres_listener_config config;
  config.urls = std::move(nodes);  // all of the cluster: the primary is found among them
  config.channels = {"orders"};
  config.on_notification = [drop](const spillway::postgres_notification& n) { drop(std::string{n.payload}); };
  config.on_listening = drop_all;  // some may have been missed until now
  return spillway::postgres_listener{std::move(config)};
}
// [cluster_listen]

// [cluster_notify]
void tell_of_order(spillway::database& db, std::int64_t id) {
  db.write([&](spillway::write_session& s) { return s.execute("SELECT pg_notify('orders', $1)", std::to_string(id)); }).value();
}
// [cluster_notify]

}  // namespace

TEST_CASE("cluster_guide.its_code_does_what_it_says") {
  cluster_fixture fixture;
  const auto urls = std::vector{fixture.cluster.url(0), fixture.cluster.url(1), fixture.cluster.url(2)};
  auto db = open_shop(urls[2], urls[0], urls[1]);
  db.write([](spillway::write_session& s) {
    return s.execute("CREATE TABLE shop_order (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL)");
  }).value();
  for (int i = 1; i <= 20; ++i) {
    const auto header = place_order(db, "ann");
    CHECK(count_orders(db, "ann", header) == i);
  }
  CHECK(count_orders(db, "bob", "") == 0);
  wait_until([&] { return orders_of_late(db) == 20; });

  spillway::health_monitor health{{}};
  watch(health, db);

  std::atomic<int> dropped{0};
  std::atomic<int> all{0};
  const auto listener = hear_of_orders(urls, [&](const std::string& id) { dropped += id == "7" ? 1 : 0; }, [&] { ++all; });
  wait_until([&] { return all == 1; });
  tell_of_order(db, 7);
  wait_until([&] { return dropped == 1; });
}
