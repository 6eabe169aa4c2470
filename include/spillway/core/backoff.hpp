// SPDX-License-Identifier: Apache-2.0
/// @file
/// How long to wait before trying again.
#pragma once

#include <spillway/core/export.hpp>

#include <chrono>
#include <random>

namespace spillway {

struct backoff_config {
  std::chrono::milliseconds base{100};    ///< Shortest wait. Above zero.
  std::chrono::milliseconds cap{30'000};  ///< Longest wait. At least `base`, at most one day.
};

/// Decorrelated jitter: each wait is drawn uniformly from [base, 3 x the wait before], cut at the cap. Clients that failed
/// together drift apart at once, unlike with plain doubling. Source: Marc Brooker, "Exponential Backoff And Jitter", AWS, 2015.
///
///     decorrelated_backoff backoff{{.base = 50ms, .cap = 5s}};
///     while (!connect()) wait(backoff.next(generator));
///
/// Threads: one at a time.
/// Errors:  the constructor throws std::invalid_argument naming the field.
class SPILLWAY_EXPORT decorrelated_backoff {
 public:
  explicit decorrelated_backoff(const backoff_config& config = {});

  /// The next wait, in [base, cap].
  template <std::uniform_random_bit_generator Generator>
  [[nodiscard]] std::chrono::milliseconds next(Generator& generator) {
    return advance(std::uniform_real_distribution<double>{0.0, 1.0}(generator));
  }

  /// After a success: the next wait starts from `base` again.
  void reset() noexcept { previous_ = config_.base; }

 private:
  /// `unit_interval` is a draw from [0, 1).
  std::chrono::milliseconds advance(double unit_interval) noexcept;

  backoff_config config_;
  std::chrono::milliseconds previous_;
};

}  // namespace spillway
