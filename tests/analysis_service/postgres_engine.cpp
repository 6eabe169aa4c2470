// SPDX-License-Identifier: Apache-2.0
#include "postgres_engine.hpp"

#include "test_engine.hpp"

#include <spillway/db/partitions.hpp>
#include <spillway/db/postgres_cluster.hpp>

#include <chrono>
#include <thread>

namespace analysis::tests {

namespace {

/// Until the replicas have replayed what the primary has written.
void wait_for_replicas() {
  const auto& nodes = postgres_nodes();
  const auto place = nodes.value("SELECT pg_current_wal_insert_lsn()");
  for (int node = 1; node <= 2; ++node) {
    while (nodes.value("SELECT pg_last_wal_replay_lsn() >= '" + place + "'", node) != "t") std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
}

}  // namespace

spillway::tests::postgres_cluster& postgres_nodes() {
  static spillway::tests::postgres_cluster nodes{2};
  return nodes;
}

std::string replica_urls(const std::string& database) { return postgres_nodes().url(1, database) + "," + postgres_nodes().url(2, database); }

test_engine::test_engine() : name_{postgres_nodes().make_database()} { wait_for_replicas(); }
test_engine::~test_engine() { postgres_nodes().drop_database(name_); }

void test_engine::use(service_config& config) const {
  config.database_url = postgres_nodes().url(0, name_);
  config.replica_urls = {postgres_nodes().url(1, name_), postgres_nodes().url(2, name_)};
}

std::vector<std::string> test_engine::environment() const {
  return {"SPILLWAY_DATABASE_URL=" + postgres_nodes().url(0, name_), "SPILLWAY_REPLICA_URLS=" + replica_urls(name_)};
}

store test_engine::open(const std::filesystem::path&) const {
  spillway::postgres_cluster_config config;
  config.nodes.push_back({postgres_nodes().url(0, name_)});
  store records{spillway::open_postgres_cluster(config).value()};
  records.prepare().value();
  spillway::partition_manager{records.database(), {.table = "file"}}.run().value();
  return records;
}

}  // namespace analysis::tests
