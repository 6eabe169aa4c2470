// SPDX-License-Identifier: Apache-2.0
#include "write_group_core.hpp"

#include <algorithm>
#include <utility>

namespace spillway::detail {

void write_group_core::begins(time_point now, bool alone) noexcept {
  if (!anyone_waits()) {
    members_ = 0;
    opened_ = now;
    answer_by_ = deadline::never();
  }
  ++members_;
  alone_ = alone;
  began_ = now;
}

bool write_group_core::ends(time_point now, deadline until) noexcept {
  const std::chrono::nanoseconds ran = now - began_;
  expected_run_ = std::max(ran, expected_run_ - expected_run_ / 8);
  answer_by_ = answer_by_.sooner(until);
  return !alone_ && has_room(now);
}

void write_group_core::waits(write_group_node& write) noexcept {
  write.behind = nullptr;
  before_last_ = last_;
  (last_ == nullptr ? first_ : last_->behind) = &write;
  last_ = &write;
}

void write_group_core::goes_on() noexcept {
  last_ = before_last_;
  (last_ == nullptr ? first_ : last_->behind) = nullptr;
}

write_group_node* write_group_core::closes(bool lost) noexcept {
  // As if a very long write had run: one like it may come again soon, and some twenty others are better off by themselves meanwhile.
  constexpr int as_if{16};
  if (lost) expected_run_ = std::max(expected_run_, limits_.time * as_if);
  last_ = nullptr;
  return std::exchange(first_, nullptr);
}

bool write_group_core::has_room(time_point now) const noexcept {
  const auto done_at = now + expected_run_;
  return members_ < limits_.members && done_at - opened_ <= limits_.time && !answer_by_.passed(done_at);
}

}  // namespace spillway::detail
