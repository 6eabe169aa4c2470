// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "analysis_service/service_config.hpp"
#include "analysis_service/store.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace analysis::tests {

/// An empty database of the engine that this program was linked with: sqlite_engine.cpp or postgres_engine.cpp. The same cases run on both.
class test_engine {
 public:
  test_engine();
  ~test_engine();
  test_engine(const test_engine&) = delete;
  test_engine& operator=(const test_engine&) = delete;

  /// Has a server work on it. SQLite's is in the server's data directory.
  void use(service_config& config) const;
  /// The same, as NAME=VALUE for a server that is a process of its own.
  [[nodiscard]] std::vector<std::string> environment() const;
  /// Its store, ready for use. `folder` is where SQLite keeps it; PostgreSQL's replicas are left out, so that a read without a token sees everything.
  [[nodiscard]] store open(const std::filesystem::path& folder) const;

 private:
  std::string name_;
};

}  // namespace analysis::tests
