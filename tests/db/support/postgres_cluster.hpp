// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/temp_dir.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace spillway::tests {

/// Rows of text; null is "".
using text_rows = std::vector<std::vector<std::string>>;

/// A PostgreSQL primary and streaming replicas of the test's own, on free ports, gone with the object and with the process.
/// Node 0 is the primary at first. What does not work throws std::runtime_error with what the script said.
class postgres_cluster {
 public:
  explicit postgres_cluster(int replicas = 0);
  ~postgres_cluster();
  postgres_cluster(const postgres_cluster&) = delete;
  postgres_cluster& operator=(const postgres_cluster&) = delete;

  /// One without replicas for all test cases of this program; each makes a database of its own in it.
  static postgres_cluster& shared();

  /// For a database of that node; "" is the one that is always there.
  [[nodiscard]] std::string url(int node = 0, std::string_view database = {}) const;
  [[nodiscard]] int port(int node = 0) const;

  void promote(int node) const;
  /// Of INT, QUIT, KILL, and STOP, which freezes the server with all its sessions.
  void halt(int node, std::string_view signal = "INT") const;
  void resume(int node) const;
  /// A replica of node 0 shows everything that much later; when this returns, it does.
  void lag(int node, int seconds) const;
  void follow(int node, int upstream) const;
  void rejoin(int node, int upstream) const;

  /// Runs SQL, several statements if need be, as the superuser on a connection of its own, and returns the rows of the last statement.
  text_rows sql(std::string_view statements, int node = 0, std::string_view database = {}) const;
  /// The first value of the first row.
  [[nodiscard]] std::string value(std::string_view statement, int node = 0, std::string_view database = {}) const;
  /// An empty database, which is nobody's again with `drop_database`.
  [[nodiscard]] std::string make_database();
  void drop_database(std::string name) noexcept;

 private:
  void command(std::vector<std::string> arguments) const;

  temp_dir folder_;
  pid_t holder_{0};
  int holder_input_{-1};
  std::vector<std::string> urls_;
  std::vector<std::string> free_databases_;  // making one takes longer than most tests
  int databases_{0};
};

/// A database of its own in the shared cluster.
class postgres_database {
 public:
  postgres_database() = default;
  ~postgres_database() { cluster.drop_database(name); }
  postgres_database(const postgres_database&) = delete;
  postgres_database& operator=(const postgres_database&) = delete;

  postgres_cluster& cluster{postgres_cluster::shared()};
  std::string name{cluster.make_database()};
  [[nodiscard]] std::string url() const { return cluster.url(0, name); }
};

}  // namespace spillway::tests
