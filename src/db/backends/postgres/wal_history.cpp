// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/wal_history.hpp"

#include <algorithm>

namespace spillway::detail {

void wal_history::add(const measured& when, std::uint64_t position) {
  lowest_ = samples_.empty() && lowest_ == 0 ? position : std::min(lowest_, position);
  sample fresh{when.asked, when.answered, position};
  // What is asked later and lies lower says all that an earlier, higher one said. On an idle primary one sample just grows younger.
  const auto later = std::ranges::upper_bound(samples_, fresh.asked, {}, &sample::asked);
  if (later != samples_.end() && later->position <= position) return;
  auto first = later;
  while (first != samples_.begin() && std::prev(first)->position >= position) {
    --first;
    fresh.reached = std::min(fresh.reached, first->reached);
  }
  // A busy primary commits far more often than is worth keeping.
  if (first == samples_.end() && !samples_.empty() && fresh.asked - samples_.back().asked < spacing) return;
  samples_.insert(samples_.erase(first, later), fresh);
  if (samples_.size() > most) thin_out();
}

void wal_history::thin_out() {
  // From the newest back, who is closer to the one kept before than an eighth of his age goes.
  const auto newest = samples_.back().asked;
  auto kept = samples_.end();
  time_point last{time_point::max()};
  for (auto each = samples_.end(); each != samples_.begin();) {
    --each;
    if (last != time_point::max() && last - each->asked < (newest - each->asked) / 8) continue;
    last = each->asked;
    *--kept = *each;
  }
  const auto surplus = std::max<std::ptrdiff_t>(0, (samples_.end() - kept) - static_cast<std::ptrdiff_t>(most * 3 / 4));
  samples_.erase(samples_.begin(), kept + surplus);
}

std::optional<std::uint64_t> wal_history::covering(time_point moment) const noexcept {
  const auto found = std::ranges::lower_bound(samples_, moment, {}, &sample::asked);
  if (found == samples_.end()) return std::nullopt;
  return found->position;
}

std::optional<time_point> wal_history::fresh_until(std::uint64_t position) const noexcept {
  const auto beyond = std::ranges::upper_bound(samples_, position, {}, &sample::position);
  if (beyond == samples_.begin()) return std::nullopt;
  return std::prev(beyond)->asked;
}

std::optional<time_point> wal_history::passed(std::uint64_t position) const noexcept {
  const auto beyond = std::ranges::upper_bound(samples_, position, {}, &sample::position);
  if (beyond == samples_.end()) return std::nullopt;
  return beyond->reached;
}

}  // namespace spillway::detail
