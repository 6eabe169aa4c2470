// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a health endpoint answers.
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/core/export.hpp>
#include <spillway/health/health_check.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

/// What the asker wants to know.
enum class health_probe : std::uint8_t {
  liveness,   ///< Would a restart help? From the heartbeats of event loops alone.
  readiness,  ///< May this instance get traffic? From the checks, and from draining.
  startup,    ///< Has every critical check been well once? Stays yes until another is added.
};

/// One check, or one event loop in a liveness report.
struct health_check_report {
  std::string name;
  health_state state{health_state::unknown};
  health_criticality criticality{health_criticality::critical};
  std::string message;                            ///< Of the last answer.
  std::optional<std::chrono::nanoseconds> age;    ///< Since the last answer or beat; none if there was none.
  std::chrono::nanoseconds duration{0};           ///< Of the last run.
  wall_time_point changed_at{};                   ///< When the state last changed.
  std::uint32_t consecutive_failures{0};
  bool hung{false};                               ///< Its last run is past its deadline and has not returned.
};

/// A word for programs, and whatever is behind it for people.
struct health_report {
  health_probe probe{health_probe::readiness};
  health_state state{health_state::ok};
  int http_status{200};        ///< 200 or 503.
  double weight_ratio{1.0};    ///< Share of its usual traffic the instance should get. 0 with status 503.
  std::string_view reason;     ///< Why it is not ok, one of a few fixed words; see `to_json`. Empty if ok.
  std::vector<health_check_report> checks;
};

enum class health_detail : std::uint8_t {
  hidden,  ///< State, reason and weight: for a public address.
  full,    ///< Also every check with its message: for operators.
};

/// The body of the answer, one JSON object:
///
///     {"status":"degraded","reason":"check_degraded","weight":0.5,"checks":[...]}
///
/// The reasons: draining, starting, check_failed, check_degraded, check_unknown, loop_stalled, fatal.
[[nodiscard]] SPILLWAY_EXPORT std::string to_json(const health_report& report, health_detail detail = health_detail::hidden);

inline constexpr std::string_view health_content_type{"application/json"};

}  // namespace spillway
