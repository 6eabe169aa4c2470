// SPDX-License-Identifier: Apache-2.0
// Compiled once for each CASE by liveness_compile_test.cmake: 0 must compile, the others must not.
#include <spillway/health/liveness_rule.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>

using spillway::liveness_rule;
using spillway::loop_heartbeat;

#if CASE == 0  // arithmetic on the heartbeat
constexpr liveness_rule rule{[](loop_heartbeat beat) noexcept { return beat.age < 2 * beat.allowed_age; }};
#elif CASE == 1  // captures something that could do I/O
bool check(std::FILE* file) {
  const liveness_rule rule{[file](loop_heartbeat) noexcept { return std::feof(file) == 0; }};
  return rule.alive({});
}
#elif CASE == 2  // reads a file
const liveness_rule rule{[](loop_heartbeat) noexcept { return std::fopen("/tmp/alive", "r") != nullptr; }};
#elif CASE == 3  // reads a file only once the loop is late
const liveness_rule rule{
    [](loop_heartbeat beat) noexcept { return beat.age < beat.allowed_age || std::fopen("/tmp/alive", "r") != nullptr; }};
#elif CASE == 4  // may throw
const liveness_rule rule{[](loop_heartbeat beat) { return beat.age < beat.allowed_age; }};
#elif CASE == 5  // reads a clock
const liveness_rule rule{
    [](loop_heartbeat) noexcept { return std::chrono::steady_clock::now() > std::chrono::steady_clock::time_point{}; }};
#elif CASE == 6  // takes a lock
std::mutex mutex;
const liveness_rule rule{[](loop_heartbeat) noexcept {
  const std::scoped_lock lock{mutex};
  return true;
}};
#elif CASE == 7  // depends on what another part of the program found out
std::atomic<bool> database_is_up;
const liveness_rule rule{[](loop_heartbeat) noexcept { return database_is_up.load(); }};
#elif CASE == 8  // is only known at run time
bool check(bool (*rule)(loop_heartbeat) noexcept) { return liveness_rule{rule}.alive({}); }
#endif
