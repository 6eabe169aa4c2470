// SPDX-License-Identifier: Apache-2.0
// Which of several nodes that would all do.
#pragma once

#include "db/backends/postgres/route_config.hpp"
#include "db/backends/postgres/route_types.hpp"

#include <cstdint>
#include <span>

namespace spillway::detail {

struct balance_candidate {
  node_index node{no_node};
  double latency{1.0};     ///< What an answer takes, in any unit, the same for all. Above 0.
  std::size_t in_flight{0};
  double weight{1.0};
  double ramp{1.0};        ///< The part of its share that it may get so soon after its return. In (0, 1].
  double trips{1.0};       ///< How often its latency is to be paid. At least 1.
};

/// Picks by the strategy. `random` is a uniform draw.
class replica_balance {
 public:
  explicit replica_balance(read_strategy strategy) noexcept : strategy_{strategy} {}

  /// The place in `candidates`, which has at least one and is in the order of the nodes.
  [[nodiscard]] std::size_t pick(std::span<const balance_candidate> candidates, std::uint64_t random) noexcept;

 private:
  [[nodiscard]] std::size_t next_in_turn(std::span<const balance_candidate> candidates, std::uint64_t random) noexcept;

  read_strategy strategy_;
  node_index last_{no_node};  // round robin
};

}  // namespace spillway::detail
