// SPDX-License-Identifier: Apache-2.0
// When a connection has waited long enough, as a table.
#pragma once

#include <spillway/core/clock.hpp>

#include <chrono>
#include <cstdint>

namespace spillway::detail {

enum class connection_phase : std::uint8_t {
  fresh,      ///< Nothing received yet.
  idle,       ///< Between two requests.
  head,       ///< Part of a head received.
  body,       ///< Part of a body received.
  handling,   ///< The handler works.
  writing,    ///< The client takes the response slowly.
  lingering,  ///< All is said; the client is left time to read it before the connection goes.
};

struct connection_timeouts {
  std::chrono::nanoseconds idle;
  std::chrono::nanoseconds head;
  std::chrono::nanoseconds body;
  std::chrono::nanoseconds write;
};

enum class timeout_verdict : std::uint8_t { wait, tell_client, close };

inline constexpr std::chrono::seconds linger_for{1};

/// `since` is when the phase began; in `writing`, when the client last took something.
[[nodiscard]] constexpr timeout_verdict judge(connection_phase phase, time_point since, time_point now,
                                              const connection_timeouts& limits) noexcept {
  const auto beyond = [waited = now - since](std::chrono::nanoseconds limit, timeout_verdict verdict) {
    return waited >= limit ? verdict : timeout_verdict::wait;
  };
  switch (phase) {
    case connection_phase::fresh: return beyond(limits.head, timeout_verdict::close);
    case connection_phase::idle: return beyond(limits.idle, timeout_verdict::close);
    case connection_phase::head: return beyond(limits.head, timeout_verdict::tell_client);
    case connection_phase::body: return beyond(limits.body, timeout_verdict::tell_client);
    case connection_phase::handling: return timeout_verdict::wait;
    case connection_phase::writing: return beyond(limits.write, timeout_verdict::close);
    case connection_phase::lingering: return beyond(linger_for, timeout_verdict::close);
  }
  return timeout_verdict::wait;
}

}  // namespace spillway::detail
