// SPDX-License-Identifier: Apache-2.0
// Retry a flaky call with jittered waits, and stop at the request's deadline.
#include <spillway/core/backoff.hpp>
#include <spillway/core/clock.hpp>
#include <spillway/core/deadline.hpp>

#include <iostream>
#include <random>
#include <thread>

using namespace std::chrono_literals;

int main() {
  const auto& clock = spillway::system_clock_source();
  const auto until = spillway::deadline::after(clock.now(), 2s);
  spillway::decorrelated_backoff backoff{{.base = 5ms, .cap = 200ms}};
  std::mt19937_64 generator{std::random_device{}()};

  int calls = 0;
  const auto flaky_call = [&calls] { return ++calls == 4; };  // succeeds the fourth time

  while (!flaky_call()) {
    const auto wait = backoff.next(generator);
    if (until.remaining(clock.now()) <= wait) {
      std::cerr << "gave up at the deadline\n";
      return 1;
    }
    std::cout << "call " << calls << " failed, waiting " << wait.count() << " ms\n";
    std::this_thread::sleep_for(wait);
  }
  std::cout << "call " << calls << " succeeded\n";
}
