// SPDX-License-Identifier: Apache-2.0
/// @file
/// Waiting for the operating system to ask the program to end.
#pragma once

#include <spillway/core/export.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>

#include <memory>
#include <utility>

namespace spillway {

/// Catches SIGTERM and SIGINT for as long as it lives; only a program that makes one has its signals caught.
///
///     shutdown_signal signal{runner.executor()};
///     runner.start();
///     const int number = signal.wait();
///
/// A signal that came before the first wait is not lost. After the first, a second signal ends the program as if nothing had caught it, so
/// an impatient operator wins over a slow drain.
///
/// Threads:      every member may be called from any thread, `wait` from none of the executor's own.
/// Lifetime:     destroyed before the executor's context. The destructor ends waits with the number 0.
/// Cancellation: none.
class SPILLWAY_EXPORT shutdown_signal {
 public:
  explicit shutdown_signal(boost::asio::any_io_executor executor);
  ~shutdown_signal();
  shutdown_signal(const shutdown_signal&) = delete;
  shutdown_signal& operator=(const shutdown_signal&) = delete;

  /// The number of the signal. Signature: void(int).
  template <boost::asio::completion_token_for<void(int)> Token>
  auto async_wait(Token&& token) {
    return boost::asio::async_initiate<Token, void(int)>([this](auto handler) { begin_wait(std::move(handler)); }, token);
  }

  int wait();

 private:
  struct impl;
  void begin_wait(boost::asio::any_completion_handler<void(int)> done);

  std::shared_ptr<impl> impl_;
};

}  // namespace spillway
