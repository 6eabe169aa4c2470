// SPDX-License-Identifier: Apache-2.0
// What a pool does once it knows what is to be done, and what it tells about itself.
#include "pool/pool_todo.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <future>
#include <thread>

namespace spillway::detail {

using namespace std::chrono_literals;

namespace {

std::string seconds_text(std::chrono::nanoseconds duration) { return fmt::format("{:.3f}", std::chrono::duration<double>{duration}.count()); }

}  // namespace

// ---- Carrying out ------------------------------------------------------------------------------------------------------------------

void pool_state::carry_out(lock& held, pool_core::actions& decided, time_point at) { carry_out(held, decided, at, {}); }

/// `list`: what is to be told besides.
void pool_state::carry_out(lock& held, pool_core::actions& decided, time_point at, todo list) {
  for (;;) {
    prepare(decided, at, list);
    decided.clear();
    raise_gate();
    check_milestones(at, list);
    arm_timer(at);
    // Abandoned, and the last resource is gone: the last owner is this call. Else a grant may be used, given back and the pool destroyed before
    // what follows the grants is done.
    const bool is_last = self_ && !is_needed();
    const auto kept = is_last ? std::move(self_) : list.only_grants() ? std::shared_ptr<pool_state>{} : shared_from_this();
    held.unlock();
    carry_out_unlocked(list);
    if (list.closes.empty()) return;
    held.lock();
    for (auto* const slot : list.closes) {
      ++closed_;
      return_leave();
      core_.closed(slot->id, at, decided);
    }
    list = {};
  }
}

void pool_state::carry_out_unlocked(todo& list) {
  for (const auto& [caller, slot] : list.grants) caller->answer(slot, {});
  for (auto& [caller, why] : list.refusals) caller->answer(nullptr, std::move(why));
  for (const auto& [id, until] : list.opens) {
    connector_->open(open_ticket{weak_from_this(), id, until});
  }
  for (const auto& each : list.pings) {
    try {
      connector_->ping(each.resource, ping_ticket{weak_from_this(), each.number, each.until});
    } catch (...) {  // as above
    }
  }
  for (const auto& line : list.notes) tell(line);
  for (auto& [reached, what] : list.milestones) reached.tell(std::move(what));
  // Last: these may take their time.
  for (auto* const slot : list.closes) connector_->close(std::exchange(slot->resource, nullptr));
}

void pool_state::prepare(pool_core::actions& decided, time_point at, todo& list) {
  for (const auto& given : decided.grants) {
    auto& caller = static_cast<queued_caller&>(*given.waiter);
    auto& slot = slots_[given.resource];
    lend(slot, caller.options, caller.asked_by, ticks_.now());
    const auto waited = at - caller.since;
    wait_.record(waited);
    if (config_.slow_acquire.count() != 0 && waited >= config_.slow_acquire) {
      list.notes.push_back({log_level::warning, "slow acquire",
                            {{"waited_s", seconds_text(waited)}, {"label", caller.options.label},
                             {"where", fmt::format("{}:{}", caller.options.where.file_name(), caller.options.where.line())}}});
    }
    list.grants.emplace_back(&caller, &slot);
  }
  for (const auto& refused : decided.refusals) {
    auto& caller = static_cast<queued_caller&>(*refused.waiter);
    list.refusals.emplace_back(&caller, refused.why == pool_errc::timed_out ? timed_out(refused.cause, caller, at) : refusal(refused.why, at));
  }
  for (const auto id : decided.close) {
    // A ping that is late still has the resource; it is closed when that ends.
    const bool in_use = std::ranges::any_of(pings_, [&](const ping& each) { return each.slot == &slots_[id]; });
    if (!in_use) list.closes.push_back(&slots_[id]);
  }
  for (const auto id : decided.ping) {
    const auto until = deadline::after(at, config_.ping_timeout);
    pings_.push_back({next_ping_++, &slots_[id], slots_[id].resource, until});
    list.pings.push_back(pings_.back());
  }
  prepare_openings(decided, at, list);
}

void pool_state::prepare_openings(pool_core::actions& decided, time_point at, todo& list) {
  for (; decided.open > 0; --decided.open) {
    if (config_.budget && !config_.budget->try_take()) {
      core_.open_deferred(at, decided.open, at + 100ms);
      break;
    }
    const auto id = next_attempt_++;
    const auto until = deadline::after(at, config_.connect_timeout);
    attempts_.emplace(id, attempt{at, until, generation_.load(std::memory_order_relaxed)});
    list.opens.emplace_back(id, until);
  }
}

/// Before the core hears that the place of a resource is free.
void pool_state::return_leave() {
  if (!config_.budget) return;
  config_.budget->give_back();
  core_.leave_returned();
}

void pool_state::collect_parked(time_point at, pool_core::actions& out) {
  for (auto& place : places_) {
    auto word = place.word.load(std::memory_order_seq_cst);
    // Offered: its thread is between two instructions, and will park it or take it back.
    while ((word & parking_place::offered) != 0) {
      std::this_thread::yield();
      word = place.word.load(std::memory_order_seq_cst);
    }
    if (word == 0 || !place.word.compare_exchange_strong(word, 0, std::memory_order_acquire)) continue;
    const auto& slot = *reinterpret_cast<pool_slot*>(word);
    core_.give_back(slot.id, returned_at(slot, at), slot.generation == generation_.load(std::memory_order_relaxed), out);
  }
}

void pool_state::raise_gate() {
  // Nobody parks what is to be closed.
  const bool closing = core_.is_draining() || core_.live() > core_.limits().max;
  const auto up = core_.waiting() + (closing ? 1U : 0U);
  if (gate_.load(std::memory_order_relaxed) != up) gate_.store(up, std::memory_order_seq_cst);
}

// ---- What is due -------------------------------------------------------------------------------------------------------------------

void pool_state::tick() {
  lock held{mutex_};
  armed_ = time_point::max();
  const auto at = now();
  pool_core::actions decided;
  todo found;
  collect_parked(at, decided);
  lose_late_work(at, decided, found);
  core_.tick(at, decided);
  if (at >= next_sweep_) {
    next_sweep_ = at + sweep_period_;
    find_leaks(found);
  }
  carry_out(held, decided, at, std::move(found));
}

/// Openings and pings that did not keep to their deadline. What they still bring is dealt with when it comes. After as long again they no longer
/// count, so that a connector that hangs takes nobody's place for ever; but there are never more than `max` of those.
void pool_state::lose_late_work(time_point at, pool_core::actions& out, todo& list) {
  const auto for_good = [&](deadline until, std::chrono::milliseconds timeout) { return at >= until.at() + timeout && forgotten_ < config_.max; };
  for (auto next = attempts_.begin(); next != attempts_.end();) {
    auto& [id, tried] = *next++;
    if (!tried.lost && tried.until.passed(at)) {
      tried.lost = true;
      const std::string why{"no answer in time"};
      if (note_failure(make_error_code(boost::system::errc::timed_out), why)) note_down(list, why);
      core_.open_lost(at, next_try(at), out);
    } else if (tried.lost && for_good(tried.until, config_.connect_timeout)) {
      ++forgotten_;
      return_leave();
      core_.open_forgotten(at, out);
      attempts_.erase(id);
    }
  }
  for (auto& each : pings_) {
    if (!each.lost && each.until.passed(at)) {
      each.lost = true;
      core_.pinged(each.slot->id, at, false, out);
    } else if (each.lost && each.slot != nullptr && for_good(each.until, config_.ping_timeout)) {
      ++forgotten_;
      ++closed_;
      return_leave();
      each.slot->resource = nullptr;
      core_.closed(std::exchange(each.slot, nullptr)->id, at, out);
    }
  }
}

void pool_state::find_leaks(todo& list) {
  if (config_.leak_after.count() == 0) return;
  for (auto& slot : slots_) {
    const auto since = slot.lent_at.load(std::memory_order_relaxed);
    if (since == pool_slot::not_lent || slot.leak_told.load(std::memory_order_relaxed)) continue;
    const auto age = ticks_.between(since, ticks_.now());
    if (age < config_.leak_after) continue;
    const auto where = slot.where.load(std::memory_order_relaxed);
    const auto* const label = slot.label.load(std::memory_order_relaxed);
    if (slot.lent_at.load(std::memory_order_relaxed) != since) continue;  // it came back, and what was read may be another's
    slot.leak_told.store(true, std::memory_order_relaxed);
    ++leaks_;
    list.notes.push_back({log_level::warning, "lent for too long",
                          {{"where", fmt::format("{}:{}", where.file_name(), where.line())}, {"function", where.function_name()}, {"label", label},
                           {"age_s", seconds_text(age)}}});
  }
}

/// Pings that were given up for good have no slot any more: their resources do not count.
std::size_t pool_state::pinged_resources() const noexcept {
  return static_cast<std::size_t>(std::ranges::count_if(pings_, [](const ping& each) { return each.slot != nullptr; }));
}

void pool_state::arm_timer(time_point at) {
  auto wake = core_.next_wake(at).value_or(time_point::max());
  const auto late_at = [](bool lost, deadline until, std::chrono::milliseconds timeout) { return lost ? until.at() + timeout : until.at(); };
  const bool may_forget = forgotten_ < config_.max;
  for (const auto& [id, tried] : attempts_) {
    if (!tried.lost || may_forget) wake = std::min(wake, late_at(tried.lost, tried.until, config_.connect_timeout));
  }
  for (const auto& each : pings_) {
    if (each.slot != nullptr && (!each.lost || may_forget)) wake = std::min(wake, late_at(each.lost, each.until, config_.ping_timeout));
  }
  for (const auto& each : milestones_) wake = std::min(wake, each.until.at());
  if (sweep_period_.count() != 0 && core_.live() > 0) {
    if (next_sweep_ <= at) next_sweep_ = at + sweep_period_;
    wake = std::min(wake, next_sweep_);
  }
  if (!own_time_ || !timer_ || wake >= armed_) return;
  armed_ = wake;
  timer_->expires_at(wake);
  timer_->async_wait([weak = weak_from_this()](const error_code& failure) {
    if (failure) return;
    if (const auto state = weak.lock()) state->tick();
  });
}

void pool_state::check_milestones(time_point at, todo& list) {
  std::erase_if(milestones_, [&](milestone& each) {
    std::optional<result<void, pool_error>> what;
    if (each.drained) {
      if (core_.total() == 0) what.emplace();
    } else if (core_.is_draining()) {
      what = pool_error{pool_errc::shutting_down};
    } else if (core_.live() >= core_.limits().min && core_.idle() + core_.lent() >= std::max(core_.limits().min, core_.limits().min_idle)) {
      what.emplace();
    } else if (core_.is_down(at) && open_failures_ > each.failures) {
      what = explain(pool_errc::backend_down, pool_wait_cause::backend, 0ns, at);
    }
    if (!what && each.until.passed(at)) what = explain(pool_errc::timed_out, core_.cause(), 0ns, at);
    if (what) list.milestones.emplace_back(std::move(each), std::move(*what));
    return what.has_value();
  });
}

void pool_state::start_milestone(bool drained, std::chrono::nanoseconds timeout, pool_milestone_handler handler) {
  namespace asio = boost::asio;
  const auto executor = asio::get_associated_executor(handler, asio::any_completion_executor{executor_});
  const auto work = asio::prefer(executor, asio::execution::outstanding_work.tracked);
  auto tell = [work, fallback = executor_, waiting = std::make_shared<pool_milestone_handler>(std::move(handler))](result<void, pool_error> what) {
    auto call = [called = std::move(*waiting), what = std::move(what)]() mutable { std::move(called)(std::move(what)); };
    // By way of ours, as the erased executor cannot be posted to, and this may be inside the initiating function.
    asio::post(fallback, [work, call = std::move(call)]() mutable { asio::dispatch(work, std::move(call)); });
  };
  add_milestone({drained, deadline::after(now(), timeout), std::move(tell)});
}

result<void, pool_error> pool_state::await_milestone(bool drained, std::chrono::nanoseconds timeout) {
  const auto until = deadline::after(now(), timeout);
  auto told = std::make_shared<std::promise<result<void, pool_error>>>();
  auto answer = told->get_future();
  add_milestone({drained, until, [told](result<void, pool_error> what) { told->set_value(std::move(what)); }});
  // The timer may be on this very thread. Under a clock that is not the system's, its owner calls `tick`.
  if (own_time_ && !until.is_never() && answer.wait_until(until.at()) != std::future_status::ready) tick();
  return answer.get();
}

void pool_state::add_milestone(milestone added) {
  lock held{mutex_};
  const auto at = now();
  pool_core::actions decided;
  added.failures = open_failures_;
  milestones_.push_back(std::move(added));
  if (milestones_.back().drained && !core_.is_draining()) {
    core_.drain(at, decided);
    raise_gate();
    collect_parked(at, decided);
  }
  carry_out(held, decided, at);
}

result<void, std::string> pool_state::resize(std::size_t min, std::size_t max) {
  lock held{mutex_};
  auto wanted = config_;
  wanted.min = min;
  wanted.max = max;
  wanted.min_idle = std::min(wanted.min_idle, max);
  if (const auto valid = validate(wanted); !valid) return valid.error();
  // Nothing else of it: name and log sink are read without the lock.
  config_.min = wanted.min;
  config_.max = wanted.max;
  config_.min_idle = wanted.min_idle;
  auto limits = core_.limits();
  limits.min = min;
  limits.max = max;
  limits.min_idle = config_.min_idle;
  const auto at = now();
  pool_core::actions decided;
  collect_parked(at, decided);
  core_.change(limits, at, decided);
  carry_out(held, decided, at);
  return {};
}

void pool_state::invalidate() {
  lock held{mutex_};
  const auto at = now();
  pool_core::actions decided;
  generation_.fetch_add(1, std::memory_order_relaxed);
  collect_parked(at, decided);
  core_.invalidate(at, decided);
  carry_out(held, decided, at);
}

void pool_state::abandon() {
  lock held{mutex_};
  const auto at = now();
  pool_core::actions decided;
  core_.drain(at, decided);
  raise_gate();
  collect_parked(at, decided);
  if (is_needed()) self_ = shared_from_this();
  // Its executor may end with the handle.
  timer_.reset();
  todo last;
  end_milestones(last, at);
  carry_out(held, decided, at, std::move(last));
}

/// Nobody will look at them again.
void pool_state::end_milestones(todo& list, time_point at) {
  for (auto& each : std::exchange(milestones_, {})) {
    if (each.drained && core_.total() == 0) list.milestones.emplace_back(std::move(each), result<void, pool_error>{});
    else list.milestones.emplace_back(std::move(each), explain(pool_errc::shutting_down, core_.cause(), 0ns, at));
  }
}

// ---- Telling -----------------------------------------------------------------------------------------------------------------------

void pool_state::tell(const note& line) const {
  if (!config_.log) return;
  std::vector<log_field> fields{{"pool", config_.name}};
  for (const auto& [name, value] : line.fields) fields.push_back({name, value});
  config_.log(log_event{line.level, "pool", line.message, fields});
}

/// True if the backend was up until now.
bool pool_state::note_failure(error_code reason, std::string text) {
  ++open_failures_;
  down_reason_ = reason;
  down_text_ = std::move(text);
  return !std::exchange(told_down_, true);
}

void pool_state::note_down(todo& list, const std::string& why) {
  list.notes.push_back({log_level::warning, "opening failed", {{"reason", why}}});
}

void pool_state::count_refusal(pool_errc why, pool_wait_cause cause) {
  ++refused_[static_cast<std::size_t>(why)];
  if (why == pool_errc::timed_out) ++timeouts_[static_cast<std::size_t>(cause)];
}

pool_error pool_state::refusal(pool_errc why, time_point at) {
  count_refusal(why, why == pool_errc::timed_out ? core_.cause() : pool_wait_cause::none);
  if (why == pool_errc::timed_out) return explain(why, core_.cause(), 0ns, at);
  if (why == pool_errc::backend_down) return explain(why, pool_wait_cause::backend, 0ns, at);
  return why;
}

pool_error pool_state::timed_out(pool_wait_cause cause, const queued_caller& caller, time_point at) {
  const auto is_lent_to_caller = [&](const pool_slot& slot) {
    return slot.lent_at.load(std::memory_order_relaxed) != pool_slot::not_lent && slot.asked_by.load(std::memory_order_relaxed) == caller.asked_by;
  };
  const auto leaks = [&](const pool_slot& slot) {
    const auto since = slot.lent_at.load(std::memory_order_relaxed);
    return since != pool_slot::not_lent && ticks_.between(since, ticks_.now()) >= config_.leak_after;
  };
  if (cause == pool_wait_cause::queue) {
    // A thread that blocks gives nothing back meanwhile, unless it has passed its lease on to another.
    if (caller.blocks && std::ranges::any_of(slots_, is_lent_to_caller)) cause = pool_wait_cause::nested;
    else if (config_.leak_after.count() != 0 && std::ranges::any_of(slots_, leaks)) cause = pool_wait_cause::leak;
  }
  count_refusal(pool_errc::timed_out, cause);
  return explain(pool_errc::timed_out, cause, at - caller.since, at);
}

pool_error pool_state::explain(pool_errc why, pool_wait_cause cause, std::chrono::nanoseconds waited, time_point at) {
  pool_error::details more;
  more.cause = cause;
  more.waited = waited;
  more.lent = core_.lent();
  more.open = core_.live();
  more.opening = core_.opening();
  more.lost = core_.lost();
  more.most = core_.limits().max;
  more.waiting = core_.waiting();
  if (core_.is_down(at)) {
    more.reason = down_reason_;
    more.reason_text = down_text_;
    more.next_try = std::max<std::chrono::nanoseconds>(*core_.next_try() - at, 0ns);
  }
  more.holders = longest_holders(pool_error::most_holders);
  return {why, std::move(more)};
}

std::vector<pool_holder> pool_state::longest_holders(std::size_t most) {
  std::vector<pool_holder> found;
  for (const auto& slot : slots_) {
    const auto since = slot.lent_at.load(std::memory_order_relaxed);
    if (since == pool_slot::not_lent) continue;
    found.push_back({slot.where.load(std::memory_order_relaxed), slot.label.load(std::memory_order_relaxed), ticks_.between(since, ticks_.now())});
  }
  std::ranges::sort(found, std::ranges::greater{}, &pool_holder::age);
  if (found.size() > most) found.resize(most);
  return found;
}

std::vector<pool_holder> pool_state::holders() {
  const lock held{mutex_};
  return longest_holders(slots_.size());
}

pool_stats pool_state::stats() {
  std::vector<const pool_slot*> slots;
  auto stats = counts(slots);
  // Without the lock: slots are never destroyed, and what is read of them is atomic.
  stats.pings_failed = pings_failed_.load(std::memory_order_relaxed);
  stats.wait = wait_.snapshot();
  stats.open = open_.snapshot();
  stats.hold.counts.resize(latency_histogram::bucket_count);
  for (const auto* slot : slots) {
    const auto unwaited = slot->unwaited.load(std::memory_order_relaxed);
    stats.wait.counts[0] += unwaited;
    stats.wait.count += unwaited;
    for (std::size_t b = 0; b < stats.hold.counts.size(); ++b) {
      const auto count = slot->holds[b].load(std::memory_order_relaxed);
      stats.hold.counts[b] += count;
      stats.hold.count += count;
    }
    stats.hold.sum += std::chrono::nanoseconds{slot->held_ns.load(std::memory_order_relaxed)};
  }
  return stats;
}

pool_stats pool_state::counts(std::vector<const pool_slot*>& slots) {
  const lock held{mutex_};
  for (const auto& slot : slots_) slots.push_back(&slot);
  pool_stats stats;
  std::size_t parked{0};
  for (const auto& place : places_) parked += place.word.load(std::memory_order_relaxed) != 0 ? 1U : 0U;
  parked = std::min(parked, core_.lent());
  stats.lent = core_.lent() - parked;
  stats.idle = core_.idle() + parked;
  stats.opening = core_.opening();
  stats.closing = core_.closing();
  stats.pinging = core_.pinging();
  stats.waiting = core_.waiting();
  stats.min = core_.limits().min;
  stats.max = core_.limits().max;
  stats.overflow = core_.limits().overflow;
  stats.down = core_.is_down(now());
  stats.lost = core_.lost();
  stats.opened = opened_;
  stats.open_failures = open_failures_;
  stats.closed = closed_;
  stats.leaks = leaks_;
  stats.refused = refused_;
  stats.timeouts = timeouts_;
  return stats;
}

}  // namespace spillway::detail
