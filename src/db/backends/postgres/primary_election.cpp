// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/primary_election.hpp"

#include <algorithm>

namespace spillway::detail {

void primary_election::claims(node_index node, std::uint32_t timeline, const measured& when) {
  auto& said = words_[node];
  if (said.denial && !when.surely_after(*said.denial)) return;
  if (said.claim && !when.surely_after(*said.claim) && (said.claim->surely_after(when) || timeline < said.timeline)) return;  // old news
  // It was the primary when the claim before was measured, too: what it said before that is not to count against this one.
  auto measured_by = when;
  if (said.claim) measured_by.asked = std::max(when.asked, said.claim->asked);
  said = {.claim = measured_by, .denial = std::nullopt, .timeline = timeline, .replace = false, .lapsed = false};
  decide();
}

void primary_election::stands_by(node_index node, std::uint32_t at_least, const measured& when) {
  auto& said = words_[node];
  if (said.claim && said.claim->surely_after(when)) return;
  // Who was a primary and is a standby has restarted in between.
  const bool alone = said.claim.has_value() || said.replace;
  said.timeline = alone ? at_least : std::max(said.timeline, at_least);
  said.replace = false;
  note_denial(said, when);
  decide();
}

void primary_election::denies(node_index node, const measured& when) {
  auto& said = words_[node];
  if (said.claim && said.claim->surely_after(when)) return;
  // Its timeline it does not tell; the next word that does stands alone, as above.
  said.replace = said.replace || said.claim.has_value();
  note_denial(said, when);
  decide();
}

void primary_election::note_denial(words& said, const measured& when) {
  said.claim.reset();
  if (!said.denial || said.denial->answered < when.answered) said.denial = when;
}

void primary_election::lapses(node_index node) {
  words_[node].lapsed = true;
  decide();
}

void primary_election::forget(node_index node) {
  words_[node] = {};
  decide();
}

db_node_role primary_election::role_of(node_index node) const noexcept {
  if (words_[node].claim) return db_node_role::primary;
  return words_[node].denial ? db_node_role::replica : db_node_role::unknown;
}

std::uint32_t primary_election::newest_timeline() const noexcept {
  std::uint32_t newest{0};
  for (const auto& said : words_) newest = std::max(newest, said.timeline);
  return newest;
}

void primary_election::decide() {
  const auto newest = newest_timeline();
  node_index found{no_node};
  std::size_t claims{0};
  for (node_index node = 0; node < words_.size(); ++node) {
    const auto& said = words_[node];
    if (!said.claim || said.lapsed || said.timeline < newest) continue;
    found = node;
    ++claims;
  }
  const auto how = claims == 0 ? standing::none : claims == 1 ? standing::settled : standing::contested;
  if (how != standing::settled) found = no_node;
  const auto timeline = found == no_node ? timeline_ : words_[found].timeline;
  if (how == how_ && found == who_ && timeline == timeline_) return;
  how_ = how;
  who_ = found;
  timeline_ = timeline;
  ++epoch_;
}

}  // namespace spillway::detail
