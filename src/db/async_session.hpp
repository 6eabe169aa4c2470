// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "session_call.hpp"
#include "session_source.hpp"
#include "tx_retry.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

namespace spillway::detail {

class database_state;

/// An `async_read` or `async_write` from its start until its handler is called.
class async_session final : public session_call, public std::enable_shared_from_this<async_session> {
 public:
  using exception_report = std::function<void(std::exception_ptr)>;

  /// `threads` run the function, and call the handler if it has no executor of its own; `report`, unless empty, is then told what it throws.
  async_session(database_state& state, session_kind kind, bool again, std::shared_ptr<session_operation> operation, const session_options& options,
                deadline until, const boost::asio::any_io_executor& threads, exception_report report);

  /// One of the two, once.
  void start();
  /// Does not touch the database: it may be gone when this has returned.
  void refuse(db_errc why);
  /// No thread is kept while it waits for its commit.
  void told(const db_error& failure) noexcept override;

 private:
  void ask();
  /// A timer has ended: asks.
  void waited();
  void end_without_session(db_error failure);
  void run(const session_pool& sessions, result<session_lease, pool_error> given);
  /// On one of the threads: runs again, or finishes.
  void end_of_run();
  /// Last of all, with everything noted in `end`. On one of the threads.
  void finish();

  database_state* state_;  // not to be touched once the session was given back, or never taken
  std::shared_ptr<session_operation> operation_;
  statement_control control_;
  const session_options options_;
  std::optional<tx_attempts> attempts_;  // of a function that may run again
  session_search search_;
  std::mutex waiting_mutex_;
  boost::asio::cancellation_signal waiting_;  // passes a cancellation on to whatever is waited for; guarded by the mutex
  exception_report report_;
  std::shared_ptr<async_session> kept_;  // this, while others are to commit it
  boost::asio::executor_work_guard<boost::asio::any_io_executor> threads_work_;
  boost::asio::executor_work_guard<boost::asio::any_completion_executor> handler_work_;
};

}  // namespace spillway::detail
