// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a health check is: a question about one part of the program, how often it is asked, and what its answer means.
#pragma once

#include <spillway/core/deadline.hpp>
#include <spillway/core/export.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

namespace spillway {

/// Ordered by severity, but for `unknown`, which is no answer at all.
enum class health_state : std::uint8_t {
  ok,        ///< Works.
  degraded,  ///< Works, but worse than it should: slower, on a reserve, close to a limit.
  failed,    ///< Does not work.
  unknown,   ///< Never answered, or its last answer is too old to be believed.
};

/// "ok", "degraded", "failed", "unknown".
[[nodiscard]] SPILLWAY_EXPORT std::string_view to_string(health_state state) noexcept;

/// What a failed check means for the program as a whole.
enum class health_criticality : std::uint8_t {
  critical,      ///< Without this part no request can be served: the program is not ready.
  non_critical,  ///< Requests can still be served, worse: the program is degraded.
};

[[nodiscard]] SPILLWAY_EXPORT std::string_view to_string(health_criticality criticality) noexcept;

/// What one run of a check found out. The message is for people; at most 512 bytes of it are kept.
///
///     return health_result::degraded("replica is 12 s behind");
struct health_result {
  health_result() = default;
  health_result(health_state found, std::string text) : state{found}, message{std::move(text)} {}

  [[nodiscard]] static health_result ok(std::string message = {}) { return {health_state::ok, std::move(message)}; }
  [[nodiscard]] static health_result degraded(std::string message) { return {health_state::degraded, std::move(message)}; }
  [[nodiscard]] static health_result failed(std::string message) { return {health_state::failed, std::move(message)}; }
  /// The check could not find out. The state before is kept until it is stale.
  [[nodiscard]] static health_result unknown(std::string message) { return {health_state::unknown, std::move(message)}; }

  health_state state{health_state::unknown};
  std::string message;
};

/// What a running check knows about its run.
struct health_check_context {
  health_check_context(deadline answer_by, std::stop_token give_up) : until{answer_by}, stop{std::move(give_up)} {}

  deadline until;        ///< An answer after this is thrown away; the run has counted as failed.
  std::stop_token stop;  ///< Asked to stop when the deadline has passed or the monitor stops. A check that can wait should heed it.
};

/// Runs on a thread where it may block. Throwing counts as failed, with the exception's text. It must own what it uses, since a
/// run that hangs may outlive the monitor.
using blocking_health_check = std::function<health_result(const health_check_context&)>;

/// Takes the answer, from any thread. Only the first call counts; destroyed uncalled, the run counts as failed.
using health_completion = std::function<void(health_result)>;

/// Runs on the thread that drives the monitor: it must return at once, and complete whenever it knows.
using async_health_check = std::function<void(health_check_context, health_completion)>;

/// When a check runs, and how its answers become a state. The defaults are usable with a name of your own.
struct health_check_config {
  std::string name{};  ///< In reports and metrics: 1 to 64 of [A-Za-z0-9_.-], unique in a monitor.
  health_criticality criticality{health_criticality::critical};
  std::chrono::milliseconds interval{10'000};  ///< From one start to the next, at the least. In [10 ms, 1 day].
  /// After this a run counts as failed, and once more for each interval it still hangs. In [1 ms, 1 h].
  std::chrono::milliseconds timeout{2'000};
  /// An answer older than this makes the state unknown. Above interval x (1 + jitter_ratio) + timeout, for a reporter above zero; at most
  /// 7 days; none means 3 x interval + timeout.
  std::optional<std::chrono::milliseconds> stale_after{};
  std::uint32_t failures_to_fail{3};      ///< Answers in a row at least as bad, before the state gets that bad. In [1, 100].
  std::uint32_t successes_to_recover{2};  ///< Answers in a row at least as good, before the state gets that good. In [1, 100].
  double jitter_ratio{0.1};               ///< Each interval is lengthened by a random share up to this. In [0, 1].
  /// Share of its usual traffic the program should get while this check keeps it degraded. In [0, 1].
  double degraded_weight_ratio{0.5};
};

}  // namespace spillway
