// SPDX-License-Identifier: Apache-2.0
// What the programs that measure against PostgreSQL have in common.
#pragma once

#include "db/support/postgres_cluster.hpp"

#include <spillway/db/postgres.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

namespace spillway::bench {

inline double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

inline void goal(const char* id, double measured, const char* relation, double target) {
  const bool met = relation[0] == '<' ? measured <= target : measured >= target;
  std::printf("goal %s %.3f %s %.3f %s\n", id, measured, relation, target, met ? "met" : "missed");
  std::fflush(stdout);
}

template <class F>
double seconds_of(F&& work) {
  const auto began = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>{std::chrono::steady_clock::now() - began}.count();
}

inline database open(const std::string& url, std::size_t readers = 2, std::size_t writers = 2) {
  postgres_config config;
  config.url = url;
  config.readers = readers;
  config.writers = writers;
  config.database.slow_statement = std::chrono::hours{1};
  return open_postgres(config).value();
}

}  // namespace spillway::bench
