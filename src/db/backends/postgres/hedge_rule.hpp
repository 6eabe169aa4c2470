// SPDX-License-Identifier: Apache-2.0
// When a read that takes long is asked of a second node, too.
#pragma once

#include <spillway/core/clock.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

namespace spillway::detail {

struct hedge_limits {
  double quantile_ratio{0.97};              ///< Reads that take longer than this share of the others.
  std::chrono::microseconds least{500};     ///< Never sooner.
  std::chrono::microseconds most{250'000};  ///< Never later.
  double budget_ratio{0.05};                ///< Second askings for each first one.
  double burst{10.0};                       ///< That may be saved up.
  std::uint32_t enough{100};                ///< Reads to be seen before any is asked twice.
  std::chrono::milliseconds half_life{10'000};
};

/// Counts what reads took, forgetting half of it each half-life, and lends out second askings from a bucket that only first askings fill: so
/// never more than `budget_ratio` of them, whatever happens.
class hedge_rule {
 public:
  explicit hedge_rule(const hedge_limits& limits = {}) noexcept : limits_{limits} {}

  /// A read was asked of a first node.
  void asked() noexcept;
  /// It took this long until the first answer, whichever node gave it: so one that was slow counts as such though its own answer was not waited for.
  void took(std::chrono::nanoseconds duration, time_point now) noexcept;

  /// How long to wait for the first before asking a second; none: too few were seen.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> delay() const noexcept;
  /// Takes from the budget; false if there is none left.
  [[nodiscard]] bool try_spend() noexcept;

 private:
  // Four buckets to each power of two from 32 us on: a quantile is at most 25 % too high.
  static constexpr std::size_t bucket_count{96};
  static std::size_t bucket_of(std::chrono::nanoseconds duration) noexcept;
  static std::chrono::nanoseconds upper_bound(std::size_t bucket) noexcept;
  [[nodiscard]] std::chrono::nanoseconds quantile(double ratio) const noexcept;

  hedge_limits limits_;
  std::array<double, bucket_count> counts_{};
  double total_{0};
  double budget_{0};
  std::optional<time_point> halved_at_;
};

}  // namespace spillway::detail
