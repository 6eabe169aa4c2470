// SPDX-License-Identifier: Apache-2.0
// Threads that may be lost to work that never returns.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

namespace spillway::detail {

/// Makes a thread whenever none is free, up to a number, and lets most of them go again. Work never waits in a queue, so what hangs holds
/// up nothing else.
///
/// Threads: `try_run` from any; the destructor from none of its own.
class check_threads {
 public:
  explicit check_threads(std::size_t most);
  ~check_threads();
  check_threads(const check_threads&) = delete;
  check_threads& operator=(const check_threads&) = delete;

  /// False if every thread is busy, or another cannot be made. `work` does not throw.
  [[nodiscard]] bool try_run(std::function<void()> work);

  /// Takes no more work, and waits for the threads to go, no longer than `patience`. Gives the number of those that are still in work, and
  /// are left behind.
  std::size_t shut_down(std::chrono::nanoseconds patience);

 private:
  struct shared;
  std::shared_ptr<shared> shared_;  // also held by each thread
};

}  // namespace spillway::detail
