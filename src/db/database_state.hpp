// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "db_driver.hpp"
#include "session_call.hpp"
#include "session_context.hpp"
#include "session_pool.hpp"
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

/// The body of `database`: a pool of sessions of each kind, and threads for the asynchronous calls.
///
/// Threads:  every member may be called from any thread.
class database_state {
 public:
  database_state(const database_config& config, std::unique_ptr<db_driver> driver);
  ~database_state();

  /// Opens one session of each kind, so that what cannot work is found out now.
  result<void, db_error> open_first_sessions();

  transaction_end run(session_kind kind, session_task& task, const session_options& options, bool may_wait);
  void start(session_kind kind, std::shared_ptr<session_operation> operation, const session_options& options);
  result<void, db_error> ping(const session_options& options);
  result<void, db_error> close();
  [[nodiscard]] database_stats stats() const;
  [[nodiscard]] std::string_view system_name() const noexcept { return driver_->system_name(); }

  /// Runs the task on a session, and gives the session back. False: it is committed together with others, and `call` told when that is done.
  /// `alone`: never so.
  bool run_on(session_kind kind, session_lease session, session_task& task, const statement_control& control, std::string_view label, bool alone,
              session_call& call);
  void count_error(error_code code) noexcept;

 private:
  struct one_kind {
    std::optional<session_pool> sessions;
    transaction_counts ended;
  };

  [[nodiscard]] one_kind& side(session_kind kind) noexcept { return kind == session_kind::read ? reads_ : writes_; }
  [[nodiscard]] const one_kind& side(session_kind kind) const noexcept { return kind == session_kind::read ? reads_ : writes_; }

  void transact(session_kind kind, session_context& context, session_task& task, session_call& call);
  void log_slow(session_kind kind, const session_context& context, std::string_view label);
  /// Logs what a handler threw. May be kept longer than this.
  [[nodiscard]] std::function<void(std::exception_ptr)> exception_report() const;
  [[nodiscard]] deadline deadline_of(const session_options& options) const;
  /// Whether this thread holds a session of this database, or is one of its threads.
  [[nodiscard]] bool must_not_block() const;
  [[nodiscard]] static session_stats stats_of(const one_kind& kind);

  /// Starts the threads of the asynchronous face. Under `workers_mutex_`.
  void start_workers();

  database_config config_;
  std::shared_ptr<db_driver> driver_;  // an opening that hangs may outlive this
  io_runner timers_;                   // of the pools
  one_kind reads_;
  one_kind writes_;
  write_group group_;
  std::array<striped_counter, db_errc_count + 1> errors_;
  striped_counter slow_statements_;

  std::mutex workers_mutex_;  // guards the start of what follows, and workers_closed_
  bool workers_closed_{false};
  std::unique_ptr<io_runner> runner_;
  std::atomic<boost::asio::io_context*> worker_context_{nullptr};  // the runner's, once it runs

  std::mutex close_mutex_;  // held for the whole of close()
  std::optional<result<void, db_error>> closed_;
};

}  // namespace spillway::detail
