// SPDX-License-Identifier: Apache-2.0
// Which replicas are left out for a while because they answer badly, and how they come back.
#pragma once

#include "db/backends/postgres/route_config.hpp"

#include <spillway/core/backoff.hpp>
#include <spillway/core/clock.hpp>

#include <cstdint>
#include <optional>
#include <span>

namespace spillway::detail {

/// One node's way out and back.
class ejection {
 public:
  explicit ejection(const routing_config& config) : wait_{config.ejection}, calm_{config.ejection.cap}, slow_start_{config.slow_start} {}

  [[nodiscard]] bool is_out() const noexcept { return until_.has_value(); }
  [[nodiscard]] std::optional<time_point> until() const noexcept { return until_; }
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

  /// Out, for longer each time unless the last time is long past.
  void eject(time_point now, std::uint64_t random);
  /// Its time has come; true if it was out and comes back.
  bool returns(time_point now) noexcept;
  /// It begins anew, with a small share.
  void starts(time_point now) noexcept { started_at_ = now; }
  /// The part of its share that it may get: from a tenth to all of it, over `slow_start`.
  [[nodiscard]] double ramp(time_point now) const noexcept;

 private:
  decorrelated_backoff wait_;
  std::chrono::nanoseconds calm_;
  std::chrono::nanoseconds slow_start_;
  std::optional<time_point> until_;
  std::optional<time_point> returned_at_;
  std::optional<time_point> started_at_;
  std::uint64_t count_{0};
};

/// How many of `replicas` may be out at the same time.
[[nodiscard]] std::size_t most_ejected(const routing_config& config, std::size_t replicas) noexcept;

/// A node answers far slower than the middle one of its peers. Without peers nobody is slow.
[[nodiscard]] bool is_latency_outlier(const routing_config& config, double mine_ns, std::span<double> peers_ns) noexcept;

}  // namespace spillway::detail
