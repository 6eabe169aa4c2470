// SPDX-License-Identifier: Apache-2.0
/// @file
/// Where an object reads the time from, so that a test can be its master.
#pragma once

#include <spillway/core/export.hpp>

#include <chrono>

namespace spillway {

/// A point in local, monotonic time. Never compared between processes.
using time_point = std::chrono::steady_clock::time_point;

/// A point in calendar time, UTC. For logs and display, never for deadlines.
using wall_time_point = std::chrono::system_clock::time_point;

/// Tells the time.
///
/// Threads:  both members may be called from any thread.
/// Lifetime: outlives every object it was given to.
class SPILLWAY_EXPORT clock_source {
 public:
  virtual ~clock_source();

  [[nodiscard]] virtual time_point now() const noexcept = 0;
  [[nodiscard]] virtual wall_time_point wall_now() const noexcept = 0;
};

/// The clocks of the operating system. Lives as long as the program.
[[nodiscard]] SPILLWAY_EXPORT const clock_source& system_clock_source() noexcept;

}  // namespace spillway
