// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/hedge_rule.hpp"

#include <algorithm>
#include <bit>

namespace spillway::detail {

void hedge_rule::asked() noexcept { budget_ = std::min(limits_.burst, budget_ + limits_.budget_ratio); }

void hedge_rule::took(std::chrono::nanoseconds duration, time_point now) noexcept {
  if (!halved_at_) halved_at_ = now;
  for (int i = 0; now - *halved_at_ >= limits_.half_life; ++i) {
    if (i == 64) {  // a long silence: nothing is left of it
      halved_at_ = now;
      break;
    }
    for (auto& count : counts_) count *= 0.5;
    total_ *= 0.5;
    *halved_at_ += limits_.half_life;
  }
  counts_[bucket_of(duration)] += 1.0;
  total_ += 1.0;
}

std::optional<std::chrono::nanoseconds> hedge_rule::delay() const noexcept {
  if (total_ < static_cast<double>(limits_.enough)) return std::nullopt;
  auto found = quantile(limits_.quantile_ratio);
  // As many are slow as decide how long that is, or more: then what is left of the others decides, if the budget reaches so far. It should not always:
  // the rest of the budget is there for slow ones that come close together.
  if (limits_.budget_ratio > 1.0 - limits_.quantile_ratio) {
    if (const auto less = quantile(1.0 - limits_.budget_ratio); found > 16 * less) found = less;
  }
  return found;
}

std::chrono::nanoseconds hedge_rule::quantile(double ratio) const noexcept {
  const auto wanted = total_ * ratio;
  double below{0};
  std::size_t bucket{0};
  while (bucket + 1 < bucket_count && (below += counts_[bucket]) < wanted) ++bucket;
  return std::clamp<std::chrono::nanoseconds>(upper_bound(bucket), limits_.least, limits_.most);
}

bool hedge_rule::try_spend() noexcept {
  if (budget_ < 1.0) return false;
  budget_ -= 1.0;
  return true;
}

std::size_t hedge_rule::bucket_of(std::chrono::nanoseconds duration) noexcept {
  const auto units = static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0)) >> 13U;  // of 8.2 us
  if (units < 4) return 0;
  const auto exponent = static_cast<std::size_t>(std::bit_width(units)) - 1;
  return std::min(bucket_count - 1, (exponent - 2) * 4 + static_cast<std::size_t>((units >> (exponent - 2)) & 3U) + 1);
}

std::chrono::nanoseconds hedge_rule::upper_bound(std::size_t bucket) noexcept {
  if (bucket == 0) return std::chrono::nanoseconds{4 << 13};
  const auto exponent = (bucket - 1) / 4 + 2;
  return std::chrono::nanoseconds{static_cast<std::int64_t>(((bucket - 1) % 4 + 5) << (exponent - 2)) << 13};
}

}  // namespace spillway::detail
