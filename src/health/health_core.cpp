// SPDX-License-Identifier: Apache-2.0
#include "health/health_core.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string_view>

namespace spillway::detail {

namespace {

using std::chrono::milliseconds;

void field(std::string_view name, milliseconds value, milliseconds least, milliseconds most) {
  if (value < least || value > most) {
    throw std::invalid_argument(fmt::format("health_check_config.{} is {} ms; it must be in [{} ms, {} ms]", name, value.count(),
                                            least.count(), most.count()));
  }
}

template <class Number>
void field(std::string_view name, Number value, Number least, Number most) {
  if (!(value >= least && value <= most)) {  // NaN is refused too
    throw std::invalid_argument(fmt::format("health_check_config.{} is {}; it must be in [{}, {}]", name, value, least, most));
  }
}

/// One more, but never back to zero.
void count_up(std::uint32_t& run) noexcept {
  if (run < std::numeric_limits<std::uint32_t>::max()) ++run;
}

}  // namespace

void check_config(const health_check_config& config, check_kind kind) {
  constexpr std::size_t longest_name{64};
  constexpr std::string_view allowed{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"};
  if (config.name.empty() || config.name.size() > longest_name || config.name.find_first_not_of(allowed) != std::string::npos) {
    throw std::invalid_argument(
        fmt::format("health_check_config.name is '{}'; it must be 1 to {} of [A-Za-z0-9_.-]", config.name, longest_name));
  }
  field("interval", config.interval, milliseconds{10}, std::chrono::hours{24});
  field("timeout", config.timeout, milliseconds{1}, std::chrono::hours{1});
  field<std::uint32_t>("failures_to_fail", config.failures_to_fail, 1, 100);
  field<std::uint32_t>("successes_to_recover", config.successes_to_recover, 1, 100);
  field("jitter_ratio", config.jitter_ratio, 0.0, 1.0);
  field("degraded_weight_ratio", config.degraded_weight_ratio, 0.0, 1.0);
  if (!config.stale_after) return;
  milliseconds least{1};
  if (kind == check_kind::run) {  // answers of a healthy check may lie as far apart as this
    const auto longest = static_cast<double>(config.interval.count()) * (1 + config.jitter_ratio);
    least += milliseconds{static_cast<milliseconds::rep>(std::ceil(longest))} + config.timeout;
  }
  field("stale_after", *config.stale_after, least, std::chrono::hours{24 * 7});
}

milliseconds staleness(const health_check_config& config) noexcept {
  return config.stale_after.value_or(3 * config.interval + config.timeout);
}

health_core::health_core(const health_check_config& config) noexcept
    : interval_{config.interval},
      timeout_{config.timeout},
      stale_after_{staleness(config)},
      jitter_ratio_{config.jitter_ratio},
      failures_to_fail_{config.failures_to_fail},
      successes_to_recover_{config.successes_to_recover} {}

void health_core::started(time_point now, double unit_interval) noexcept {
  phase_ = run_phase::running;
  run_started_ = now;
  next_failure_ = now + timeout_;
  const auto jitter = static_cast<double>(interval_.count()) * jitter_ratio_ * unit_interval;
  next_start_ = now + interval_ + std::chrono::nanoseconds{static_cast<std::int64_t>(jitter)};
}

bool health_core::finished(health_state answer, time_point now) noexcept {
  tick(now);  // the deadline may have passed without anybody noticing yet
  const bool in_time = phase_ == run_phase::running;
  phase_ = run_phase::idle;
  if (in_time) reported(answer, now);
  return in_time;
}

void health_core::reported(health_state answer, time_point now) noexcept { take(answer, static_cast<run_outcome>(answer), now); }

bool health_core::tick(time_point now) noexcept {
  if (phase_ == run_phase::idle || now < next_failure_) return false;
  const bool just_now = phase_ == run_phase::running;
  phase_ = run_phase::hung;
  next_failure_ = now + interval_;
  take(health_state::failed, run_outcome::timed_out, now);
  return just_now;
}

void health_core::take(health_state answer, run_outcome counted, time_point now) noexcept {
  ++outcomes_[static_cast<std::size_t>(counted)];
  if (answer == health_state::unknown) return;  // says nothing: what was known before grows old
  const bool first = stale(now);
  if (first) ok_run_ = not_failed_run_ = not_ok_run_ = failed_run_ = 0;
  last_answer_ = now;

  const auto count = [](bool is, std::uint32_t& run) {
    if (is) {
      count_up(run);
    } else {
      run = 0;
    }
  };
  count(answer == health_state::ok, ok_run_);
  count(answer != health_state::failed, not_failed_run_);
  count(answer != health_state::ok, not_ok_run_);
  count(answer == health_state::failed, failed_run_);

  if (first) {
    confirmed_ = answer;  // nothing to hold on to
  } else if (confirmed_ < health_state::failed && failed_run_ >= failures_to_fail_) {
    confirmed_ = health_state::failed;
  } else if (confirmed_ == health_state::ok && not_ok_run_ >= failures_to_fail_) {
    confirmed_ = health_state::degraded;
  } else if (confirmed_ > health_state::ok && ok_run_ >= successes_to_recover_) {
    confirmed_ = health_state::ok;
  } else if (confirmed_ == health_state::failed && not_failed_run_ >= successes_to_recover_) {
    confirmed_ = health_state::degraded;
  }
  ever_up_ = ever_up_ || confirmed_ != health_state::failed;
}

time_point health_core::stale_at() const noexcept {
  return last_answer_ ? *last_answer_ + stale_after_ + std::chrono::nanoseconds{1} : time_point::max();
}

health_state health_core::state(time_point now) const noexcept { return stale(now) ? health_state::unknown : confirmed_; }

}  // namespace spillway::detail
