// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/core/deadline.hpp>
#include <spillway/core/result.hpp>
#include <spillway/db/db_error.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace spillway::detail {

/// Decides who gets a session. Waiters are served in the order they came; sessions are lent last in, first out, so few stay warm. A
/// session that is given back goes straight to the next waiter: nobody who asks later can take it on the way.
///
/// Invariant: while anyone waits, no session is idle.
class session_queue_core {
 public:
  using waiter_id = std::uint64_t;
  using session_index = std::size_t;

  struct grant {
    waiter_id waiter;
    session_index session;
  };

  session_queue_core(std::size_t sessions, std::size_t max_waiters);

  /// An idle session, if there is one.
  std::optional<session_index> take();

  /// Joins the queue. To be called when `take` had nothing; drops waiters that are too late first.
  /// Errors: timed_out if `until` has passed; queue_full.
  result<waiter_id, db_errc> join(time_point now, deadline until, std::vector<waiter_id>& expired);

  /// Takes a session back. It goes to the first waiter that is not too late, and those passed over are appended to `expired`.
  std::optional<grant> give_back(session_index session, time_point now, std::vector<waiter_id>& expired);

  /// Leaves the queue: a cancellation. False if the waiter is not in it any more, because it was granted a session or dropped.
  bool leave(waiter_id waiter);

  /// Drops the waiters whose deadline has passed.
  void expire(time_point now, std::vector<waiter_id>& expired);

  /// Drops all waiters, in order.
  void clear(std::vector<waiter_id>& dropped);

  /// When `expire` will next find something.
  [[nodiscard]] std::optional<time_point> next_deadline() const;
  [[nodiscard]] std::size_t waiting() const noexcept { return queue_.size(); }
  [[nodiscard]] std::size_t in_use() const noexcept { return sessions_ - idle_.size(); }

 private:
  std::size_t sessions_;
  std::size_t max_waiters_;
  std::vector<session_index> idle_;                       // the back is lent next
  std::map<waiter_id, deadline> queue_;                   // ids grow, so the order of the map is that of arrival
  std::set<std::pair<time_point, waiter_id>> deadlines_;  // of those in the queue that have one
  waiter_id next_id_{1};
};

}  // namespace spillway::detail
