// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/core/deadline.hpp>

#include <cstddef>
#include <optional>
#include <vector>

namespace spillway::detail {

/// A place in a queue; whoever waits owns it, and it must stay where it is while queued.
struct wait_node {
  wait_node* previous{nullptr};
  wait_node* next{nullptr};
  time_point since{};
  deadline until;
  std::size_t heap_place{0};
  bool critical{false};
  bool queued{false};
};

/// Waiters in the order they came, critical ones before the others, and their deadlines in a heap. Nothing is allocated to join but the heap's
/// growth; every operation is O(1) or O(log n).
class wait_queue {
 public:
  void push(wait_node& node);
  /// The one to be served next.
  [[nodiscard]] wait_node* front() const noexcept { return critical_.first != nullptr ? critical_.first : normal_.first; }
  void remove(wait_node& node) noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] bool has_critical() const noexcept { return criticals_ > 0; }
  [[nodiscard]] std::size_t criticals() const noexcept { return criticals_; }
  /// Of all who wait, when the first came.
  [[nodiscard]] std::optional<time_point> oldest() const noexcept;
  /// The waiter whose deadline comes first; null if none has one.
  [[nodiscard]] wait_node* most_urgent() const noexcept { return heap_.empty() ? nullptr : heap_.front(); }

 private:
  struct chain {
    wait_node* first{nullptr};
    wait_node* last{nullptr};
  };

  void place(wait_node* node, std::size_t at) noexcept;
  void sift_up(std::size_t at) noexcept;
  void sift_down(std::size_t at) noexcept;

  chain normal_;
  chain critical_;
  std::size_t size_{0};
  std::size_t criticals_{0};
  std::vector<wait_node*> heap_;  // by deadline; those without are not in it
};

}  // namespace spillway::detail
