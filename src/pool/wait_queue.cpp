// SPDX-License-Identifier: Apache-2.0
#include "pool/wait_queue.hpp"

namespace spillway::detail {

void wait_queue::push(wait_node& node) {
  if (!node.until.is_never()) {
    heap_.push_back(&node);
    sift_up(heap_.size() - 1);
  }
  auto& line = node.critical ? critical_ : normal_;
  node.previous = line.last;
  node.next = nullptr;
  (line.last != nullptr ? line.last->next : line.first) = &node;
  line.last = &node;
  node.queued = true;
  ++size_;
  if (node.critical) ++criticals_;
}

void wait_queue::remove(wait_node& node) noexcept {
  auto& line = node.critical ? critical_ : normal_;
  (node.previous != nullptr ? node.previous->next : line.first) = node.next;
  (node.next != nullptr ? node.next->previous : line.last) = node.previous;
  node.queued = false;
  --size_;
  if (node.critical) --criticals_;
  if (node.until.is_never()) return;
  const auto hole = node.heap_place;
  auto* const last = heap_.back();
  heap_.pop_back();
  if (last == &node) return;
  place(last, hole);
  sift_up(hole);
  sift_down(last->heap_place);
}

std::optional<time_point> wait_queue::oldest() const noexcept {
  if (size_ == 0) return std::nullopt;
  if (normal_.first == nullptr) return critical_.first->since;
  if (critical_.first == nullptr) return normal_.first->since;
  return critical_.first->since < normal_.first->since ? critical_.first->since : normal_.first->since;
}

void wait_queue::place(wait_node* node, std::size_t at) noexcept {
  heap_[at] = node;
  node->heap_place = at;
}

void wait_queue::sift_up(std::size_t at) noexcept {
  auto* const node = heap_[at];
  while (at > 0) {
    const auto above = (at - 1) / 2;
    if (heap_[above]->until.at() <= node->until.at()) break;
    place(heap_[above], at);
    at = above;
  }
  place(node, at);
}

void wait_queue::sift_down(std::size_t at) noexcept {
  auto* const node = heap_[at];
  for (;;) {
    auto below = 2 * at + 1;
    if (below >= heap_.size()) break;
    if (below + 1 < heap_.size() && heap_[below + 1]->until.at() < heap_[below]->until.at()) ++below;
    if (node->until.at() <= heap_[below]->until.at()) break;
    place(heap_[below], at);
    at = below;
  }
  place(node, at);
}

}  // namespace spillway::detail
