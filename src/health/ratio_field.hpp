// SPDX-License-Identifier: Apache-2.0
// Shares in configurations.
#pragma once

#include <string_view>

namespace spillway::detail {

/// Throws std::invalid_argument naming the field unless `value` is above zero, not below `least`, and at most 1.
void check_ratio(std::string_view field, double value, double least = 0.0);

}  // namespace spillway::detail
