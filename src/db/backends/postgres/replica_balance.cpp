// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/replica_balance.hpp"

#include <algorithm>
#include <cmath>

namespace spillway::detail {

namespace {

/// In [0, 1).
double unit(std::uint64_t random) noexcept { return std::ldexp(static_cast<double>(random >> 11U), -53); }

double load(const balance_candidate& c) noexcept { return static_cast<double>(c.in_flight + 1) / (c.weight * c.ramp); }

/// Latencies that differ by less than this factor count as the same.
constexpr double alike_within{2.0};

std::size_t cheaper_of_two(std::span<const balance_candidate> candidates, std::uint64_t random) noexcept {
  const auto count = candidates.size();
  if (count == 1) return 0;
  const auto first = static_cast<std::size_t>((random & 0xffff'ffffU) % count);
  auto second = static_cast<std::size_t>((random >> 32U) % (count - 1));
  if (second >= first) ++second;
  const auto& a = candidates[first];
  const auto& b = candidates[second];
  // Or the quicker of two that hardly differ would get all there is, and the other one never show that it is as quick.
  const bool alike = std::max(a.latency, b.latency) <= alike_within * std::min(a.latency, b.latency);
  const auto cost = [alike](const balance_candidate& c) { return (alike ? 1.0 : c.latency) * c.trips * load(c); };
  return cost(b) < cost(a) ? second : first;
}

std::size_t by_weight(std::span<const balance_candidate> candidates, std::uint64_t random) noexcept {
  double sum{0};
  for (const auto& each : candidates) sum += each.weight * each.ramp;
  auto left = unit(random) * sum;
  for (std::size_t i = 0; i + 1 < candidates.size(); ++i) {
    left -= candidates[i].weight * candidates[i].ramp;
    if (left < 0) return i;
  }
  return candidates.size() - 1;
}

std::size_t least_loaded(std::span<const balance_candidate> candidates, std::uint64_t random) noexcept {
  // From a random place on, so that equals share.
  const auto count = candidates.size();
  auto best = static_cast<std::size_t>(random % count);
  for (std::size_t i = 1; i < count; ++i) {
    const auto other = (static_cast<std::size_t>(random % count) + i) % count;
    if (load(candidates[other]) < load(candidates[best])) best = other;
  }
  return best;
}

}  // namespace

std::size_t replica_balance::pick(std::span<const balance_candidate> candidates, std::uint64_t random) noexcept {
  switch (strategy_) {
    case read_strategy::power_of_two: return cheaper_of_two(candidates, random);
    case read_strategy::round_robin: return next_in_turn(candidates, random);
    case read_strategy::weighted: return by_weight(candidates, random);
    case read_strategy::least_in_use: return least_loaded(candidates, random);
  }
  return 0;
}

std::size_t replica_balance::next_in_turn(std::span<const balance_candidate> candidates, std::uint64_t random) noexcept {
  const auto after = std::ranges::find_if(candidates, [&](const auto& c) { return last_ != no_node && c.node > last_; });
  auto place = after == candidates.end() ? std::size_t{0} : static_cast<std::size_t>(after - candidates.begin());
  // One that has just come back is passed over now and then.
  if (candidates[place].ramp < 1.0 && unit(random) >= candidates[place].ramp) place = (place + 1) % candidates.size();
  last_ = candidates[place].node;
  return place;
}

}  // namespace spillway::detail
