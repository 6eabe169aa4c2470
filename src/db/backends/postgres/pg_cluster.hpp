// SPDX-License-Identifier: Apache-2.0
// A primary and its replicas as one source of sessions.
#pragma once

#include "cluster_watch.hpp"
#include "hedge_rule.hpp"
#include "pg_driver.hpp"

#include "../../session_source.hpp"

#include <spillway/db/postgres_cluster.hpp>

#include <spillway/core/io_runner.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace spillway::detail {

/// For each call it asks the router for a node, then that node's pool for a session, and then makes sure that the session will do: that the node is
/// still the primary, or that the replica has come as far as it must. What does not do leads to the router again.
///
/// Every node that the router grants is given back to it exactly once: in `refused`, in `accept` when that says no, or in `ended`.
class pg_cluster final : public session_source, public std::enable_shared_from_this<pg_cluster> {
 public:
  /// Errors: throws std::invalid_argument naming the field of `config`.
  explicit pg_cluster(const postgres_cluster_config& config);
  ~pg_cluster() override;

  std::string_view system_name() const noexcept override { return "postgresql"; }
  std::string_view probe_sql() const noexcept override { return "SELECT 1"; }
  std::size_t most_sessions() const noexcept override;

  result<void, db_error> open(const boost::asio::any_io_executor& timers) override;
  session_step next(session_search& search) override;
  bool refused(session_search& search, const pool_error& why) override;
  bool accept(session_search& search, session_lease& session) override;
  void ended(const session_search& search, session_lease session, transaction_end& end) noexcept override;
  void wait(const session_step& step) override;
  void async_wait(const session_step& step, const boost::asio::any_io_executor& threads, boost::asio::any_completion_handler<void()> handler) override;
  bool async_query(const std::shared_ptr<query_operation>& operation, const session_options& options, deadline until) override;
  [[nodiscard]] bool is_own_thread() const noexcept override;
  void drain() override;
  result<void, db_error> close() override;
  pool_stats stats_of(session_kind kind) const override;
  statement_cache_stats cache_stats() const noexcept override;

  // For statements that are routed one by one.

  /// A node for one that asks for no freshness. `hedge`: a second asking, on a replica alone.
  std::optional<route_ticket> grant_query(const read_question& question, time_point now, bool hedge);
  bool submit(const route_ticket& ticket, const std::shared_ptr<query_operation>& operation, deadline until);
  void finish_query(const route_ticket& ticket, time_point asked, query_end how);
  /// One was answered, whoever of those asked did, or its time ran out.
  void query_took(time_point began, bool answered);
  /// After how long a second node is to be asked; none: not at all.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> hedge_delay();
  /// Takes from the budget.
  [[nodiscard]] bool may_hedge();

  [[nodiscard]] routing_stats routing();
  void write_metrics(std::string_view name, metric_writer& out) override;
  [[nodiscard]] std::string explain(const session_options& options);

 private:
  struct node {
    std::string name;
    std::shared_ptr<pg_driver> driver;
    std::optional<session_pool> reads;
    std::optional<session_pool> writes;
    [[nodiscard]] session_pool& pool_of(session_kind kind) noexcept { return kind == session_kind::read ? *reads : *writes; }
  };

  [[nodiscard]] read_question question_of(const session_options& options, std::uint64_t tried, time_point asked, time_point may_wait_until) const;
  session_step next_read(session_search& search, time_point now);
  session_step next_write(session_search& search, time_point now);
  session_step granted(session_search& search, const route_ticket& ticket, time_point now);
  session_step hold(session_search& search, time_point at, db_route_refusal why);
  [[nodiscard]] std::atomic<std::size_t>& held_of(session_kind kind) noexcept { return kind == session_kind::read ? held_reads_ : held_writes_; }
  /// The node goes back to the router.
  void give_back_node(const session_search& search, query_end how);
  /// How the node goes back if the session will not do; none if it will.
  [[nodiscard]] std::optional<query_end> objection(session_search& search, session_lease& session);
  [[nodiscard]] std::optional<query_end> has_replayed(session_search& search, pg_connection& connection);
  /// What became of a commit without an answer: its own server knows, or one that has taken over and had come far enough before. If it was made: a
  /// place behind it.
  std::optional<pg_position> resolve(const session_search& search, const pg_connection& connection, transaction_end& end);
  struct node_answer {
    query_end how;
    measured when;
  };
  void note_end(const session_search& search, pg_connection& connection, const transaction_end& end, const node_answer& answer,
                std::optional<pg_position> place) noexcept;
  [[nodiscard]] db_error refusal(db_route_refusal why) const;
  [[nodiscard]] result<void, db_error> judge_start();
  /// What each node says, in one line, for an error.
  [[nodiscard]] std::string roll_call(const routing_stats& stats) const;
  void changed(const route_change& change);
  void log(log_level level, const route_change& change) const;

  const postgres_cluster_config config_;
  std::vector<node> nodes_;
  io_runner queries_;  // one thread, for async_query on all nodes
  boost::asio::io_context* queries_context_{nullptr};
  std::mutex hedge_mutex_;  // guards the two below
  hedge_rule hedge_;
  std::uint64_t hedged_{0};
  cluster_watch watch_;
  std::atomic<std::size_t> held_reads_{0};  // callers that wait for a node
  std::atomic<std::size_t> held_writes_{0};
  std::atomic<bool> draining_{false};
};

/// What a transaction says about its node.
[[nodiscard]] query_end end_of(const transaction_end& end);

}  // namespace spillway::detail
