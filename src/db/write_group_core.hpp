// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/core/deadline.hpp>

#include <chrono>
#include <cstddef>

namespace spillway::detail {

struct write_group_limits {
  std::size_t members{1};
  std::chrono::nanoseconds time{0};
};

/// The place of a write among those that wait for a commit.
struct write_group_node {
  write_group_node* behind{nullptr};
};

/// Decides which writes share a transaction of the engine, and so its commit. One write *runs* at a time; when it has ended it either *waits*, the
/// transaction left open for the write behind it, or ends the transaction for itself and all who wait.
///
/// Invariants:
///   - whoever begins to run while others wait joins their transaction, or has to end it first: nobody waits for a commit that nobody makes;
///   - a transaction has at most `members`, and takes in nobody who would probably still run after `time`, or after the deadline of a member;
///   - those who wait are given out once, all together, in the order in which they ran.
///
/// Threads: one at a time, the holder of the session.
class write_group_core {
 public:
  explicit write_group_core(const write_group_limits& limits) noexcept : limits_{limits} {}

  [[nodiscard]] bool anyone_waits() const noexcept { return first_ != nullptr; }
  /// Whether a write that begins now may join those who wait. If not, their transaction must be ended first.
  [[nodiscard]] bool takes_in(time_point now, bool alone) const noexcept { return !alone && anyone_waits() && has_room(now); }

  /// A write begins to run: in the transaction of those who wait, or in its own if nobody does. `alone`: it shares with nobody.
  void begins(time_point now, bool alone) noexcept;
  /// It has ended, and wants its answer by `until`. True: it may wait for one more to join.
  [[nodiscard]] bool ends(time_point now, deadline until) noexcept;
  /// It waits, as somebody else gets the session now.
  void waits(write_group_node& write) noexcept;
  /// It does not wait after all: nobody took the session. Only right after `waits`.
  void goes_on() noexcept;
  /// The transaction has ended; `lost` if the engine gave it up because of one write. Returns those who waited, as a chain.
  write_group_node* closes(bool lost) noexcept;

 private:
  [[nodiscard]] bool has_room(time_point now) const noexcept;

  write_group_limits limits_;
  write_group_node* first_{nullptr};
  write_group_node* last_{nullptr};
  write_group_node* before_last_{nullptr};
  std::size_t members_{0};  // of the open transaction, the one that runs among them
  bool alone_{false};
  time_point opened_{};
  time_point began_{};
  deadline answer_by_;
  /// The longest a write ran lately: a longer one counts at once, and is forgotten by an eighth with each that is shorter.
  std::chrono::nanoseconds expected_run_{0};
};

}  // namespace spillway::detail
