// SPDX-License-Identifier: Apache-2.0
/// @file
/// Decides whether a restart would help, from the heartbeat of a loop and from nothing else.
#pragma once

#include <chrono>
#include <type_traits>

namespace spillway {

/// What is known of one event loop.
struct loop_heartbeat {
  std::chrono::nanoseconds age;          ///< Time since the loop last ran what it was given.
  std::chrono::nanoseconds lag;          ///< How long the last beat waited for its turn. Zero for a loop that beats by itself.
  std::chrono::nanoseconds allowed_age;  ///< health_monitor_config::max_heartbeat_age.
};

/// Says whether the process is alive. A failed liveness probe gets a process killed, so the answer must not depend on anything outside
/// it: a database that is down would have every instance restarted. Hence the type takes only a noexcept function object without
/// captures, and tries it out while compiling, on ages from none to a month: in a branch that those reach, anything that is not constexpr,
/// such as reading a file or a clock or taking a lock, does not compile. What only std::is_constant_evaluated() hides is not seen.
///
///     constexpr liveness_rule patient{[](loop_heartbeat beat) noexcept { return beat.age < 3 * beat.allowed_age; }};
///
/// Threads: a value; copy it.
class liveness_rule {
 public:
  template <class Rule>
    requires(std::is_empty_v<Rule> && std::is_nothrow_invocable_r_v<bool, const Rule&, loop_heartbeat>)
  explicit consteval liveness_rule(Rule rule) : decide_{rule} {
    // Ages from none to a month, as shares of what is allowed and with every lag, so that all branches of a rule are seen.
    constexpr std::chrono::nanoseconds longest{std::chrono::hours{24 * 30}};
    for (std::chrono::nanoseconds age{0}; age < longest; age = 2 * age + std::chrono::milliseconds{1}) {
      for (std::chrono::nanoseconds lag{0}; lag < longest; lag = 32 * lag + std::chrono::milliseconds{1}) {
        for (std::chrono::nanoseconds allowed{std::chrono::milliseconds{10}}; allowed < longest; allowed *= 64) {
          (void)rule(loop_heartbeat{age, lag, allowed});
        }
      }
    }
  }

  [[nodiscard]] bool alive(loop_heartbeat beat) const noexcept { return decide_(beat); }

 private:
  bool (*decide_)(loop_heartbeat) noexcept;
};

/// Alive as long as the last beat is not older than allowed.
inline constexpr liveness_rule beats_in_time{[](loop_heartbeat beat) noexcept { return beat.age <= beat.allowed_age; }};

}  // namespace spillway
