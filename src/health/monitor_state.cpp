// SPDX-License-Identifier: Apache-2.0
#include "health/monitor_state.hpp"

#include "health/check_run.hpp"
#include "health/health_rollup.hpp"
#include "health/message_text.hpp"
#include "health/monitor_driver.hpp"

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <stdexcept>
#include <utility>

namespace spillway::detail {

namespace {

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

/// Runs code of the user, whatever it throws.
template <class Ask>
health_result contained(Ask ask) {
  try {
    return ask();
  } catch (const std::exception& thrown) {
    return health_result::failed(std::string{"threw: "} + thrown.what());
  } catch (...) {
    return health_result::failed("threw something that is no std::exception");
  }
}

}  // namespace

heartbeat_cell::heartbeat_cell(std::string of, liveness_rule by, boost::asio::any_io_executor on, const clock_source& time)
    : name{std::move(of)}, rule{by}, loop{std::move(on)}, clock{time}, last_ns{time.now().time_since_epoch().count()} {}

void heartbeat_cell::beat() noexcept { last_ns.store(clock.now().time_since_epoch().count(), std::memory_order_relaxed); }

loop_heartbeat heartbeat_cell::read(time_point now, std::chrono::nanoseconds allowed_age) const noexcept {
  const std::chrono::nanoseconds last{last_ns.load(std::memory_order_relaxed)};
  return {std::max(now.time_since_epoch() - last, std::chrono::nanoseconds{0}), lag, allowed_age};
}

monitor_state::monitor_state(health_monitor_config config, const clock_source& clock)
    : config_{std::move(config)}, clock_{clock}, threads_{config_.max_threads}, generator_{config_.jitter_seed.value_or(random_seed())} {}

monitor_state::entry* monitor_state::find(const std::string& name) {
  const auto found = std::find_if(checks_.begin(), checks_.end(), [&name](const entry& one) { return one.config.name == name; });
  return found == checks_.end() ? nullptr : &*found;
}

std::size_t monitor_state::add(const health_check_config& config, question ask) {
  check_config(config, ask.index() == 0 ? check_kind::reporter : check_kind::run);
  const std::scoped_lock lock{mutex_};
  if (find(config.name) != nullptr) {
    throw std::invalid_argument(fmt::format("health_check_config.name is '{}'; it must be unique, and that check is there", config.name));
  }
  if (checks_.size() >= config_.max_checks) {
    throw std::invalid_argument(
        fmt::format("health check '{}' is one too many; health_monitor_config.max_checks is {}", config.name, config_.max_checks));
  }
  checks_.emplace_back(config, std::move(ask)).changed_at = clock_.wall_now();
  nudge();
  return checks_.size() - 1;
}

std::shared_ptr<heartbeat_cell> monitor_state::add_heartbeat(std::string name, boost::asio::any_io_executor loop, liveness_rule rule) {
  auto cell = std::make_shared<heartbeat_cell>(clean_message(std::move(name)), rule, std::move(loop), clock_);
  const std::scoped_lock lock{mutex_};
  if (heartbeats_.size() >= config_.max_checks) {
    throw std::invalid_argument(
        fmt::format("heartbeat '{}' is one too many; health_monitor_config.max_checks is {}", cell->name, config_.max_checks));
  }
  heartbeats_.push_back(cell);
  return cell;
}

error_code monitor_state::begin_driving(std::shared_ptr<monitor_driver> driver, const boost::asio::any_io_executor& executor) {
  const std::scoped_lock lock{mutex_};
  if (stopped_) return health_errc::stopped;
  if (driven_) return health_errc::already_running;
  driven_ = true;
  driver_ = driver;
  begin_judging();
  heartbeats_.push_back(std::make_shared<heartbeat_cell>("health_monitor", beats_in_time, executor, clock_));
  driver->start();
  return {};
}

void monitor_state::nudge() {
  if (stopped_) return;
  if (const auto driver = driver_.lock()) driver->nudge();
}

time_point monitor_state::poll() {
  std::vector<std::stop_source> give_up;
  launches later;
  std::vector<std::size_t> due;
  time_point next{};
  {
    const std::scoped_lock lock{mutex_};
    if (stopped_) return time_point::max();
    const auto now = clock_.now();
    begin_judging();
    ask_loops(now);
    starved_ = false;
    for (std::size_t i = 0; i < checks_.size(); ++i) {
      auto& one = checks_[i];
      if (one.core.tick(now)) {
        one.message = fmt::format("no answer within {} ms", one.config.timeout.count());
        give_up.push_back(one.stop);
        push({news::kind::hangs, one.config.name, {}, {}, one.message});
      }
      show(one, now);
      if (one.ask.index() != 0 && one.core.due(now)) due.push_back(i);
    }
    // Whoever has waited longest comes first, should threads run out.
    std::stable_sort(due.begin(), due.end(), [this](auto a, auto b) { return checks_[a].core.run_at() < checks_[b].core.run_at(); });
    for (const auto i : due) begin_run(i, now, later);
    next = next_wake(now);
    armed_ = next;
    ++in_user_code_;
  }
  for (auto& source : give_up) source.request_stop();
  for (const auto& launch : later) launch();
  leave_user_code();
  deliver();
  return next;
}

std::optional<time_point::duration> monitor_state::time_until(time_point next) const {
  const std::scoped_lock lock{mutex_};
  if (stopped_) return std::nullopt;
  return std::max(next - clock_.now(), time_point::duration{0});
}

void monitor_state::begin_judging() {
  if (judging_) return;
  judging_ = true;
  for (const auto& cell : heartbeats_) {
    if (cell->loop) cell->beat();  // nobody has asked it before
  }
}

void monitor_state::ask_loops(time_point now) {
  for (const auto& cell : heartbeats_) {
    if (!cell->loop || std::exchange(cell->posted, true)) continue;
    boost::asio::post(cell->loop, [self = weak_from_this(), cell, now] {
      if (const auto held = self.lock()) held->loop_ran(*cell, now);
    });
  }
}

void monitor_state::loop_ran(heartbeat_cell& cell, time_point asked) {
  const std::scoped_lock lock{mutex_};
  if (closed_) return;
  cell.lag = clock_.now() - asked;
  cell.beat();
  cell.posted = false;
}

void monitor_state::begin_run(std::size_t index, time_point now, launches& later) {
  auto& one = checks_[index];
  auto run = std::make_shared<check_run>(weak_from_this(), index, one.run + 1);
  std::stop_source stop;
  const health_check_context context{deadline::after(now, one.config.timeout), stop.get_token()};
  if (const auto* blocking = std::get_if<std::shared_ptr<const blocking_health_check>>(&one.ask)) {
    later.push_back([run] {});  // if nobody else keeps the run, it ends, and answers, once the lock is released
    if (!hand_over(run, *blocking, context)) {
      starved_ = true;
      return;
    }
  } else {
    later.push_back([run = std::move(run), check = std::get<std::shared_ptr<const async_health_check>>(one.ask), context] {
      const auto thrown = contained([&] {
        (*check)(context, [run](health_result result) { run->answer(std::move(result)); });
        return health_result::ok();
      });
      if (thrown.state != health_state::ok) run->answer(thrown);
    });
  }
  ++one.run;
  one.stop = std::move(stop);
  one.core.started(now, std::uniform_real_distribution<double>{0.0, 1.0}(generator_));
}

bool monitor_state::hand_over(const std::shared_ptr<check_run>& run, const std::shared_ptr<const blocking_health_check>& check,
                              const health_check_context& context) {
  auto work = [run, check, context] { run->answer(contained([&] { return (*check)(context); })); };
  if (!config_.blocking_executor) {
    if (threads_.try_run(std::move(work))) return true;
    run->forget();
    return false;
  }
  try {
    boost::asio::post(config_.blocking_executor, std::move(work));
    return true;
  } catch (...) {
    run->forget();
    return false;
  }
}

void monitor_state::finished(std::size_t check, std::uint64_t run, health_result result) {
  result.message = clean_message(std::move(result.message));
  {
    const std::scoped_lock lock{mutex_};
    auto& one = checks_[check];
    if (closed_ || one.run != run) return;
    const auto now = clock_.now();
    const bool hung_before = one.core.phase() == run_phase::hung;
    one.duration = now - one.core.run_started();
    if (one.core.finished(result.state, now)) {
      one.message = std::move(result.message);
    } else if (!hung_before) {
      one.message = fmt::format("no answer within {} ms", one.config.timeout.count());
    } else {
      push({news::kind::returned, one.config.name, {}, {}, fmt::format("after {} ms", one.duration / std::chrono::milliseconds{1})});
    }
    show(one, now);
    if (starved_ || one.core.run_at() < armed_) nudge();
  }
  deliver();
}

void monitor_state::reported(std::size_t check, health_result result) {
  result.message = clean_message(std::move(result.message));
  {
    const std::scoped_lock lock{mutex_};
    if (closed_) return;
    const auto now = clock_.now();
    auto& one = checks_[check];
    one.core.reported(result.state, now);
    one.message = std::move(result.message);
    show(one, now);
  }
  deliver();
}

void monitor_state::show(entry& one, time_point now) {
  const auto state = one.core.state(now);
  if (state != one.shown) {
    push({news::kind::changed, one.config.name, one.shown, state, one.message});
    one.shown = state;
    one.changed_at = clock_.wall_now();
  }
}

time_point monitor_state::next_wake(time_point now) const {
  constexpr std::chrono::milliseconds retry{100};  // nobody tells when a thread becomes free
  auto next = now + (starved_ ? std::min(config_.heartbeat_interval, retry) : config_.heartbeat_interval);
  for (const auto& one : checks_) {
    for (const auto at : {one.core.run_at(), one.core.stale_at()}) {
      if (at > now) next = std::min(next, at);  // what is due and could not start waits for a thread, not for a time
    }
  }
  return next;
}

void monitor_state::stop() noexcept {
  std::vector<std::stop_source> give_up;
  {
    const std::scoped_lock lock{mutex_};
    if (stopped_) return;
    stopped_ = true;
    for (const auto& one : checks_) {
      if (one.core.phase() != run_phase::idle) give_up.push_back(one.stop);
    }
    if (const auto driver = driver_.lock()) driver->end();
    ++in_user_code_;
  }
  for (auto& source : give_up) source.request_stop();
  leave_user_code();
}

void monitor_state::shut_down() {
  stop();
  const auto left = threads_.shut_down(config_.shutdown_wait);
  std::string names;
  {
    std::unique_lock lock{mutex_};
    closed_ = true;
    left_user_code_.wait(lock, [this] { return in_user_code_ == 0; });  // all of it must return at once
    for (const auto& one : checks_) {
      if (one.core.phase() == run_phase::idle || one.ask.index() != 1) continue;
      names += names.empty() ? "" : ", ";
      names += one.config.name;
    }
  }
  if (left == 0 || !config_.log) return;
  const std::array<log_field, 1> fields{{{"checks", names}}};
  config_.log({log_level::warning, "health", "checks that did not return were left behind with their threads", fields});
}

void monitor_state::leave_user_code() {
  const std::scoped_lock lock{mutex_};
  if (--in_user_code_ == 0) left_user_code_.notify_all();
}

}  // namespace spillway::detail
