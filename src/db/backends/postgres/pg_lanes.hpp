// SPDX-License-Identifier: Apache-2.0
// The statements of `async_query` to one server: many callers, few connections, no thread for any of them.
#pragma once

#include "pg_cleaner.hpp"
#include "pg_lane.hpp"

#include <spillway/core/backoff.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace spillway::detail {

struct pg_lanes_config {
  std::size_t connections{4};
  std::size_t max_waiting{1'024};
  std::uint64_t max_result_bytes{64U << 20U};
};

/// A statement goes to the connection with the fewest before it, so long as there is room; else it waits. Who is too late or has cancelled is answered
/// at once, and what he asked for is cancelled on the server when it is its turn there. What a lost connection has not answered is sent once more on
/// another: it only reads.
///
/// Threads: `submit`, `cancel` and `close` from any; the rest on the executor, which runs one thing at a time.
class pg_lanes final : public std::enable_shared_from_this<pg_lanes>, public pg_lane::owner {
 public:
  pg_lanes(std::shared_ptr<pg_node> node, const pg_lanes_config& config, const boost::asio::any_io_executor& executor);

  /// False: it is closed, and the operation is still the caller's.
  [[nodiscard]] bool submit(const std::shared_ptr<query_operation>& operation, deadline until);
  /// Nobody is there any more, whatever the connections say.
  void cut();
  /// Refuses what comes from now on, and closes the connections when everything under way is answered.
  void close();

 private:
  static constexpr std::size_t most_in_flight{64};  // of one connection
  static constexpr std::size_t most_connecting{2};
  static constexpr std::size_t most_sendings{5};

  void take_in();
  void dispatch();
  [[nodiscard]] pg_lane* best_lane() const;
  void connect_if_needed();
  void connected(result<pg_channel, db_error> channel);
  void ended(std::shared_ptr<lane_query> query, result<row_set, db_error> rows, bool disturbed) override;
  void has_room() override { dispatch(); }
  void broke(pg_lane& lane, std::deque<std::shared_ptr<lane_query>> unanswered, db_error why) override;
  void answer(lane_query& query, result<row_set, db_error> rows);
  void watch_deadlines();
  void sweep();
  void cancelled(const std::weak_ptr<lane_query>& query);
  void fail_waiting(const db_error& why);
  void end_if_idle();

  /// Between this and a thread that connects, which may come back late.
  struct gate {
    std::mutex mutex;
    bool open{true};
  };
  const std::shared_ptr<gate> gate_{std::make_shared<gate>()};
  const std::shared_ptr<pg_node> node_;
  const pg_lanes_config config_;
  const boost::asio::any_io_executor executor_;

  std::mutex mutex_;  // guards the three that follow
  std::vector<std::shared_ptr<lane_query>> arrived_;
  std::size_t waiting_count_{0};  // arrived or queued
  bool closed_{false};

  std::vector<std::shared_ptr<pg_lane>> lanes_;
  std::deque<std::shared_ptr<lane_query>> queue_;
  std::vector<std::weak_ptr<lane_query>> watched_;  // everything not answered, for its deadline
  boost::asio::steady_timer timer_;
  bool timer_runs_{false};
  bool closing_{false};
  std::shared_ptr<pg_lanes> kept_;  // from closing to the end, as an executor of the program may get to it late
  std::size_t connecting_{0};
  decorrelated_backoff backoff_;
  std::optional<time_point> next_try_;
  db_error last_failure_;
  pg_canceller canceller_;
};

}  // namespace spillway::detail
