// SPDX-License-Identifier: Apache-2.0
// Calls a monitor's poll() when it is due, by an Asio timer.
#pragma once

#include <spillway/core/error.hpp>

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <memory>

namespace spillway::detail {

class monitor_state;

/// Kept alive by its pending timer alone, so it ends with the context it runs on.
class monitor_driver : public std::enable_shared_from_this<monitor_driver> {
 public:
  using handler = boost::asio::any_completion_handler<void(error_code)>;

  monitor_driver(const boost::asio::any_io_executor& executor, std::weak_ptr<monitor_state> state, handler on_end);

  void start();
  /// Polls soon. From any thread.
  void nudge();
  /// Ends: completes the handler. From any thread, any number of times; the first call's code counts.
  void end(error_code result = {});

 private:
  void turn();

  boost::asio::strand<boost::asio::any_io_executor> strand_;
  boost::asio::steady_timer timer_;
  std::weak_ptr<monitor_state> state_;
  handler on_end_;
  boost::asio::any_completion_executor work_;  // where the handler runs, kept busy until then
};

}  // namespace spillway::detail
