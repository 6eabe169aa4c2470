// SPDX-License-Identifier: Apache-2.0
/// @file
/// Checks for the health module that ask a cluster's router. For programs that use both: link `spillway::health` beside `spillway::db_postgres`.
#pragma once

#include <spillway/db/postgres_cluster.hpp>
#include <spillway/health/health_check.hpp>

#include <chrono>
#include <string>

namespace spillway {

/// Fails while no primary is known that answers. Never blocks: the router knows. It may outlive the database.
[[nodiscard]] inline blocking_health_check primary_health_check(const database& db) {
  return [routing = routing_reporter(db)](const health_check_context&) {
    const auto known = routing();
    if (!known) return health_result::failed(known.error().what());
    if (known->primary) return health_result::ok("primary: " + known->nodes[*known->primary].name);
    return health_result::failed("no primary answers");
  };
}

/// Degraded while a replica is away, left out, or more than `bound` behind, naming each: reads then go elsewhere, so this never fails.
[[nodiscard]] inline blocking_health_check replica_health_check(const database& db, std::chrono::milliseconds bound = std::chrono::seconds{10}) {
  return [routing = routing_reporter(db), bound](const health_check_context&) {
    const auto known = routing();
    if (!known) return health_result::unknown(known.error().what());
    std::string troubles;
    for (std::size_t i = 0; i < known->nodes.size(); ++i) {
      const auto& node = known->nodes[i];
      if (known->primary == i) continue;
      std::string trouble;
      if (node.state != db_node_state::usable) {
        trouble = to_string(node.state);
      } else if (node.lag && *node.lag > bound) {
        trouble = std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(*node.lag).count()) + " ms behind";
      }
      if (!trouble.empty()) troubles += (troubles.empty() ? "" : "; ") + node.name + ": " + trouble;
    }
    return troubles.empty() ? health_result::ok() : health_result::degraded(troubles);
  };
}

}  // namespace spillway
