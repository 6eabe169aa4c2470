// SPDX-License-Identifier: Apache-2.0
// Which database system the nodes must belong to.
#pragma once

#include "db/backends/postgres/route_types.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace spillway::detail {

/// The configured system; else that of the node listed first; else, if that node was not there at the start, the one that all others agree on
/// once each of them has been heard or found silent. Once known it stays.
class cluster_identity {
 public:
  cluster_identity(std::size_t nodes, std::optional<std::uint64_t> configured) : heard_(nodes), system_{configured} {}

  void answers(node_index node, std::uint64_t system);
  void is_silent(node_index node);

  [[nodiscard]] std::optional<std::uint64_t> system() const noexcept { return system_; }
  /// All were heard, and they do not agree.
  [[nodiscard]] bool disagree() const noexcept { return disagree_; }
  [[nodiscard]] bool is_foreign(node_index node) const noexcept { return system_ && heard_[node].system != 0 && heard_[node].system != *system_; }
  [[nodiscard]] bool belongs(node_index node) const noexcept { return system_ && heard_[node].system == *system_; }
  /// As it says; 0 if it was never heard.
  [[nodiscard]] std::uint64_t system_of(node_index node) const noexcept { return heard_[node].system; }

 private:
  struct entry {
    std::uint64_t system{0};
    bool silent{false};
  };
  void decide();

  std::vector<entry> heard_;
  std::optional<std::uint64_t> system_;
  bool disagree_{false};
};

}  // namespace spillway::detail
