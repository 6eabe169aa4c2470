// SPDX-License-Identifier: Apache-2.0
/// @file
/// Threads that run Asio, for programs that bring none of their own.
#pragma once

#include <spillway/core/export.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace spillway {

enum class runner_shape : std::uint8_t {
  context_per_thread,  ///< One io_context a thread: no lock between threads, work stays where it began. For network servers.
  shared_context,      ///< One io_context for all: any free thread takes the next piece of work. For blocking work.
};

struct io_runner_config {
  io_runner_config() {}  // not an aggregate: may be a temporary in a co_await expression

  std::size_t threads{0};  ///< In [0, 1024]; 0 means one for each processor.
  runner_shape shape{runner_shape::context_per_thread};
  std::string thread_name{"spillway"};  ///< As the operating system shows it; at most 15 bytes are kept.
  /// Told of an exception that left a handler; the thread goes on. Empty: std::terminate, as an uncaught exception anywhere.
  std::function<void(std::exception_ptr)> on_exception;
};

/// Runs one or several io_contexts on threads of its own.
///
///     io_runner runner;
///     runner.start();
///     asio::post(runner.executor(), work);
///     runner.stop();
///
/// Threads:  every member may be called from any thread; `stop` and the destructor from none of the runner's own.
/// Lifetime: objects that hold its executors must be gone, or quiet, before it is destroyed. The destructor stops.
/// Errors:   the constructor throws std::invalid_argument naming the field; `start` throws std::system_error if a thread cannot be made.
class SPILLWAY_EXPORT io_runner {
 public:
  explicit io_runner(const io_runner_config& config = {});
  ~io_runner();
  io_runner(const io_runner&) = delete;
  io_runner& operator=(const io_runner&) = delete;

  void start();

  /// Ends the threads once each has finished the handler it is in. Work still queued is dropped with the runner. Safe to call again.
  void stop() noexcept;

  /// Lets each thread end when its io_context has nothing left to do, and waits for that; a `stop` from another thread cuts it short. With one
  /// context a thread, what a thread posts to another's context after that has run dry is dropped. Safe to call again, and instead of `stop`.
  void drain() noexcept;

  /// An executor of the next io_context in turn.
  [[nodiscard]] boost::asio::any_io_executor executor() noexcept;

  /// For code that needs the concrete type: one context a thread, or the only one. `index` < `context_count()`.
  [[nodiscard]] boost::asio::io_context& context(std::size_t index) noexcept;
  [[nodiscard]] std::size_t context_count() const noexcept;
  [[nodiscard]] std::size_t thread_count() const noexcept;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace spillway
