// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pg_cleaner.hpp"
#include "pg_connection.hpp"
#include "pg_lanes.hpp"

#include "../../db_driver.hpp"

#include <spillway/core/io_runner.hpp>
#include <spillway/db/postgres.hpp>

#include <atomic>
#include <memory>
#include <mutex>

namespace spillway::detail {

/// One server.
class pg_driver final : public db_driver {
 public:
  /// Errors: throws std::invalid_argument naming the field of `config`.
  /// `in_cluster`: one of several, between which a router chooses; then sessions that write are opened when they are wanted.
  explicit pg_driver(const postgres_config& config, bool in_cluster = false);

  [[nodiscard]] std::string_view system_name() const noexcept override { return "postgresql"; }
  [[nodiscard]] session_keeping sessions(session_kind kind) const noexcept override;
  result<std::unique_ptr<db_connection>, db_error> open(session_kind kind, deadline until) override;
  void clean(db_connection& connection, boost::asio::any_completion_handler<void()> done) override;
  /// By pg_xact_status, as long as the server is still on the timeline of the transaction: after a failover nobody can tell.
  void resolve(db_connection& connection, transaction_end& end, deadline until) noexcept override;
  bool async_query(const std::shared_ptr<query_operation>& operation, deadline until) override;
  [[nodiscard]] bool is_own_thread() const noexcept override;
  void drain() override;
  result<void, db_error> close(std::vector<std::unique_ptr<db_connection>> readers,
                               std::vector<std::unique_ptr<db_connection>> writers) override;
  [[nodiscard]] std::string_view probe_sql() const noexcept override { return "SELECT 1"; }
  [[nodiscard]] statement_cache_stats cache_stats() const noexcept override;

  /// Of a router: nobody is there any more, or somebody is again. What runs there is ended, and connecting fails at once.
  void give_up(bool now);
  [[nodiscard]] const std::shared_ptr<pg_node>& node() const noexcept { return node_; }

 private:
  void start_lanes_thread();  // under lanes_mutex_

  postgres_config config_;
  std::shared_ptr<pg_node> node_;
  pg_cleaner cleaner_;

  std::mutex lanes_mutex_;  // guards what follows
  std::unique_ptr<io_runner> lanes_runner_;
  std::shared_ptr<pg_lanes> lanes_;
  bool draining_{false};
  std::atomic<boost::asio::io_context*> lanes_context_{nullptr};  // the runner's, once it runs
};

}  // namespace spillway::detail
