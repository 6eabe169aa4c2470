// SPDX-License-Identifier: Apache-2.0
// From the states of all checks to the state of the program. Pure.
#pragma once

#include <spillway/health/health_check.hpp>

#include <span>
#include <string_view>

namespace spillway::detail {

struct check_standing {
  health_state state;
  health_criticality criticality;
  double degraded_weight_ratio;
};

struct health_rollup {
  health_state state{health_state::ok};
  bool ready{true};
  double weight_ratio{1.0};
  std::string_view reason;
};

/// A critical check that failed, or of which nothing is known, makes it not ready; anything else that is not ok, degraded.
[[nodiscard]] health_rollup roll_up(std::span<const check_standing> checks) noexcept;

}  // namespace spillway::detail
