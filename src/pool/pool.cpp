// SPDX-License-Identifier: Apache-2.0
#include <spillway/pool/pool.hpp>

#include "pool/pool_state.hpp"

#include <boost/asio/system_executor.hpp>

#include <atomic>
#include <stdexcept>
#include <thread>

namespace spillway {

namespace detail {

namespace {

io_runner_config timer_thread() {
  io_runner_config config;
  config.threads = 1;
  config.thread_name = "spillway-pool";
  return config;
}

}  // namespace

/// What the copies of a ticket have in common.
class open_answer {
 public:
  open_answer(std::weak_ptr<pool_state> state, std::uint64_t attempt) noexcept : state_{std::move(state)}, attempt_{attempt} {}
  open_answer(const open_answer&) = delete;
  open_answer& operator=(const open_answer&) = delete;
  ~open_answer() { fail(make_error_code(boost::system::errc::operation_canceled), "the connector dropped the request"); }

  bool succeed(void* resource) {
    const auto state = take();
    if (state) state->opened(attempt_, resource);
    return state != nullptr;
  }
  void fail(error_code reason, std::string text) {
    if (const auto state = take()) state->open_failed(attempt_, reason, std::move(text));
  }

 private:
  /// Null if it was answered, or the pool is gone.
  std::shared_ptr<pool_state> take() noexcept { return answered_.exchange(true) ? nullptr : state_.lock(); }

  const std::weak_ptr<pool_state> state_;  // a connector that never answers must not keep its own pool alive
  const std::uint64_t attempt_;
  std::atomic<bool> answered_{false};
};

open_ticket::open_ticket(std::weak_ptr<pool_state> state, std::uint64_t attempt, deadline until)
    : answer_{std::make_shared<open_answer>(std::move(state), attempt)}, until_{until} {}
bool open_ticket::succeed(void* resource) { return answer_->succeed(resource); }
void open_ticket::fail(error_code reason, std::string text) { answer_->fail(reason, std::move(text)); }

ping_ticket::ping_ticket(std::weak_ptr<pool_state> state, std::uint64_t ping, deadline until) noexcept
    : state_{std::move(state)}, ping_{ping}, until_{until} {}
ping_ticket::ping_ticket(ping_ticket&& other) noexcept
    : state_{std::move(other.state_)}, ping_{other.ping_}, until_{other.until_}, end_{std::exchange(other.end_, nullptr)} {}
ping_ticket::~ping_ticket() { done(false); }
void ping_ticket::done(bool alive) {
  const auto end = std::exchange(end_, nullptr);
  if (const auto state = std::exchange(state_, {}).lock()) state->pinged(ping_, alive);
  else if (end) end();
}

pool_slot* try_acquire(pool_state& state, const acquire_options& options, pool_errc& why) { return state.try_take(options, why); }
result<pool_slot*, pool_error> acquire(pool_state& state, const acquire_options& options) { return state.take(options); }
pool_slot* acquire_at_once(pool_state& state, const acquire_options& options) noexcept {
  return state.is_late(options) ? nullptr : state.take_parked(options);
}
void start_acquire(const std::shared_ptr<pool_state>& state, const acquire_options& options, std::shared_ptr<async_waiter> waiter,
                   boost::asio::cancellation_slot slot) {
  state->take_for(std::move(waiter), options, slot);
}
void* resource_of(pool_slot& slot) noexcept { return slot.resource; }
std::chrono::nanoseconds age_of(const pool_slot& slot) noexcept { return slot.owner->age_of(slot); }
void give_back(pool_slot& slot, bool keep) noexcept { slot.owner->give_back(slot, keep); }
bool hand_over(pool_slot& slot) noexcept { return slot.owner->hand_over(slot); }
boost::asio::any_io_executor fallback_executor(pool_state& state) { return state.executor(); }

open_failure failure_of_thrown() noexcept {
  try {
    throw;
  } catch (const boost::system::system_error& failure) {
    return {failure.code(), failure.what()};
  } catch (const std::system_error& failure) {
    return {error_code{failure.code()}, failure.what()};
  } catch (const std::exception& failure) {
    return {make_error_code(boost::system::errc::io_error), failure.what()};
  } catch (...) {
    return {make_error_code(boost::system::errc::io_error), "unknown exception"};
  }
}

void run_on_own_thread(boost::asio::any_completion_handler<void()> work) {
  std::thread{[work = std::move(work)]() mutable { std::move(work)(); }}.detach();
}

}  // namespace detail

pool_base::pool_base(const pool_config& config, std::unique_ptr<detail::erased_connector> connector, const boost::asio::any_io_executor& executor)
    : state_{std::make_shared<detail::pool_state>(config, std::move(connector), executor, executor)} {
  state_->tick();
}

pool_base::pool_base(const pool_config& config, std::unique_ptr<detail::erased_connector> connector)
    : runner_{std::make_unique<io_runner>(detail::timer_thread())},
      state_{std::make_shared<detail::pool_state>(config, std::move(connector), runner_->executor(), boost::asio::system_executor{})} {
  runner_->start();
  state_->tick();
}

pool_base::~pool_base() {
  state_->abandon();
  if (runner_) runner_->stop();
}

void pool_base::start_milestone(bool drained, std::chrono::nanoseconds timeout, detail::pool_milestone_handler handler) {
  state_->start_milestone(drained, timeout, std::move(handler));
}

result<void, pool_error> pool_base::warm_up_for(std::chrono::nanoseconds timeout) { return state_->await_milestone(false, timeout); }
result<void, pool_error> pool_base::drain_for(std::chrono::nanoseconds timeout) { return state_->await_milestone(true, timeout); }

result<void, std::string> pool_base::resize(std::size_t min, std::size_t max) { return state_->resize(min, max); }
void pool_base::invalidate() { state_->invalidate(); }
pool_stats pool_base::stats() const { return state_->stats(); }
std::vector<pool_holder> pool_base::holders() const { return state_->holders(); }
const std::string& pool_base::name() const noexcept { return state_->name(); }
void pool_base::tick() { state_->tick(); }

}  // namespace spillway
