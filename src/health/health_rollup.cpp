// SPDX-License-Identifier: Apache-2.0
#include "health/health_rollup.hpp"

#include <algorithm>

namespace spillway::detail {

health_rollup roll_up(std::span<const check_standing> checks) noexcept {
  bool failed{false};
  bool unknown{false};
  health_rollup rolled;
  for (const auto& check : checks) {
    if (check.state == health_state::ok) continue;
    const bool critical = check.criticality == health_criticality::critical;
    failed = failed || (critical && check.state == health_state::failed);
    unknown = unknown || (critical && check.state == health_state::unknown);
    rolled.state = health_state::degraded;
    rolled.reason = "check_degraded";
    rolled.weight_ratio = std::min(rolled.weight_ratio, check.degraded_weight_ratio);
  }
  if (failed) return {health_state::failed, false, 0.0, "check_failed"};
  if (unknown) return {health_state::unknown, false, 0.0, "check_unknown"};
  return rolled;
}

}  // namespace spillway::detail
