// SPDX-License-Identifier: Apache-2.0
// What an answer of a node takes, of late.
#pragma once

#include <spillway/core/clock.hpp>

#include <chrono>
#include <cstdint>
#include <optional>

namespace spillway::detail {

/// An average that gives the past less weight with time, not with the number of answers.
class latency_average {
 public:
  /// A node that is not asked is thought faster and faster, so that it is tried again: by a factor e in this time.
  static constexpr std::chrono::seconds forgiveness{1};

  explicit latency_average(std::chrono::nanoseconds window) noexcept : window_{window} {}

  void add(std::chrono::nanoseconds took, time_point now) noexcept;
  void clear() noexcept {
    count_ = 0;
    at_.reset();
  }

  /// In nanoseconds; none if nothing was ever measured.
  [[nodiscard]] std::optional<double> value(time_point now) const noexcept;
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

 private:
  std::chrono::nanoseconds window_;
  double value_{0};
  std::optional<time_point> at_;
  std::uint64_t count_{0};
};

}  // namespace spillway::detail
