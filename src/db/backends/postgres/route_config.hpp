// SPDX-License-Identifier: Apache-2.0
// What the router decides by.
#pragma once

#include <spillway/core/result.hpp>
#include <spillway/db/routing.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace spillway::detail {

inline constexpr std::size_t most_nodes{64};

struct routing_node {
  std::string name;   ///< In logs and metrics: not empty, at most 64 bytes, no two the same.
  double weight{1.0}; ///< In [0.01, 100].
};

/// What is wrong: field, value and legal range. None if it can be used.
[[nodiscard]] result<void, std::string> validate(const routing_config& config, const std::vector<routing_node>& nodes);

}  // namespace spillway::detail
