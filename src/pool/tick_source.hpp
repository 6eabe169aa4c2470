// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spillway/core/clock.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace spillway::detail {

/// Counts time for spans that are measured but decide nothing exact: how long something was lent, idle or alive. Reads the processor's time stamp
/// counter where that runs at one rate (10 ns against 24 ns for the system's clock, and twice in every loan), else the clock given.
/// Deadlines never come from here.
class tick_source {
 public:
  using ticks = std::int64_t;

  /// `system_time`: the clock is the system's.
  tick_source(const clock_source& clock, bool system_time) : clock_{clock}, ns_per_tick_{system_time ? counter_ns_per_tick() : 0.0} {}

  [[nodiscard]] ticks now() const noexcept {
#if defined(__x86_64__)
    if (ns_per_tick_ != 0.0) return static_cast<ticks>(__rdtsc());
#endif
    return clock_.now().time_since_epoch().count();
  }

  /// Never negative: counters of two processors may be a little apart.
  [[nodiscard]] std::chrono::nanoseconds between(ticks from, ticks to) const noexcept {
    const auto span = std::max<ticks>(to - from, 0);
    return std::chrono::nanoseconds{ns_per_tick_ == 0.0 ? span : static_cast<std::int64_t>(static_cast<double>(span) * ns_per_tick_)};
  }
  /// `span` after `from`; the end of time if that is beyond it.
  [[nodiscard]] ticks after(ticks from, std::chrono::nanoseconds span) const noexcept {
    const auto count = static_cast<double>(span.count()) / (ns_per_tick_ == 0.0 ? 1.0 : ns_per_tick_);
    return count >= static_cast<double>(std::numeric_limits<ticks>::max() - from) ? std::numeric_limits<ticks>::max() : from + static_cast<ticks>(count);
  }

 private:
  /// Zero if the counter cannot be used. Measured once, for a millisecond; off by less than one in two thousand.
  static double counter_ns_per_tick();

  const clock_source& clock_;
  const double ns_per_tick_;
};

}  // namespace spillway::detail
