// SPDX-License-Identifier: Apache-2.0
// What all lanes of a server share.
#pragma once

#include "connection_core.hpp"
#include "connection_timeouts.hpp"
#include "rejection.hpp"
#include "route_table.hpp"

#include <spillway/core/striped_counter.hpp>
#include <spillway/http/http_server.hpp>

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace spillway::detail {

struct server_counters {
  striped_counter accepted;
  striped_counter accept_failures;
  striped_counter started;  ///< Requests given to a handler.
  striped_counter ended;    ///< Of those, the ones that are over, whatever the outcome.
  striped_counter answered;
  striped_counter client_gone;
  striped_counter cut_off;
  std::array<striped_counter, rejections.size()> rejected;
};

/// Collects what the lanes of a draining server report, and tells who waits for it.
///
/// Threads: every member may be called from any thread.
class drain_board {
 public:
  using handler = boost::asio::any_completion_handler<void(http_drain_report)>;

  explicit drain_board(boost::asio::any_io_executor executor) : executor_{std::move(executor)} {}

  /// `lanes`: how many have to be done; those that are already count. The numbers of the first call with lanes hold. Without lanes, and before
  /// that call, there is nothing to wait for.
  void wait(handler done, std::size_t lanes, std::uint64_t answered_before);

  /// Each lane once, whether anybody waits or not. The last one ends the drain.
  void lane_done(std::vector<http_unfinished_request> unfinished, const striped_counter& answered);

 private:
  struct waiter {
    handler done;
    boost::asio::any_completion_executor executor;  // kept busy until the handler is called
    boost::asio::any_io_executor io_executor;
    /// Never calls the handler from within.
    void tell(const http_drain_report& report);
  };

  boost::asio::any_io_executor executor_;
  std::mutex mutex_;  // guards all below
  std::vector<waiter> waiters_;
  http_drain_report report_;
  std::uint64_t answered_before_{0};
  std::size_t lanes_{0};
  std::size_t lanes_done_{0};
  bool begun_{false};
};

struct server_shared {
  server_shared(const http_server_config& given, std::unique_ptr<route_table> routes, const clock_source& time,
                boost::asio::any_io_executor executor);

  /// Counts and logs a connection that was lost on its way in.
  void accept_failed(std::string_view why) noexcept;
  /// The same, inside a catch handler.
  void accept_threw() noexcept;

  const http_server_config config;
  const clock_source& clock;
  const core_limits limits;
  const connection_timeouts timeouts;
  const std::unique_ptr<route_table> table;
  server_counters counters;
  std::atomic<std::size_t> open{0};     ///< Connections being served.
  std::atomic<std::size_t> refused{0};  ///< Connections being told that there is no room, which take no place among `open`.
  drain_board board;
};

/// One of the places that connections take, given back on destruction.
class connection_place {
 public:
  connection_place(std::shared_ptr<server_shared> shared, std::atomic<std::size_t> server_shared::*counter) noexcept
      : shared_{std::move(shared)}, counter_{counter} {
    ((*shared_).*counter_).fetch_add(1, std::memory_order_relaxed);
  }
  ~connection_place() {
    if (shared_) ((*shared_).*counter_).fetch_sub(1, std::memory_order_relaxed);
  }
  connection_place(connection_place&&) noexcept = default;
  connection_place& operator=(connection_place&&) = delete;

 private:
  std::shared_ptr<server_shared> shared_;
  std::atomic<std::size_t> server_shared::*counter_;
};

}  // namespace spillway::detail
