// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/cluster_identity.hpp"

namespace spillway::detail {

void cluster_identity::answers(node_index node, std::uint64_t system) {
  heard_[node].system = system;
  decide();
}

void cluster_identity::is_silent(node_index node) {
  heard_[node].silent = true;
  decide();
}

void cluster_identity::decide() {
  if (system_) return;
  disagree_ = false;
  if (heard_.front().system != 0) {
    system_ = heard_.front().system;
    return;
  }
  std::uint64_t found{0};
  for (const auto& each : heard_) {
    if (each.system == 0 && !each.silent) return;
    if (each.system == 0) continue;
    if (found != 0 && found != each.system) disagree_ = true;
    found = each.system;
  }
  if (found != 0 && !disagree_) system_ = found;
}

}  // namespace spillway::detail
