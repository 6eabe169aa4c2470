// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pool/wait_queue.hpp"

#include <spillway/core/clock.hpp>
#include <spillway/core/result.hpp>
#include <spillway/pool/pool_error.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace spillway::detail {

/// The numbers the core decides by. A duration of zero means never.
struct pool_limits {
  std::size_t max{10};
  std::size_t min{0};
  std::size_t min_idle{0};
  std::size_t overflow{0};
  std::size_t max_waiters{10'000};
  std::size_t max_connecting{2};
  std::chrono::nanoseconds idle_timeout{0};
  std::chrono::nanoseconds ping_after_idle{0};
  std::chrono::nanoseconds keepalive{0};
  std::chrono::nanoseconds failure_is_fresh{0};  ///< How long after a failed opening callers are refused on the strength of it.
  std::chrono::nanoseconds overdue_grace{0};  ///< How long a resource past its lifetime may still be lent: its successor needs time to open.
};

/// Five numbers and what they say about how many openings to begin now.
struct opening_question {
  std::size_t room;        ///< How many more resources there may be.
  std::size_t connecting;  ///< Openings under way.
  std::size_t allowed;     ///< Openings that may be under way.
  std::size_t demand;      ///< Waiters that nothing under way but an opening will serve.
  std::size_t floor;       ///< Resources short of `min` and `min_idle`.
};
[[nodiscard]] std::size_t openings_to_begin(const opening_question& question) noexcept;

/// Everything a pool decides, without a lock, a clock, a thread or a resource. It is told what happened and when, and says what to do.
///
/// Invariants after every call:
///   - while anyone waits, nothing is idle but what must be pinged first, and its turn comes when those that are pinged do not answer;
///   - lent + idle + pinging + closing + opening + lost openings <= max, plus overflow for critical callers;
///   - a waiter that was pushed is answered exactly once: by a grant, a refusal, or a successful `leave`.
class pool_core {
 public:
  using resource_id = std::uint32_t;

  struct grant {
    wait_node* waiter;
    resource_id resource;
  };
  struct refusal {
    wait_node* waiter;
    pool_errc why;
    pool_wait_cause cause;
  };
  /// What is to be done, in this order. Members append; the caller empties it.
  struct actions {
    std::vector<grant> grants;
    std::vector<refusal> refusals;
    std::vector<resource_id> close;
    std::vector<resource_id> ping;
    std::size_t open{0};

    void clear() noexcept {
      grants.clear();
      refusals.clear();
      close.clear();
      ping.clear();
      open = 0;
    }
  };

  explicit pool_core(const pool_limits& limits) : limits_{limits} {}

  /// An idle resource, the one used last. None if others wait, or all idle ones must be pinged or closed first; then a ping has begun.
  std::optional<resource_id> take(time_point now, bool critical, actions& out);

  /// Joins the queue; to be called when `take` had nothing. `node` has its deadline and lane set.
  /// Errors: shutting_down, timed_out (its deadline has passed), backend_down, queue_full.
  result<void, pool_errc> join(wait_node& node, time_point now, actions& out);

  /// Somebody who does not wait went away without a resource: opens one if there is none at all.
  void missed(time_point now, actions& out);

  /// Leaves the queue: a cancellation. False if it was answered already.
  bool leave(wait_node& node, time_point now, actions& out);

  /// A lent resource goes straight to the first who waits. False, and it stays lent, if there is nobody it could go to.
  bool hand_over(resource_id id, time_point now, actions& out);
  /// A lent resource comes back; `keep` says whether it may be lent again.
  void give_back(resource_id id, time_point now, bool keep, actions& out);

  /// An opening ended well, `took` after it began. Answers the id of the new resource. `lost`: it had been given up. `stale`: it began before
  /// `invalidate`.
  resource_id opened(time_point now, time_point expires_at, std::chrono::nanoseconds took, bool lost, bool stale, actions& out);
  /// An opening failed; the next is tried at `next_try`. A lost one only makes room.
  void open_failed(time_point now, time_point next_try, bool lost, actions& out);
  /// An opening did not end in time: counted as failed, but what it may still bring keeps its place below `max`.
  void open_lost(time_point now, time_point next_try, actions& out);
  /// A lost opening is not counted any more: what it still brings is not for this pool.
  void open_forgotten(time_point now, actions& out);
  /// Of the openings asked for, `count` were not begun, as the budget gave no leave.
  void open_deferred(time_point now, std::size_t count, time_point again_at);
  /// The budget has got something back, by what the next call tells about: no need to wait for that.
  void leave_returned() noexcept { deferred_until_.reset(); }

  void pinged(resource_id id, time_point now, bool alive, actions& out);
  /// `close` was carried out.
  void closed(resource_id id, time_point now, actions& out);

  /// Drops waiters that are too late, closes what was idle or lived too long, pings, opens.
  void tick(time_point now, actions& out);

