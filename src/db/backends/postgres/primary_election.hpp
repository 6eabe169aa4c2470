// SPDX-License-Identifier: Apache-2.0
// Who is the primary, by what the nodes say about themselves.
#pragma once

#include "db/backends/postgres/route_types.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace spillway::detail {

/// A node is the primary if it says so, and no node of the system is known to be on a newer timeline, and no other says so on the same one.
/// "Says so" is its latest word: a claim measured before the node was seen as a standby counts for nothing, however late it arrives; of two
/// words that may have been measured in either order, "not I" is believed.
///
/// A node's word about its timeline holds until the node itself says otherwise. So an old primary is not elected again because the new one has
/// gone silent; and one that was promoted by mistake fences the others only until it was built anew.
///
/// The epoch grows with every change of the answer. Whoever was granted a session under an older one must not write on it.
class primary_election {
 public:
  enum class standing : std::uint8_t { none, settled, contested };

  explicit primary_election(std::size_t nodes) : words_(nodes) {}

  /// The node says that it is the primary, on exactly this timeline.
  void claims(node_index node, std::uint32_t timeline, const measured& when);
  /// The node says that it is a standby, on this timeline or a newer one.
  void stands_by(node_index node, std::uint32_t at_least, const measured& when);
  /// The node is no primary: it said so beside a result, or refused to write.
  void denies(node_index node, const measured& when);
  /// The server behind the node may be another one from now on: a standby's next word about its timeline stands alone.
  void may_have_restarted(node_index node) noexcept { words_[node].replace = true; }
  /// The node was silent for so long that it no longer counts as a second primary.
  void lapses(node_index node);
  [[nodiscard]] bool has_lapsed(node_index node) const noexcept { return words_[node].lapsed; }
  /// It is of another system: what it said is void.
  void forget(node_index node);

  [[nodiscard]] standing how() const noexcept { return how_; }
  [[nodiscard]] bool is_settled() const noexcept { return how_ == standing::settled; }
  /// Who it is, if settled.
  [[nodiscard]] node_index who() const noexcept { return who_; }
  /// Of the primary, or of the last one; 0 if there was none yet.
  [[nodiscard]] std::uint32_t timeline() const noexcept { return timeline_; }
  /// The newest that any node is on.
  [[nodiscard]] std::uint32_t newest_timeline() const noexcept;
  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }

  /// The node's latest word.
  [[nodiscard]] db_node_role role_of(node_index node) const noexcept;
  /// A primary's, or what a standby has at least reached; 0 if not known.
  [[nodiscard]] std::uint32_t timeline_of(node_index node) const noexcept { return words_[node].timeline; }

 private:
  struct words {
    std::optional<measured> claim;
    std::optional<measured> denial;
    std::uint32_t timeline{0};
    bool replace{false};
    bool lapsed{false};
  };
  void note_denial(words& said, const measured& when);
  void decide();

  std::vector<words> words_;
  standing how_{standing::none};
  node_index who_{no_node};
  std::uint32_t timeline_{0};
  std::uint64_t epoch_{0};
};

}  // namespace spillway::detail
