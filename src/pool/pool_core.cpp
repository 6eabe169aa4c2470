// SPDX-License-Identifier: Apache-2.0
#include "pool/pool_core.hpp"

#include <algorithm>

namespace spillway::detail {

namespace {

constexpr std::size_t most_pings{8};  // on behalf of those who wait; each may cost a thread

}  // namespace

std::size_t openings_to_begin(const opening_question& q) noexcept {
  const auto wanted = std::max(q.demand, q.floor);
  const auto missing = wanted > q.connecting ? wanted - q.connecting : 0;
  const auto free_hands = q.allowed > q.connecting ? q.allowed - q.connecting : 0;
  return std::min({missing, free_hands, q.room});
}

std::optional<pool_core::resource_id> pool_core::take(time_point now, bool critical, actions& out) {
  if (draining_ || (critical ? queue_.has_critical() : !queue_.empty())) return std::nullopt;
  for (auto at = idle_.size(); at-- > 0;) {
    const auto id = idle_[at];
    const auto& e = entries_[id];
    if (must_go(e, now) || is_replaced(e)) {
      begin_close(id, out);
    } else if (needs_ping(id, now)) {
      if (may_ping(now)) begin_ping(id, now, out);
    } else {
      drop_idle(id, state::lent);
      ++lent_;
      // Taking one may leave less than min_idle.
      if (limits_.min_idle != 0) settle(now, out);
      return id;
    }
  }
  return std::nullopt;
}

result<void, pool_errc> pool_core::join(wait_node& node, time_point now, actions& out) {
  if (draining_) return pool_errc::shutting_down;
  if (node.until.passed(now)) return pool_errc::timed_out;
  // What failed long ago says nothing about now: then the caller waits for the try that begins with him.
  if (is_down(now) && live() == 0) {
    missed(now, out);
    return pool_errc::backend_down;
  }
  if (queue_.size() >= limits_.max_waiters) {
    drop_late(now, out);
    if (queue_.size() >= limits_.max_waiters) return pool_errc::queue_full;
  }
  node.since = now;
  queue_.push(node);
  settle(now, out);
  return {};
}

void pool_core::missed(time_point now, actions& out) {
  asked_ = idle_.empty() && awaited_pings(now) == 0;
  settle(now, out);
}

bool pool_core::leave(wait_node& node, time_point now, actions& out) {
  if (!node.queued) return false;
  queue_.remove(node);
  settle(now, out);
  return true;
}

bool pool_core::hand_over(resource_id id, time_point now, actions& out) {
  drop_late(now, out);
  auto& e = entries_[id];
  auto* const waiter = queue_.front();
  const bool given = waiter != nullptr && !must_go(e, now) && (waiter->critical || live() <= limits_.max);
  if (given) {
    queue_.remove(*waiter);
    e.idle_since = now;
    e.checked_at = now;
    out.grants.push_back({waiter, id});
  }
  settle(now, out);
  return given;
}

void pool_core::give_back(resource_id id, time_point now, bool keep, actions& out) {
  auto& e = entries_[id];
  --lent_;
  e.idle_since = now;
  e.checked_at = now;
  const bool replaced = queue_.empty() && is_replaced(e);
  push_idle(id);
  if (!keep || replaced || must_go(e, now)) begin_close(id, out);
  settle(now, out);
}

pool_core::resource_id pool_core::opened(time_point now, time_point expires_at, std::chrono::nanoseconds took, bool lost, bool stale,
                                         actions& out) {
  --(lost ? lost_ : opening_);
  next_try_.reset();
  asked_ = false;
  // A quarter of the new, three of the old: follows a change within a few openings, and one odd opening does not matter.
  open_estimate_ = open_estimate_.count() == 0 ? took : (open_estimate_ * 3 + took) / 4;
  resource_id id;
  if (free_ids_.empty()) {
    id = static_cast<resource_id>(entries_.size());
    entries_.emplace_back();
  } else {
    id = free_ids_.back();
    free_ids_.pop_back();
  }
  entries_[id] = entry{state::idle, stale, false, now, now, expires_at};
  push_idle(id);
  if (stale) begin_close(id, out);
  settle(now, out);
  return id;
}

void pool_core::open_failed(time_point now, time_point next_try, bool lost, actions& out) {
  if (lost) {
    --lost_;
  } else {
    --opening_;
    next_try_ = next_try;
    failed_at_ = now;
    if (live() == 0) refuse_all(pool_errc::backend_down, out);
  }
  settle(now, out);
}

void pool_core::open_lost(time_point now, time_point next_try, actions& out) {
  ++lost_;
  open_failed(now, next_try, false, out);
}

void pool_core::open_forgotten(time_point now, actions& out) {
  --lost_;
  settle(now, out);
}

void pool_core::open_deferred(time_point now, std::size_t count, time_point again_at) {
  opening_ -= count;
  deferred_until_ = std::max(now, again_at);
}

void pool_core::pinged(resource_id id, time_point now, bool alive, actions& out) {
  std::erase(pinging_, id);
  auto& e = entries_[id];
  e.checked_at = now;
  push_idle(id);
  if (!alive || must_go(e, now)) begin_close(id, out);
  else asked_ = false;
  settle(now, out);
}

void pool_core::closed(resource_id id, time_point now, actions& out) {
  --closing_;
  entries_[id].now = state::none;
  free_ids_.push_back(id);
  settle(now, out);
}

void pool_core::tick(time_point now, actions& out) {
  drop_late(now, out);
  if (deferred_until_ && now >= *deferred_until_) deferred_until_.reset();
  mark_overdue(now);
  close_surplus(now, out);
  if (limits_.keepalive.count() != 0) {
    for (auto at = idle_.size(); at-- > 0;) {
      if (now - entries_[idle_[at]].checked_at >= limits_.keepalive) begin_ping(idle_[at], now, out);
    }
  }
  settle(now, out);
}

void pool_core::change(const pool_limits& limits, time_point now, actions& out) {
  limits_ = limits;
  tick(now, out);
}

void pool_core::invalidate(time_point now, actions& out) {
  for (auto& e : entries_) e.stale = e.now != state::none;
  while (!idle_.empty()) begin_close(idle_.back(), out);
  settle(now, out);
}

void pool_core::drain(time_point now, actions& out) {
  draining_ = true;
  asked_ = false;
  next_try_.reset();
  deferred_until_.reset();
  refuse_all(pool_errc::shutting_down, out);
  while (!idle_.empty()) begin_close(idle_.back(), out);
  settle(now, out);
}

std::optional<time_point> pool_core::next_wake(time_point now) const {
  std::optional<time_point> wake;
  const auto sooner = [&wake](time_point at) { wake = wake ? std::min(*wake, at) : at; };
  if (const auto* urgent = queue_.most_urgent(); urgent != nullptr) sooner(urgent->until.at());
  // Without room nothing can be tried, and whatever makes room tries.
  if (next_try_ && opening_ == 0 && !deferred_until_ && room(now) > 0 && std::max(demand(now), short_of_floor()) > 0) sooner(*next_try_);
  if (deferred_until_) sooner(*deferred_until_);
  if (!queue_.empty() && opening_ > 0 && opening_ < limits_.max_connecting) {
    if (const auto at = patience_ends(); at > now) sooner(at);
  }
  if (!queue_.empty()) {
    for (const auto id : pinging_) {
      if (const auto at = ping_patience_ends(id); at > now) sooner(at);
    }
  }
  return wake;
}

pool_wait_cause pool_core::cause() const noexcept {
  if (next_try_ && most() > total() - opening_ - lost_) return pool_wait_cause::backend;
  if (deferred_until_) return pool_wait_cause::budget;
  if (!pinging_.empty()) return pool_wait_cause::validation;
  if (opening_ > 0 || lost_ > 0) return pool_wait_cause::connecting;
  return pool_wait_cause::queue;
}

/// Not to be lent again.
bool pool_core::must_go(const entry& e, time_point now) const noexcept {
  return e.stale || draining_ || (now >= e.expires_at && now - e.expires_at >= limits_.overdue_grace);
}

/// In the order of use, so that one that was only pinged does not become the one used last.
void pool_core::push_idle(resource_id id) {
  auto& e = entries_[id];
  e.now = state::idle;
  if (e.overdue) ++overdue_idle_;
  const auto used = [&](resource_id other) { return entries_[other].idle_since; };
  if (idle_.empty() || used(idle_.back()) <= e.idle_since) idle_.push_back(id);
  else idle_.insert(std::ranges::upper_bound(idle_, e.idle_since, {}, used), id);
}

void pool_core::drop_idle(resource_id id, state to) {
  auto& e = entries_[id];
  e.now = to;
  if (e.overdue) --overdue_idle_;
  if (idle_.back() == id) idle_.pop_back();
  else idle_.erase(std::ranges::find(idle_, id));
}

void pool_core::mark_overdue(time_point now) {
  for (auto& e : entries_) {
    if (e.overdue || now < e.expires_at || (e.now != state::idle && e.now != state::lent)) continue;
    e.overdue = true;
    ++overdue_;
    if (e.now == state::idle) ++overdue_idle_;
  }
}

void pool_core::begin_close(resource_id id, actions& out) {
  drop_idle(id, state::closing);
  if (entries_[id].overdue) --overdue_;
  ++closing_;
  out.close.push_back(id);
}

void pool_core::begin_ping(resource_id id, time_point now, actions& out) {
  drop_idle(id, state::pinging);
  entries_[id].checked_at = now;
  pinging_.push_back(id);
  out.ping.push_back(id);
}

bool pool_core::needs_ping(resource_id id, time_point now) const noexcept {
  return limits_.ping_after_idle.count() != 0 && now - entries_[id].checked_at >= limits_.ping_after_idle;
}

/// As many at a time as somebody waits for: what is pinged is not there for others.
bool pool_core::may_ping(time_point now) const noexcept { return awaited_pings(now) < std::clamp<std::size_t>(queue_.size(), 1, most_pings); }

/// Pings that have not taken too long yet. By half the time of an opening an answer should be there, as it takes one round trip and an opening
/// several; so the other side may have gone silently, and nobody who waits should count on it.
std::size_t pool_core::awaited_pings(time_point now) const noexcept {
  return static_cast<std::size_t>(std::ranges::count_if(pinging_, [&](resource_id id) { return now < ping_patience_ends(id); }));
}

void pool_core::settle(time_point now, actions& out) {
  serve(now, out);
  if (draining_) {
    while (!idle_.empty()) begin_close(idle_.back(), out);
    return;
  }
  while (!idle_.empty() && total() - closing_ > most()) begin_close(idle_.front(), out);
  begin_openings(now, out);
}

void pool_core::serve(time_point now, actions& out) {
  for (auto at = idle_.size(); at > 0 && !queue_.empty();) {
    auto* const waiter = queue_.front();
    if (waiter->until.passed(now)) {
      queue_.remove(*waiter);
      out.refusals.push_back({waiter, pool_errc::timed_out, cause()});
      continue;
    }
    const auto id = idle_[--at];
    // What was opened on top of `max` is for critical callers alone.
    if (must_go(entries_[id], now) || (!waiter->critical && live() > limits_.max)) {
      begin_close(id, out);
      continue;
    }
    if (needs_ping(id, now)) {
      if (may_ping(now)) begin_ping(id, now, out);
      continue;
    }
    queue_.remove(*waiter);
    drop_idle(id, state::lent);
    ++lent_;
    out.grants.push_back({waiter, id});
  }
}

/// Idle for too long, or older than they should be, as far as `min` and `min_idle` allow; the oldest first.
void pool_core::close_surplus(time_point now, actions& out) {
  for (std::size_t at = 0; at < idle_.size();) {
    const auto id = idle_[at];
    const auto& e = entries_[id];
    const bool spare = live() > limits_.min && idle_.size() > limits_.min_idle;
    const bool unused = limits_.idle_timeout.count() != 0 && now - e.idle_since >= limits_.idle_timeout;
    // One past its lifetime that is still needed goes when its successor is there, or at once if there is no room for one.
    if (e.stale || (spare && (e.overdue || unused)) || (e.overdue && total() >= limits_.max)) {
      begin_close(id, out);
    } else {
      ++at;
    }
  }
}

void pool_core::begin_openings(time_point now, actions& out) {
  if (deferred_until_) return;
  const auto begin = openings_to_begin({room(now), opening_, openings_allowed(now), demand(now), short_of_floor()});
  opening_ += begin;
  out.open += begin;
  if (begin > 0) asked_ = false;
}

/// How many more resources there may be: above `max` one for each critical caller whom nothing under way will serve. They come first, so whatever
/// is under way serves them.
std::size_t pool_core::room(time_point now) const noexcept {
  const auto left_of = [have = total()](std::size_t bound) { return bound > have ? bound - have : 0; };
  const auto below = left_of(limits_.max);
  const auto served = opening_ + awaited_pings(now);
  const auto urgent = queue_.criticals() > served ? queue_.criticals() - served : 0;
  return std::max(below, std::min(urgent, left_of(limits_.max + limits_.overflow)));
}

/// Waiters that no ping may serve; at least one if somebody went away without.
std::size_t pool_core::demand(time_point now) const noexcept {
  const auto awaited = awaited_pings(now);
  // What is idle beside them has its turn to be pinged, and is as good as they are.
  const auto supply = awaited + (awaited == pinging_.size() ? idle_.size() : 0);
  const auto unserved = queue_.size() > supply ? queue_.size() - supply : 0;
  return std::max<std::size_t>(unserved, asked_ ? 1 : 0);
}

/// Resources past their lifetime do not count, and each that is lent wants a successor to be there when it comes back.
std::size_t pool_core::short_of_floor() const noexcept {
  if (draining_) return 0;
  const auto good = live() - overdue_;
  const auto good_idle = idle_.size() - overdue_idle_ + pinging_.size();
  const auto idle_wanted = std::max(limits_.min_idle, overdue_ - overdue_idle_);
  const auto below_min = limits_.min > good ? limits_.min - good : 0;
  const auto below_idle = idle_wanted > good_idle ? idle_wanted - good_idle : 0;
  return std::max(below_min, below_idle);
}

/// How many openings may be under way: one to find out whether the backend is back; one while those who wait have not waited long, because a
/// resource that comes back usually serves them sooner; all of them otherwise.
std::size_t pool_core::openings_allowed(time_point now) const noexcept {
  if (next_try_) return now >= *next_try_ ? 1 : 0;
  if (queue_.empty() || live() == 0 || now >= patience_ends()) return limits_.max_connecting;
  return 1;
}

time_point pool_core::patience_ends() const noexcept {
  const auto oldest = queue_.oldest();
  return oldest ? *oldest + open_estimate_ / 4 : time_point::min();
}

void pool_core::refuse_all(pool_errc why, actions& out) {
  const auto held_up_by = why == pool_errc::backend_down ? pool_wait_cause::backend : cause();
  while (!queue_.empty()) {
    auto* const waiter = queue_.front();
    queue_.remove(*waiter);
    out.refusals.push_back({waiter, why, held_up_by});
  }
}

void pool_core::drop_late(time_point now, actions& out) {
  for (auto* urgent = queue_.most_urgent(); urgent != nullptr && urgent->until.passed(now); urgent = queue_.most_urgent()) {
    const auto held_up_by = cause();
    queue_.remove(*urgent);
    out.refusals.push_back({urgent, pool_errc::timed_out, held_up_by});
  }
}

}  // namespace spillway::detail
