// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "db_driver.hpp"
#include "session_context.hpp"
#include "session_source.hpp"
#include "tx_retry.hpp"
#include "write_group.hpp"

#include <spillway/core/io_runner.hpp>
#include <spillway/core/striped_counter.hpp>
#include <spillway/db/database.hpp>

#include <array>
#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

namespace spillway::detail {

class query_operation;

/// The body of `database`: transactions on the sessions of a source, and threads for the asynchronous calls.
///
/// Threads:  every member may be called from any thread.
class database_state {
 public:
  database_state(const database_config& config, std::shared_ptr<session_source> source);
  ~database_state();

  result<void, db_error> open();

  /// How a function is run.
  struct manner {
    bool may_wait{true};
    bool single{false};  ///< It runs one statement and nothing else.
    bool again{false};   ///< It may run more than once, so the end of a write should be known.
  };
  transaction_end run(session_kind kind, session_task& task, const session_options& options, const manner& how);
  /// The same, as often as tx_retry_config allows and the end of it asks for.
  transaction_end run_again(session_kind kind, session_task& task, const session_options& options, bool single = false);
  void start(session_kind kind, bool again, std::shared_ptr<session_operation> operation, const session_options& options);
  result<row_set, db_error> query(const sql_query& query, const session_options& options);
  void start_query(std::shared_ptr<query_operation> operation, const session_options& options);
  result<void, db_error> ping(const session_options& options);
  result<void, db_error> close();
  [[nodiscard]] database_stats stats() const;
  [[nodiscard]] std::string_view system_name() const noexcept { return source_->system_name(); }

  /// Runs the task on a session, and gives the session back. False: it is committed together with others, and `call` told when that is done.
  bool run_on(const session_search& search, session_lease session, session_task& task, const statement_control& control, session_call& call);
  [[nodiscard]] session_source& source() noexcept { return *source_; }
  void count_error(error_code code) noexcept;
  [[nodiscard]] const tx_retry_config& retry() const noexcept { return config_.retry; }
  [[nodiscard]] tx_retry_budget& retry_budget() noexcept { return retry_budget_; }

 private:
  struct one_kind {
    transaction_counts ended;
  };

  [[nodiscard]] one_kind& side(session_kind kind) noexcept { return kind == session_kind::read ? reads_ : writes_; }
  [[nodiscard]] const one_kind& side(session_kind kind) const noexcept { return kind == session_kind::read ? reads_ : writes_; }

  /// A session for the blocking faces.
  result<session_lease, db_error> session_for(session_search& search);
  /// Whether the function has run.
  bool transact(session_kind kind, session_context& context, session_task& task, session_call& call);
  void log_slow(const session_search& search, const session_context& context);
  [[nodiscard]] deadline deadline_of(const session_options& options) const;
  /// Whether this thread holds a session of this database, or is one of its threads.
  [[nodiscard]] bool must_not_block() const;
  [[nodiscard]] session_stats stats_of(session_kind kind) const;

  /// Starts the threads of the asynchronous face. Under `workers_mutex_`.
  void start_workers();

  database_config config_;
  io_runner timers_;  // of the source, which goes first
  std::shared_ptr<session_source> source_;
  one_kind reads_;
  one_kind writes_;
  write_group group_;
  std::array<striped_counter, db_errc_count + 1> errors_;
  striped_counter slow_statements_;
  tx_retry_budget retry_budget_;

  std::mutex workers_mutex_;  // guards the start of what follows, and workers_closed_
  bool workers_closed_{false};
  std::unique_ptr<io_runner> runner_;
  std::atomic<boost::asio::io_context*> worker_context_{nullptr};  // the runner's, once it runs

  std::mutex close_mutex_;  // held for the whole of close()
  std::optional<result<void, db_error>> closed_;
};

}  // namespace spillway::detail
