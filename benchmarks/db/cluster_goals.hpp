// SPDX-License-Identifier: Apache-2.0
// What the programs that measure a primary with replicas have in common.
#pragma once

#include "postgres_goals.hpp"

#include <spillway/db/consistency_token.hpp>
#include <spillway/db/postgres_cluster.hpp>

#include <cstdint>
#include <thread>

namespace spillway::bench {

using clock_type = std::chrono::steady_clock;
using namespace std::chrono_literals;

/// Node 0 is "a", and so on.
inline postgres_cluster_config config_of(const tests::postgres_cluster& cluster, int nodes, std::size_t sessions = 8) {
  postgres_cluster_config config;
  for (int i = 0; i < nodes; ++i) config.nodes.push_back({cluster.url(i), std::string(1, static_cast<char>('a' + i))});
  config.sessions.readers = sessions;
  config.sessions.writers = sessions;
  config.sessions.database.slow_statement = std::chrono::hours{1};
  return config;
}

inline double milliseconds_of(clock_type::duration span) { return std::chrono::duration<double, std::milli>{span}.count(); }

/// The value that a share of them is not above.
inline double quantile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())))];
}

template <class Condition>
bool wait_for(Condition&& condition, std::chrono::milliseconds at_most = 30s) {
  const auto until = clock_type::now() + at_most;
  while (!condition()) {
    if (clock_type::now() > until) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

}  // namespace spillway::bench
