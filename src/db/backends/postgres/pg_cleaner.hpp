// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pg_connection.hpp"

#include <boost/asio/any_completion_handler.hpp>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace spillway::detail {

/// Sends cancel requests. libpq's own call waits for the server without a bound, and a frozen one never answers: so each runs on a thread of
/// its own, which is left behind if need be, and there are few of those.
///
/// Threads: any.
class pg_canceller {
 public:
  /// Returns when the server has sent the signal. False: it has not, or too many requests hang already.
  bool cancel(PGconn* connection, deadline until);
  /// The same without waiting. `connection` is not used after this returns. False: nothing was sent.
  [[nodiscard]] bool cancel_soon(PGconn* connection) { return send(connection).valid(); }

 private:
  /// Not valid if nothing was sent.
  std::future<bool> send(PGconn* connection);

  static constexpr int most_hanging{4};
  struct counter;
  std::shared_ptr<counter> hanging_{make_counter()};
  static std::shared_ptr<counter> make_counter();
};

/// Threads that clean sessions whose statement was given up; started when first needed.
///
/// Threads: any.
class pg_cleaner {
 public:
  pg_cleaner() = default;
  ~pg_cleaner();
  pg_cleaner(const pg_cleaner&) = delete;
  pg_cleaner& operator=(const pg_cleaner&) = delete;

  void clean(pg_connection& connection, boost::asio::any_completion_handler<void()> done);
  /// Finishes what there is, and ends the threads. Safe to call again.
  void stop();

 private:
  static constexpr std::size_t most_threads{4};
  struct job {
    pg_connection* connection;
    boost::asio::any_completion_handler<void()> done;
  };
  void work();

  pg_canceller canceller_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<job> jobs_;
  std::size_t idle_{0};
  bool stopped_{false};
  std::vector<std::thread> threads_;
};

}  // namespace spillway::detail
