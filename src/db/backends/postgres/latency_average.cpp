// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/latency_average.hpp"

#include <algorithm>
#include <cmath>

namespace spillway::detail {

namespace {

double share_left(std::chrono::nanoseconds age, std::chrono::nanoseconds over) noexcept {
  return std::exp(-static_cast<double>(std::max<std::int64_t>(age.count(), 0)) / static_cast<double>(over.count()));
}

}  // namespace

void latency_average::add(std::chrono::nanoseconds took, time_point now) noexcept {
  const auto fresh = static_cast<double>(std::max<std::int64_t>(took.count(), 0));
  ++count_;
  // The first ones count evenly, or the very first would stand for a whole window.
  const auto weight = at_ ? std::max(1.0 - share_left(now - *at_, window_), 1.0 / static_cast<double>(count_)) : 1.0;
  value_ += weight * (fresh - value_);
  at_ = at_ ? std::max(*at_, now) : now;
}

std::optional<double> latency_average::value(time_point now) const noexcept {
  if (!at_) return std::nullopt;
  const auto idle = now - *at_;
  if (idle <= window_) return value_;
  return value_ * share_left(idle - window_, forgiveness);
}

}  // namespace spillway::detail
