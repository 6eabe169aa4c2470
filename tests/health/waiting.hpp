// SPDX-License-Identifier: Apache-2.0
// To wait for other threads, without sleeping.
#pragma once

#include <spillway/health/health_check.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

namespace spillway::testing {

inline health_check_config quick(std::string name) {
  return {.name = std::move(name), .interval = std::chrono::milliseconds{10}, .timeout = std::chrono::seconds{5}, .failures_to_fail = 1, .successes_to_recover = 1};
}

/// Waits until something was done a number of times; more often does no harm.
class tally {
 public:
  void arrive() {
    ++count_;
    count_.notify_all();
  }
  void wait_for(int times) {
    for (int seen = count_; seen < times; seen = count_) count_.wait(seen);
  }

 private:
  std::atomic<int> count_{0};
};

/// Waits for what other threads bring about. Its patience ends the test, never decides it.
template <class Condition>
void await(Condition condition) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  while (!condition()) {
    REQUIRE(std::chrono::steady_clock::now() < give_up);
    std::this_thread::yield();
  }
}

}  // namespace spillway::testing
