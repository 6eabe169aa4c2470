// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/outlier_rule.hpp"

#include <algorithm>
#include <random>

namespace spillway::detail {

void ejection::eject(time_point now, std::uint64_t random) {
  if (returned_at_ && now - *returned_at_ >= calm_) wait_.reset();
  std::mt19937_64 draw{random};
  until_ = now + wait_.next(draw);
  ++count_;
}

bool ejection::returns(time_point now) noexcept {
  if (!until_ || now < *until_) return false;
  until_.reset();
  returned_at_ = now;
  starts(now);
  return true;
}

double ejection::ramp(time_point now) const noexcept {
  constexpr double least{0.1};
  if (!started_at_ || now - *started_at_ >= slow_start_) return 1.0;
  const auto part = static_cast<double>((now - *started_at_).count()) / static_cast<double>(slow_start_.count());
  return std::clamp(part, least, 1.0);
}

std::size_t most_ejected(const routing_config& config, std::size_t replicas) noexcept {
  return static_cast<std::size_t>(config.max_ejected_ratio * static_cast<double>(replicas));
}

bool is_latency_outlier(const routing_config& config, double mine_ns, std::span<double> peers_ns) noexcept {
  if (peers_ns.empty()) return false;
  const auto middle = peers_ns.begin() + static_cast<std::ptrdiff_t>((peers_ns.size() - 1) / 2);  // the lower one of two
  std::ranges::nth_element(peers_ns, middle);
  const auto floor = static_cast<double>(std::chrono::nanoseconds{config.eject_latency_floor}.count());
  return mine_ns > floor && mine_ns > *middle * config.eject_latency_factor;
}

}  // namespace spillway::detail