  /// New limits, at run time.
  void change(const pool_limits& limits, time_point now, actions& out);
  /// Every resource opened so far is closed as soon as it is not lent. Who opens sees to it that what is being opened comes as stale.
  void invalidate(time_point now, actions& out);
  /// From now on everybody is refused; idle resources are closed, lent ones when they come back.
  void drain(time_point now, actions& out);

  /// When `tick` must be called at the latest for the sake of waiters and openings; none: nothing is due.
  [[nodiscard]] std::optional<time_point> next_wake(time_point now) const;
  /// What holds up those who wait.
  [[nodiscard]] pool_wait_cause cause() const noexcept;
  /// The last opening failed, not long ago.
  [[nodiscard]] bool is_down(time_point now) const noexcept { return next_try_ && now - failed_at_ < limits_.failure_is_fresh; }

  [[nodiscard]] std::size_t waiting() const noexcept { return queue_.size(); }
  [[nodiscard]] std::size_t lent() const noexcept { return lent_; }
  [[nodiscard]] std::size_t idle() const noexcept { return idle_.size(); }
  [[nodiscard]] std::size_t pinging() const noexcept { return pinging_.size(); }
  [[nodiscard]] std::size_t closing() const noexcept { return closing_; }
  [[nodiscard]] std::size_t opening() const noexcept { return opening_; }
  [[nodiscard]] std::size_t lost() const noexcept { return lost_; }
  /// Resources that exist or may come to exist.
  [[nodiscard]] std::size_t total() const noexcept { return live() + closing_ + opening_ + lost_; }
  [[nodiscard]] std::size_t live() const noexcept { return lent_ + idle_.size() + pinging_.size(); }
  [[nodiscard]] bool is_draining() const noexcept { return draining_; }
  [[nodiscard]] std::optional<time_point> next_try() const noexcept { return next_try_; }
  [[nodiscard]] const pool_limits& limits() const noexcept { return limits_; }

 private:
  enum class state : std::uint8_t { none, idle, lent, pinging, closing };
  struct entry {
    state now{state::none};
    bool stale{false};    // from before `invalidate`
    bool overdue{false};  // past its lifetime, as the last tick saw
    time_point idle_since{};
    time_point checked_at{};  // last known to be alive; or, while it is pinged, since when
    time_point expires_at{};
  };

  [[nodiscard]] std::size_t most() const noexcept { return limits_.max + (queue_.has_critical() ? limits_.overflow : 0); }
  [[nodiscard]] bool must_go(const entry& e, time_point now) const noexcept;
  /// There is a better one: it may go at once.
  [[nodiscard]] bool is_replaced(const entry& e) const noexcept { return e.overdue && idle_.size() > overdue_idle_; }
  void push_idle(resource_id id);
  void drop_idle(resource_id id, state to);
  void mark_overdue(time_point now);
  void begin_close(resource_id id, actions& out);
  void begin_ping(resource_id id, time_point now, actions& out);
  [[nodiscard]] bool needs_ping(resource_id id, time_point now) const noexcept;
  [[nodiscard]] bool may_ping(time_point now) const noexcept;
  [[nodiscard]] std::size_t awaited_pings(time_point now) const noexcept;
  [[nodiscard]] time_point ping_patience_ends(resource_id id) const noexcept { return entries_[id].checked_at + open_estimate_ / 2; }
  void settle(time_point now, actions& out);
  void serve(time_point now, actions& out);
  void close_surplus(time_point now, actions& out);
  void begin_openings(time_point now, actions& out);
  [[nodiscard]] std::size_t room(time_point now) const noexcept;
  [[nodiscard]] std::size_t demand(time_point now) const noexcept;
  [[nodiscard]] std::size_t short_of_floor() const noexcept;
  [[nodiscard]] std::size_t openings_allowed(time_point now) const noexcept;
  [[nodiscard]] time_point patience_ends() const noexcept;
  void refuse_all(pool_errc why, actions& out);
  void drop_late(time_point now, actions& out);

  pool_limits limits_;
  wait_queue queue_;
  std::vector<entry> entries_;
  std::vector<resource_id> free_ids_;
  std::vector<resource_id> idle_;  // the back is lent next
  std::vector<resource_id> pinging_;
  std::size_t overdue_{0};       // of those lent or idle
  std::size_t overdue_idle_{0};
  std::size_t lent_{0};
  std::size_t closing_{0};
  std::size_t opening_{0};
  std::size_t lost_{0};
  std::optional<time_point> next_try_;        // the last opening failed
  time_point failed_at_{};
  bool asked_{false};                         // somebody went away without, and nothing is there for the next
  std::optional<time_point> deferred_until_;  // the budget gave no leave
  std::chrono::nanoseconds open_estimate_{0};
  bool draining_{false};
};

}  // namespace spillway::detail
