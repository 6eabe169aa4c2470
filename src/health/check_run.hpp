// SPDX-License-Identifier: Apache-2.0
// One run of a check, and its answer.
#pragma once

#include "health/monitor_state.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace spillway::detail {

/// Answers at most once; destroyed unanswered, it answers that the run failed.
///
/// Threads:  any.
/// Lifetime: may outlive the monitor; then the answer goes nowhere.
class check_run {
 public:
  check_run(std::weak_ptr<monitor_state> state, std::size_t check, std::uint64_t run) noexcept
      : state_{std::move(state)}, check_{check}, run_{run} {}
  ~check_run() { answer(health_result::failed("ended without an answer")); }
  check_run(const check_run&) = delete;
  check_run& operator=(const check_run&) = delete;

  void answer(health_result result) {
    if (forget()) return;
    if (const auto state = state_.lock()) state->finished(check_, run_, std::move(result));
  }

  /// The run never began. True if it was answered before.
  bool forget() noexcept { return answered_.exchange(true); }

 private:
  std::weak_ptr<monitor_state> state_;
  std::size_t check_;
  std::uint64_t run_;
  std::atomic<bool> answered_{false};
};

}  // namespace spillway::detail
