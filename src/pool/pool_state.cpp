// SPDX-License-Identifier: Apache-2.0
#include "pool/pool_state.hpp"

#include "pool/blocked_caller.hpp"
#include "pool/pool_todo.hpp"

#include <algorithm>
#include <stdexcept>

namespace spillway::detail {

namespace {

pool_limits limits_of(const pool_config& config) {
  return {config.max, config.min, config.min_idle, config.overflow, config.max_waiters, config.max_connecting, config.idle_timeout,
          config.ping_after_idle, config.keepalive, config.connect_timeout + config.reconnect.cap * 2, config.max_lifetime / 10};
}

/// How often to look for what has been idle, lent or alive for too long: a quarter of these times, and half of the grace that follows a lifetime.
std::chrono::nanoseconds sweep_period_of(const pool_config& config) {
  std::chrono::milliseconds shortest{0};
  for (const auto each : {config.idle_timeout / 4, config.max_lifetime / 20, config.keepalive / 4, config.leak_after / 4}) {
    if (each.count() != 0 && (shortest.count() == 0 || each < shortest)) shortest = each;
  }
  constexpr std::chrono::milliseconds least{5};
  constexpr std::chrono::milliseconds most{30'000};
  return shortest.count() == 0 ? shortest : std::clamp(shortest, least, most);
}

const pool_config& validated(const pool_config& config) {
  if (const auto valid = validate(config); !valid) throw std::invalid_argument(valid.error());
  return config;
}

}  // namespace

erased_connector::~erased_connector() = default;
async_waiter::~async_waiter() = default;

pool_state::pool_state(const pool_config& config, std::unique_ptr<erased_connector> connector, const boost::asio::any_io_executor& timers,
                       const boost::asio::any_io_executor& fallback)
    : clock_{validated(config).clock != nullptr ? *config.clock : system_clock_source()},
      connector_{std::move(connector)},
      own_time_{config.clock == nullptr},
      ticks_{clock_, own_time_},
      ping_after_idle_{config.ping_after_idle.count() == 0 ? 0 : ticks_.after(0, config.ping_after_idle)},
      config_{config},
      core_{limits_of(config)},
      backoff_{config.reconnect},
      random_{std::random_device{}()},
      timer_{std::in_place, timers},
      executor_{fallback},
      sweep_period_{sweep_period_of(config)} {}

pool_state::~pool_state() {
  if (!config_.budget) return;
  for (auto left = attempts_.size() + pinged_resources(); left > 0; --left) config_.budget->give_back();  // for what never ended
}

// ---- Without the lock --------------------------------------------------------------------------------------------------------------

pool_slot* pool_state::take_parked(const acquire_options& options) noexcept {
  if (gate_.load(std::memory_order_acquire) != 0) return nullptr;
  auto& place = my_place();
  auto word = place.word.load(std::memory_order_relaxed);
  if (word == 0 || (word & parking_place::offered) != 0) return nullptr;
  if (!place.word.compare_exchange_strong(word, 0, std::memory_order_acquire, std::memory_order_relaxed)) return nullptr;
  auto& slot = *reinterpret_cast<pool_slot*>(word);
  const auto at = ticks_.now();
  // What is not fit goes back for the core to decide.
  const bool fit = is_fit(slot, at);
  if (fit && connector_->is_reusable(slot.resource)) {
    lend(slot, options, this_thread_number(), at);
    slot.count_unwaited();
    return &slot;
  }
  if (fit) pings_failed_.fetch_add(1, std::memory_order_relaxed);
  give_back_to_core(slot, !fit);
  return nullptr;
}

bool pool_state::is_fit(const pool_slot& slot, tick_source::ticks at) const noexcept {
  return slot.generation == generation_.load(std::memory_order_relaxed) && at < slot.expires_at &&
         (ping_after_idle_ == 0 || at - slot.returned_at < ping_after_idle_);
}

void pool_state::lend(pool_slot& slot, const acquire_options& options, std::uint64_t asked_by, tick_source::ticks at) noexcept {
  slot.where.store(options.where, std::memory_order_relaxed);
  slot.label.store(options.label, std::memory_order_relaxed);
  slot.asked_by.store(asked_by, std::memory_order_relaxed);
  slot.lent_at.store(at, std::memory_order_relaxed);
}

void pool_state::give_back(pool_slot& slot, bool keep) noexcept {
  const bool clean = keep && connector_->reset(slot.resource);
  const auto at = ticks_.now();
  end_loan(slot, at);
  if (clean && gate_.load(std::memory_order_relaxed) == 0 && slot.generation == generation_.load(std::memory_order_relaxed) &&
      at < slot.expires_at) {
    auto& word = my_place().word;
    const auto parked = reinterpret_cast<std::uintptr_t>(&slot);
    std::uintptr_t empty{0};
    if (word.load(std::memory_order_relaxed) == 0 && word.compare_exchange_strong(empty, parked | parking_place::offered, std::memory_order_seq_cst)) {
      const bool stays = gate_.load(std::memory_order_seq_cst) == 0;
      word.store(stays ? parked : 0, std::memory_order_release);
      if (stays) return;  // and nothing of the pool is touched any more
    }
  }
  give_back_to_core(slot, clean);
}

bool pool_state::hand_over(pool_slot& slot) noexcept {
  // Whoever joins the queue after this look is served by what comes next, as if the resource had stayed out a little longer.
  if (gate_.load(std::memory_order_acquire) == 0) return false;
  lock held{mutex_};
  const auto at = now();
  pool_core::actions decided;
  const bool given = core_.hand_over(slot.id, at, decided);
  if (given) end_loan(slot, ticks_.now());  // before the next begins
  carry_out(held, decided, at);
  return given;
}

void pool_state::end_loan(pool_slot& slot, tick_source::ticks at) noexcept {
  slot.count_loan(ticks_.between(slot.lent_at.load(std::memory_order_relaxed), at));
  slot.lent_at.store(pool_slot::not_lent, std::memory_order_relaxed);
  slot.leak_told.store(false, std::memory_order_relaxed);
  slot.returned_at = at;
}

void pool_state::give_back_to_core(pool_slot& slot, bool keep) noexcept {
  lock held{mutex_};
  const auto at = now();
  pool_core::actions decided;
  core_.give_back(slot.id, returned_at(slot, at), keep, decided);
  carry_out(held, decided, at);
}

time_point pool_state::returned_at(const pool_slot& slot, time_point at) const noexcept { return at - ticks_.between(slot.returned_at, ticks_.now()); }

std::chrono::nanoseconds pool_state::lent_for(const pool_slot& slot) const noexcept {
  return ticks_.between(slot.lent_at.load(std::memory_order_relaxed), ticks_.now());
}

// ---- Asking ------------------------------------------------------------------------------------------------------------------------

deadline pool_state::deadline_of(const acquire_options& options, time_point at) const noexcept {
  if (options.timeout) return options.until.sooner(deadline::after(at, *options.timeout));
  return options.until.is_never() ? deadline::after(at, config_.acquire_timeout) : options.until;
}

/// What is idle, after a look at it. Without success the lock is held still, and `decided` is to be carried out.
pool_slot* pool_state::take_idle(lock& held, pool_core::actions& decided, const acquire_options& options, time_point at) {
  for (;;) {
    collect_parked(at, decided);
    const auto id = core_.take(at, options.priority == pool_priority::critical, decided);
    if (!id) return nullptr;
    auto& slot = slots_[*id];
    carry_out(held, decided, at);
    if (connector_->is_reusable(slot.resource)) {
      lend(slot, options, this_thread_number(), ticks_.now());
      slot.count_unwaited();
      return &slot;
    }
    pings_failed_.fetch_add(1, std::memory_order_relaxed);
    slot.returned_at = ticks_.now();
    give_back_to_core(slot, false);
    held.lock();
  }
}

pool_slot* pool_state::try_take(const acquire_options& options, pool_errc& why) {
  if (auto* const slot = take_parked(options)) return slot;
  const auto at = now();
  lock held{mutex_};
  pool_core::actions decided;
  if (auto* const slot = take_idle(held, decided, options, at)) return slot;
  why = core_.is_draining() ? pool_errc::shutting_down : core_.is_down(at) && core_.live() == 0 ? pool_errc::backend_down : pool_errc::exhausted;
  if (why != pool_errc::shutting_down) core_.missed(at, decided);
  count_refusal(why, pool_wait_cause::none);
  carry_out(held, decided, at);
  return nullptr;
}

/// Nobody works for a request whose time is over, even if something is free.
bool pool_state::is_late(const acquire_options& options) const noexcept {
  return (options.timeout && options.timeout->count() <= 0) || (!options.until.is_never() && options.until.passed(now()));
}

result<pool_slot*, pool_error> pool_state::take(const acquire_options& options) {
  const auto self = shared_from_this();  // who is refused because the pool ends must not find it gone
  const auto began = now();
  blocked_caller caller{options};
  {
    lock held{mutex_};
    pool_core::actions decided;
    if (auto* const slot = is_late(options) ? nullptr : take_idle(held, decided, options, began)) return slot;
    if (const auto why = enqueue(caller, began, decided)) {
      auto error = refusal(*why, began);
      carry_out(held, decided, began);
      return error;
    }
    carry_out(held, decided, began);
  }
  // Under a clock that is not the system's, `tick` says when it is too late.
  if (!caller.wait_until(own_time_ ? caller.until : deadline::never())) {
    lock held{mutex_};
    const auto at = now();
    pool_core::actions decided;
    if (core_.leave(caller, at, decided)) {
      auto error = timed_out(core_.cause(), caller, at);
      carry_out(held, decided, at);
      return error;
    }
    held.unlock();
    caller.wait_until(deadline::never());  // the answer is on its way
  }
  if (caller.slot == nullptr) return std::move(caller.refusal);
  return caller.slot;
}

void pool_state::take_for(std::shared_ptr<async_waiter> waiter, const acquire_options& options, boost::asio::cancellation_slot slot) {
  const auto at = now();
  auto caller = new_async_caller(options);
  if (slot.is_connected()) {
    slot.assign([weak = weak_from_this(), asked = caller.get(), turn = caller->turn](boost::asio::cancellation_type type) {
      if (type == boost::asio::cancellation_type::none) return;
      if (const auto state = weak.lock()) state->cancel(*asked, turn);
    });
  }
  caller->waiter = std::move(waiter);
  lock held{mutex_};
  pool_core::actions decided;
  auto* const taken = caller->gave_up || is_late(options) ? nullptr : take_idle(held, decided, options, at);
  if (taken != nullptr) {
    caller.release()->answer(taken, {});
    return;
  }
  auto why = caller->gave_up ? std::optional{pool_errc::cancelled} : enqueue(*caller, at, decided);
  auto error = why ? refusal(*why, at) : pool_error{};
  auto* const queued = caller.release();
  carry_out(held, decided, at);
  if (why) queued->answer(nullptr, std::move(error));
}

/// Joins the queue. None if it did; else why not.
std::optional<pool_errc> pool_state::enqueue(queued_caller& caller, time_point at, pool_core::actions& decided) {
  caller.until = deadline_of(caller.options, at);
  caller.critical = caller.options.priority == pool_priority::critical;
  if (const auto joined = core_.join(caller, at, decided); !joined) return joined.error();
  raise_gate();
  collect_parked(at, decided);
  return std::nullopt;
}

std::unique_ptr<pool_state::async_caller> pool_state::new_async_caller(const acquire_options& options) {
  const lock held{mutex_};
  std::unique_ptr<async_caller> caller;
  if (spare_callers_.empty()) {
    caller = std::make_unique<async_caller>(*this, options);
  } else {
    caller = std::move(spare_callers_.back());
    spare_callers_.pop_back();
    caller->options = options;
    caller->asked_by = this_thread_number();
    caller->gave_up = false;
  }
  caller->turn = next_turn_++;
  return caller;
}

void pool_state::recycle(std::unique_ptr<async_caller> caller) {
  const lock held{mutex_};
  caller->turn = 0;
  spare_callers_.push_back(std::move(caller));
}

void pool_state::cancel(async_caller& caller, std::uint64_t turn) {
  lock held{mutex_};
  if (caller.turn != turn) return;
  caller.gave_up = true;
  const auto at = now();
  pool_core::actions decided;
  if (!core_.leave(caller, at, decided)) return;
  auto error = refusal(pool_errc::cancelled, at);
  carry_out(held, decided, at);
  caller.answer(nullptr, std::move(error));
}

// ---- What the connector reports ----------------------------------------------------------------------------------------------------

void pool_state::opened(std::uint64_t attempt_id, void* resource) {
  lock held{mutex_};
  const auto found = attempts_.extract(attempt_id);
  if (found.empty()) {  // given up for good
    --forgotten_;
    held.unlock();
    connector_->close(resource);
    return;
  }
  const auto& tried = found.mapped();
  const auto at = now();
  auto expires_at = time_point::max();  // never
  if (config_.max_lifetime.count() != 0) {
    const auto jitter = std::uniform_real_distribution<double>{0.0, config_.lifetime_jitter_ratio}(random_);
    expires_at = at + std::chrono::duration_cast<std::chrono::nanoseconds>(config_.max_lifetime * (1.0 - jitter));
  }
  pool_core::actions decided;
  const bool stale = tried.generation != generation_.load(std::memory_order_relaxed);
  const auto id = core_.opened(at, expires_at, at - tried.began, tried.lost, stale, decided);
  while (slots_.size() <= id) slots_.emplace_back(*this);
  auto& slot = slots_[id];
  slot.id = id;
  slot.resource = resource;
  slot.generation = tried.generation;
  slot.returned_at = ticks_.now();
  slot.expires_at = ticks_.after(slot.returned_at, expires_at - at);
  slot.lent_at.store(pool_slot::not_lent, std::memory_order_relaxed);
  ++opened_;
  open_.record(at - tried.began);
  backoff_.reset();
  const bool was_down = std::exchange(told_down_, false);
  todo told;
  if (was_down) told.notes.push_back({log_level::info, "opening works again", {}});
  carry_out(held, decided, at, std::move(told));
}

void pool_state::open_failed(std::uint64_t attempt_id, error_code reason, std::string text) {
  lock held{mutex_};
  const auto tried = attempts_.extract(attempt_id);
  if (tried.empty()) {
    --forgotten_;
    return;
  }
  const auto at = now();
  return_leave();
  pool_core::actions decided;
  todo told;
  const auto words = text.empty() ? reason.message() : text;
  if (!tried.mapped().lost && note_failure(reason, std::move(text))) note_down(told, words);
  core_.open_failed(at, next_try(at), tried.mapped().lost, decided);
  carry_out(held, decided, at, std::move(told));
}

void pool_state::pinged(std::uint64_t number, bool alive) {
  lock held{mutex_};
  const auto found = std::ranges::find(pings_, number, &ping::number);
  const auto ended = *found;
  pings_.erase(found);
  const auto at = now();
  if (!alive) pings_failed_.fetch_add(1, std::memory_order_relaxed);
  pool_core::actions decided;
  if (ended.slot == nullptr) {  // given up for good
    --forgotten_;
    held.unlock();
    connector_->close(ended.resource);
    return;
  }
  if (ended.lost) decided.close.push_back(ended.slot->id);  // the core knows it as closing already
  else core_.pinged(ended.slot->id, at, alive, decided);
  carry_out(held, decided, at);
}

}  // namespace spillway::detail
