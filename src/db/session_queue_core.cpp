// SPDX-License-Identifier: Apache-2.0
#include "session_queue_core.hpp"

namespace spillway::detail {

session_queue_core::session_queue_core(std::size_t sessions, std::size_t max_waiters) : sessions_{sessions}, max_waiters_{max_waiters} {
  for (std::size_t i = sessions; i > 0; --i) idle_.push_back(i - 1);
}

std::optional<session_queue_core::session_index> session_queue_core::take() {
  if (idle_.empty()) return std::nullopt;
  const auto session = idle_.back();
  idle_.pop_back();
  return session;
}

result<session_queue_core::waiter_id, db_errc> session_queue_core::join(time_point now, deadline until, std::vector<waiter_id>& expired) {
  expire(now, expired);
  if (until.passed(now)) return db_errc::timed_out;
  if (queue_.size() >= max_waiters_) return db_errc::queue_full;
  const auto id = next_id_++;
  queue_.emplace_hint(queue_.end(), id, until);
  if (!until.is_never()) deadlines_.emplace(until.at(), id);
  return id;
}

std::optional<session_queue_core::grant> session_queue_core::give_back(session_index session, time_point now,
                                                                       std::vector<waiter_id>& expired) {
  expire(now, expired);
  if (queue_.empty()) {
    idle_.push_back(session);
    return std::nullopt;
  }
  const auto first = queue_.begin()->first;
  leave(first);
  return grant{first, session};
}

bool session_queue_core::leave(waiter_id waiter) {
  const auto found = queue_.find(waiter);
  if (found == queue_.end()) return false;
  deadlines_.erase({found->second.at(), waiter});
  queue_.erase(found);
  return true;
}

void session_queue_core::expire(time_point now, std::vector<waiter_id>& expired) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const auto waiter = deadlines_.begin()->second;
    leave(waiter);
    expired.push_back(waiter);
  }
}

void session_queue_core::clear(std::vector<waiter_id>& dropped) {
  for (const auto& [waiter, until] : queue_) dropped.push_back(waiter);
  queue_.clear();
  deadlines_.clear();
}

std::optional<time_point> session_queue_core::next_deadline() const {
  if (deadlines_.empty()) return std::nullopt;
  return deadlines_.begin()->first;
}

}  // namespace spillway::detail
