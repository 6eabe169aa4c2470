// SPDX-License-Identifier: Apache-2.0
// One statement of `async_query`, on whichever node answers it.
#pragma once

#include "pg_cluster.hpp"

#include "../../query_operation.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <mutex>
#include <vector>

namespace spillway::detail {

/// Asks a node; if that is lost, another one; and if it takes long, and the budget allows, a second one meanwhile. The first good answer counts, what comes
/// later is dropped.
///
/// Threads: any. The watch's mutex comes after this one's.
class pg_routed_query final : public std::enable_shared_from_this<pg_routed_query> {
 public:
  pg_routed_query(const std::shared_ptr<pg_cluster>& cluster, std::shared_ptr<query_operation> caller, const read_question& question, deadline until,
                  const boost::asio::any_io_executor& fallback);

  /// False: no node can serve it this way, and nothing was done.
  bool start();

 private:
  static constexpr int most_askings{4};

  enum class purpose : std::uint8_t { first, instead, hedge };
  bool ask(purpose why);
  void answered(const route_ticket& ticket, time_point asked, result<row_set, db_error> rows);
  void arm();
  void complete(result<row_set, db_error> rows);

  const std::shared_ptr<pg_cluster> cluster_;
  const boost::asio::any_io_executor fallback_;
  const deadline until_;
  const time_point began_{system_clock_source().now()};

  std::mutex mutex_;  // guards what follows
  std::shared_ptr<query_operation> caller_;  // null once it is answered
  boost::asio::executor_work_guard<boost::asio::any_completion_executor> work_;
  read_question question_;
  int askings_{0};
  std::vector<std::shared_ptr<query_operation>> under_way_;  // those that were asked, answered or not
  std::size_t answers_{0};
  std::unique_ptr<boost::asio::steady_timer> timer_;
};

}  // namespace spillway::detail
