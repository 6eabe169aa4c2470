// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "db/support/postgres_cluster.hpp"

#include <spillway/db/consistency_token.hpp>
#include <spillway/db/postgres_cluster.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

namespace spillway::tests {

using namespace std::chrono_literals;

/// Until something that others bring about holds.
template <class Condition>
void wait_until(Condition&& condition) {
  while (!condition()) std::this_thread::sleep_for(1ms);
}

/// Node 0 is "a" and the primary at first, "b" and "c" follow it.
struct cluster_fixture {
  explicit cluster_fixture(int replicas = 2) : cluster{replicas}, nodes{replicas + 1} {}

  [[nodiscard]] postgres_cluster_config config() const {
    postgres_cluster_config made;
    for (int i = 0; i < nodes; ++i) made.nodes.push_back({cluster.url(i), std::string(1, static_cast<char>('a' + i))});
    made.sessions.readers = 4;
    made.sessions.writers = 4;
    return made;
  }
  [[nodiscard]] database open() const { return open_postgres_cluster(config()).value(); }

  postgres_cluster cluster;
  int nodes;
};

/// Which server it is that answers: a, b or c, by its name.
inline std::string server_of(read_session& s) {
  const auto name = s.query_one<std::string>("SELECT current_setting('cluster_name')").value().value();
  return std::string(1, static_cast<char>('a' + (name.back() - '0')));
}

inline const routing_node_stats& node_of(const routing_stats& stats, std::string_view name) {
  for (const auto& each : stats.nodes) {
    if (each.name == name) return each;
  }
  throw std::runtime_error{"no such node"};
}

inline void make_table(database& db) {
  db.write([](write_session& s) { return s.execute("CREATE TABLE IF NOT EXISTS entry (id bigint PRIMARY KEY, note text NOT NULL DEFAULT '')"); }).value();
}

}  // namespace spillway::tests
