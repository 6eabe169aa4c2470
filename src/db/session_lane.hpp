// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "session_queue_core.hpp"

#include <spillway/core/latency_histogram.hpp>
#include <spillway/core/striped_counter.hpp>
#include <spillway/db/database_stats.hpp>

#include <array>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

namespace spillway::detail {

/// Someone in the queue for a session. Exactly one of the two members is called, once, without the lane's lock.
class session_waiter {
 public:
  virtual ~session_waiter() = default;
  virtual void granted(std::size_t session) = 0;
  virtual void refused(db_errc why) = 0;

 private:
  friend class session_lane;
  session_queue_core::waiter_id id_{0};  // guarded by the lane's mutex; 0 while not in the queue
  bool gave_up_{false};                  // guarded by the lane's mutex
  time_point since_{};
};

/// The sessions of one kind and the queue for them: session_queue_core behind a lock.
///
/// Threads: every member may be called from any thread.
class session_lane {
 public:
  session_lane(std::size_t sessions, std::size_t max_waiters) : core_{sessions, max_waiters}, sessions_{sessions} {}

  /// A session now; db_errc::busy if there is none, shutting_down after `stop`.
  result<std::size_t, db_errc> try_take();
  /// A session, waiting for it on this thread.
  result<std::size_t, db_errc> take(deadline until);
  /// A session, now or later, for `waiter`; it may be told within this call.
  void take_for(const std::shared_ptr<session_waiter>& waiter, deadline until);
  /// Refuses the waiter with db_errc::cancelled, unless it has been told something already; also if it has yet to ask.
  void cancel(const std::shared_ptr<session_waiter>& waiter);

  void give_back(std::size_t session, std::chrono::nanoseconds held);

  /// Refuses waiters whose deadline has passed, and says when the next one will.
  std::optional<time_point> expire();

  /// From now on everyone is refused, also those who wait.
  void stop();
  /// Until all sessions are back. To be called after `stop`.
  void wait_until_idle();

  /// How often a caller was refused a session with this code.
  [[nodiscard]] std::uint64_t refusals(db_errc why) const noexcept;
  /// All that a lane knows; what became of the transactions is counted by others.
  void fill(session_stats& stats) const;

 private:
  using refused_waiter = std::pair<std::shared_ptr<session_waiter>, db_errc>;

  std::shared_ptr<session_waiter> remove(session_queue_core::waiter_id id);
  /// Takes the waiters out of the table and counts them, under the lock.
  std::vector<refused_waiter> refuse(const std::vector<session_queue_core::waiter_id>& ids, db_errc why);
  static void tell(const std::vector<refused_waiter>& refused);
  void count_refusal(db_errc why) noexcept;

  mutable std::mutex mutex_;
  std::condition_variable idle_;  // a session came back after `stop`
  session_queue_core core_;
  std::unordered_map<session_queue_core::waiter_id, std::shared_ptr<session_waiter>> waiters_;
  std::size_t sessions_;
  bool stopped_{false};

  std::array<striped_counter, 5> refusals_;  // by the value of db_errc, less one
  latency_histogram wait_;
  latency_histogram run_;
};

}  // namespace spillway::detail
