// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "db_driver.hpp"
#include "session_lane.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace spillway::detail {

class database_state;
using exception_report = std::function<void(std::exception_ptr)>;

/// An `async_read` or `async_write` from its start until its handler is called.
class async_session final : public session_waiter, public std::enable_shared_from_this<async_session> {
 public:
  /// `threads` run the function, and call the handler if it has no executor of its own; then `report` hears what the handler throws. Without
  /// `report`, the threads look after that.
  async_session(database_state& state, session_kind kind, std::shared_ptr<session_operation> operation, deadline until, std::string label,
                const boost::asio::any_io_executor& threads, exception_report report);

  void honour_cancellation();

  void granted(std::size_t session) override;
  void refused(db_errc why) override;

 private:
  /// On one of the threads, last of all.
  void finish(std::exception_ptr thrown, db_error failure);

  database_state* state_;  // not to be touched once the session was given back, or never taken
  std::shared_ptr<session_lane> lane_;
  session_kind kind_;
  std::shared_ptr<session_operation> operation_;
  statement_control control_;
  std::string label_;
  boost::asio::executor_work_guard<boost::asio::any_io_executor> threads_work_;
  boost::asio::executor_work_guard<boost::asio::any_completion_executor> handler_work_;
  exception_report report_;
};

/// Refuses asynchronous waiters when they are too late. Those that block look after themselves.
///
/// Threads: every member may be called from any thread; `executor` may run several.
class expiry_timer {
 public:
  expiry_timer(const boost::asio::any_io_executor& executor, std::array<std::shared_ptr<session_lane>, 2> lanes)
      : timer_{executor}, lanes_{std::move(lanes)} {}

  void wake_by(deadline until);
  void stop();

 private:
  void woken();

  std::mutex mutex_;
  boost::asio::steady_timer timer_;
  deadline armed_;  // never: not armed
  bool stopped_{false};
  std::array<std::shared_ptr<session_lane>, 2> lanes_;
};

}  // namespace spillway::detail
