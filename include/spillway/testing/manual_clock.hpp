// SPDX-License-Identifier: Apache-2.0
/// @file
/// A clock that stands still until a test moves it.
#pragma once

#include <spillway/core/clock.hpp>

#include <atomic>

namespace spillway::testing {

/// Starts at time zero on 2000-01-01 00:00 UTC.
///
///     manual_clock clock;
///     circuit_breaker breaker{config, clock};
///     clock.advance(60s);
///
/// Threads: every member may be called from any thread.
class manual_clock final : public clock_source {
 public:
  [[nodiscard]] time_point now() const noexcept override { return time_point{elapsed()}; }
  [[nodiscard]] wall_time_point wall_now() const noexcept override {
    return wall_time_point{std::chrono::duration_cast<wall_time_point::duration>(epoch + elapsed())};
  }

  void advance(std::chrono::nanoseconds by) noexcept { elapsed_ns_.fetch_add(by.count(), std::memory_order_acq_rel); }

 private:
  static constexpr std::chrono::seconds epoch{946'684'800};  // 2000-01-01

  std::chrono::nanoseconds elapsed() const noexcept {
    return std::chrono::nanoseconds{elapsed_ns_.load(std::memory_order_acquire)};
  }

  std::atomic<std::int64_t> elapsed_ns_{0};
};

}  // namespace spillway::testing
