// SPDX-License-Identifier: Apache-2.0
#include "session_lane.hpp"

namespace spillway::detail {

namespace {

time_point now() noexcept { return system_clock_source().now(); }

/// A thread that waits.
class blocked_caller final : public session_waiter {
 public:
  void granted(std::size_t session) override { answer(session); }
  void refused(db_errc why) override { answer(why); }

  std::optional<result<std::size_t, db_errc>> wait_until(deadline until) {
    std::unique_lock lock{mutex_};
    if (until.is_never()) {
      answered_.wait(lock, [&] { return answer_.has_value(); });
    } else {
      answered_.wait_until(lock, until.at(), [&] { return answer_.has_value(); });
    }
    return answer_;
  }

 private:
  void answer(result<std::size_t, db_errc> what) {
    {
      const std::scoped_lock lock{mutex_};
      answer_ = what;
    }
    // Without the lock, or who wakes would have to wait for it. Who notifies owns a share of this.
    answered_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable answered_;
  std::optional<result<std::size_t, db_errc>> answer_;
};

}  // namespace

result<std::size_t, db_errc> session_lane::try_take() {
  const std::scoped_lock lock{mutex_};
  if (!stopped_) {
    if (const auto session = core_.take()) {
      wait_.record(std::chrono::nanoseconds{0});
      return *session;
    }
  }
  const auto why = stopped_ ? db_errc::shutting_down : db_errc::busy;
  count_refusal(why);
  return why;
}

result<std::size_t, db_errc> session_lane::take(deadline until) {
  {
    const std::scoped_lock lock{mutex_};
    if (!stopped_ && !until.passed(now())) {
      if (const auto session = core_.take()) {
        wait_.record(std::chrono::nanoseconds{0});
        return *session;
      }
    }
  }
  const auto caller = std::make_shared<blocked_caller>();
  take_for(caller, until);
  if (const auto answer = caller->wait_until(until)) return *answer;
  expire();
  // Dropped just now, or given a session at the last moment: either way the answer is on its way.
  return *caller->wait_until(deadline::never());
}

void session_lane::take_for(const std::shared_ptr<session_waiter>& waiter, deadline until) {
  std::vector<refused_waiter> refused;
  std::optional<std::size_t> session;
  {
    const std::scoped_lock lock{mutex_};
    waiter->since_ = now();
    const auto refuse_this = [&](db_errc why) {
      count_refusal(why);
      refused.emplace_back(waiter, why);
    };
    if (stopped_) {
      refuse_this(db_errc::shutting_down);
    } else if (waiter->gave_up_) {
      refuse_this(db_errc::cancelled);
    } else if (until.passed(waiter->since_)) {
      refuse_this(db_errc::timed_out);
    } else if (session = core_.take(); session) {
      wait_.record(std::chrono::nanoseconds{0});
    } else {
      std::vector<session_queue_core::waiter_id> expired;
      const auto joined = core_.join(waiter->since_, until, expired);
      refused = refuse(expired, db_errc::timed_out);
      if (joined) {
        waiter->id_ = *joined;
        waiters_.emplace(*joined, waiter);
      } else {
        refuse_this(joined.error());
      }
    }
  }
  tell(refused);
  if (session) waiter->granted(*session);
}

void session_lane::cancel(const std::shared_ptr<session_waiter>& waiter) {
  {
    const std::scoped_lock lock{mutex_};
    waiter->gave_up_ = true;
    if (waiter->id_ == 0 || !core_.leave(waiter->id_)) return;
    remove(waiter->id_);
    count_refusal(db_errc::cancelled);
  }
  waiter->refused(db_errc::cancelled);
}

void session_lane::give_back(std::size_t session, std::chrono::nanoseconds held) {
  run_.record(held);
  std::vector<refused_waiter> refused;
  std::shared_ptr<session_waiter> next;
  {
    const std::scoped_lock lock{mutex_};
    const auto at = now();
    std::vector<session_queue_core::waiter_id> expired;
    const auto grant = core_.give_back(session, at, expired);
    refused = refuse(expired, db_errc::timed_out);
    if (grant) {
      next = remove(grant->waiter);
      wait_.record(at - next->since_);
    } else if (stopped_) {
      idle_.notify_all();
    }
  }
  if (next) next->granted(session);
  tell(refused);
}

std::optional<time_point> session_lane::expire() {
  std::vector<refused_waiter> refused;
  std::optional<time_point> next;
  {
    const std::scoped_lock lock{mutex_};
    std::vector<session_queue_core::waiter_id> expired;
    core_.expire(now(), expired);
    refused = refuse(expired, db_errc::timed_out);
    next = core_.next_deadline();
  }
  tell(refused);
  return next;
}

void session_lane::stop() {
  std::vector<refused_waiter> refused;
  {
    const std::scoped_lock lock{mutex_};
    stopped_ = true;
    std::vector<session_queue_core::waiter_id> dropped;
    core_.clear(dropped);
    refused = refuse(dropped, db_errc::shutting_down);
  }
  tell(refused);
}

void session_lane::wait_until_idle() {
  std::unique_lock lock{mutex_};
  idle_.wait(lock, [&] { return core_.in_use() == 0; });
}

void session_lane::fill(session_stats& stats) const {
  {
    const std::scoped_lock lock{mutex_};
    stats.sessions = sessions_;
    stats.in_use = core_.in_use();
    stats.waiting = core_.waiting();
  }
  stats.refused = refusals(db_errc::busy) + refusals(db_errc::queue_full) + refusals(db_errc::shutting_down);
  stats.wait_timeouts = refusals(db_errc::timed_out);
  stats.wait_cancelled = refusals(db_errc::cancelled);
  stats.wait = wait_.snapshot();
  stats.run = run_.snapshot();
}

std::shared_ptr<session_waiter> session_lane::remove(session_queue_core::waiter_id id) {
  auto node = waiters_.extract(id);
  node.mapped()->id_ = 0;
  return std::move(node.mapped());
}

std::vector<session_lane::refused_waiter> session_lane::refuse(const std::vector<session_queue_core::waiter_id>& ids, db_errc why) {
  std::vector<refused_waiter> refused;
  for (const auto id : ids) {
    refused.emplace_back(remove(id), why);
    count_refusal(why);
  }
  return refused;
}

void session_lane::tell(const std::vector<refused_waiter>& refused) {
  for (const auto& [waiter, why] : refused) waiter->refused(why);
}

// The codes a lane refuses with are the first of the enumeration.
static_assert(static_cast<int>(db_errc::busy) == 1 && static_cast<int>(db_errc::shutting_down) == 5);

void session_lane::count_refusal(db_errc why) noexcept { refusals_[static_cast<std::size_t>(why) - 1].add(); }

std::uint64_t session_lane::refusals(db_errc why) const noexcept {
  const auto value = static_cast<std::size_t>(why);
  return value >= 1 && value <= refusals_.size() ? static_cast<std::uint64_t>(refusals_[value - 1].value()) : 0;
}

}  // namespace spillway::detail
