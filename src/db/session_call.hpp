// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "session_context.hpp"
#include "write_group_core.hpp"

#include <atomic>
#include <exception>

namespace spillway::detail {

/// How a read or write ended: with an error, with what the caller's function threw, or well.
struct transaction_end {
  db_error failure;
  std::exception_ptr thrown{};
  error_code returned{};  ///< The error the caller's function returned, which rolled back.

  /// What the statistics count it as, and what decides whether another run is worth it.
  [[nodiscard]] error_code why() const noexcept { return failure.failed() ? failure.code() : returned; }
};

/// A read or write that has a session, until its caller is told how it ended.
class session_call : public write_group_node {
 public:
  /// Where it had to wait for a commit that others made: called once, when that is done, on the thread of whoever made it. `failure` is why it
  /// was not made, if so. This may be gone when it returns.
  virtual void told(const db_error& failure) noexcept = 0;

  /// Takes in what became of its group.
  void settle(const db_error& failure) {
    if (failure.failed() && !end.thrown) end.failure = failure;
  }
  /// For another run.
  void start_over() noexcept {
    end = {};
    well = false;
  }

  transaction_end end;
  bool well{false};  // to be committed, as far as it alone is concerned

 protected:
  session_call() = default;
  ~session_call() = default;
};

/// One whose caller blocks.
class blocked_call final : public session_call {
 public:
  void told(const db_error& failure) noexcept override {
    settle(failure);
    // From here on the thread may be gone, and this with it. Waking an address nobody waits at does no harm.
    told_.store(1, std::memory_order_release);
    told_.notify_one();
  }
  void wait() noexcept { told_.wait(0, std::memory_order_acquire); }

 private:
  std::atomic<int> told_{0};
};

/// Runs the function, and notes in `call` how it ended and whether it is to be committed. What is refused for lateness must not have happened, so a
/// write that ended too late does not.
void run_function(session_context& context, session_task& task, session_kind kind, session_call& call);

}  // namespace spillway::detail
