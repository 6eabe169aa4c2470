// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "session_call.hpp"
#include "session_pool.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <string>

namespace spillway::detail {

class database_state;

/// An `async_read` or `async_write` from its start until its handler is called.
class async_session final : public session_call, public std::enable_shared_from_this<async_session> {
 public:
  using exception_report = std::function<void(std::exception_ptr)>;

  /// `threads` run the function, and call the handler if it has no executor of its own; `report`, unless empty, is then told what it throws.
  async_session(database_state& state, session_kind kind, std::shared_ptr<session_operation> operation, const session_options& options,
                deadline until, const boost::asio::any_io_executor& threads, exception_report report);

  /// One of the two, once.
  void ask(session_pool& sessions);
  /// Does not touch the database: it may be gone when this has returned.
  void refuse(db_errc why);
  /// No thread is kept while it waits for its commit.
  void told(const db_error& failure) noexcept override;

 private:
  void run(session_pool& sessions, result<session_lease, pool_error> given);
  /// Last of all, with everything noted in `end`. On one of the threads.
  void finish();

  database_state* state_;  // not to be touched once the session was given back, or never taken
  session_kind kind_;
  std::shared_ptr<session_operation> operation_;
  statement_control control_;
  std::string label_;
  bool alone_;
  std::source_location where_;
  boost::asio::cancellation_signal in_queue_;  // passes a cancellation on to the pool
  exception_report report_;
  std::shared_ptr<async_session> waiting_;  // this, while others are to commit it
  boost::asio::executor_work_guard<boost::asio::any_io_executor> threads_work_;
  boost::asio::executor_work_guard<boost::asio::any_completion_executor> handler_work_;
};

}  // namespace spillway::detail
