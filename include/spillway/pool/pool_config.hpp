// SPDX-License-Identifier: Apache-2.0
/// @file
/// How a pool behaves, and what one call may ask for.
#pragma once

#include <spillway/core/backoff.hpp>
#include <spillway/core/clock.hpp>
#include <spillway/core/deadline.hpp>
#include <spillway/core/export.hpp>
#include <spillway/core/log.hpp>
#include <spillway/core/result.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <string>

namespace spillway {

/// Leave to open resources that a fleet of processes shares, one call for each resource. Without one a pool obeys its own `max` alone.
///
/// Threads: both members are called from any thread, under the pool's lock: they must not block.
class SPILLWAY_EXPORT pool_budget {
 public:
  virtual ~pool_budget();
  /// False: not now. The pool asks again, at the latest after 100 ms while somebody waits.
  virtual bool try_take() noexcept = 0;
  virtual void give_back() noexcept = 0;
};

struct pool_config {
  std::string name{"pool"};                          ///< In log events. 1 to 64 bytes.

  std::size_t max{10};                               ///< Most resources at any time: lent, idle, being opened or closed. In [1, 10'000].
  std::size_t min{0};                                ///< Kept open, lent or idle. In [0, max].
  std::size_t min_idle{0};                           ///< Kept idle, as far as `max` allows. In [0, max].
  std::size_t overflow{0};                           ///< On top of `max`, for pool_priority::critical alone. In [0, 1'000].
  std::size_t max_waiters{10'000};                   ///< Callers that may wait. In [0, 1'000'000].

  std::chrono::milliseconds acquire_timeout{5'000};  ///< Where the call names none. In [1 ms, 1 day].
  std::chrono::milliseconds connect_timeout{5'000};  ///< For opening. In [1 ms, 1 h].
  std::chrono::milliseconds ping_timeout{2'000};     ///< For a ping; below `acquire_timeout`, or callers wait in vain. In [1 ms, 1 h].
  std::size_t max_connecting{2};                     ///< Openings at the same time. In [1, 100].
  backoff_config reconnect{std::chrono::milliseconds{20}, std::chrono::milliseconds{150}};  ///< Between tries while the backend is down: one at a time.

  std::chrono::milliseconds idle_timeout{600'000};   ///< Idle beyond `min` and `min_idle` for this long: closed. 0: never; else in [10 ms, 1 day].
  std::chrono::milliseconds max_lifetime{1'800'000}; ///< Older: replaced, the successor first. 0: never; else in [10 ms, 30 days], not below `idle_timeout`.
  double lifetime_jitter_ratio{0.1};                 ///< Each resource lives up to this share shorter, so they do not end together. In [0, 0.9].
  std::chrono::milliseconds ping_after_idle{30'000}; ///< Idle for this long: pinged before it is lent. 0: never; else in [1 ms, 1 day].
  std::chrono::milliseconds keepalive{0};            ///< Idle resources are pinged this often. 0: never; else in [10 ms, 1 day].

  std::chrono::milliseconds slow_acquire{1'000};     ///< A wait this long is logged. 0: never; at most 1 day.
  std::chrono::milliseconds leak_after{0};           ///< Lent for this long: logged once as a leak, and named as cause of time-outs. 0: never; at most 30 days.

  log_sink log{};                                    ///< Hears of slow waits, leaks, failed openings and recovery.
  std::shared_ptr<pool_budget> budget;               ///< May be null.
  const clock_source* clock{nullptr};                ///< Null: the system's. Outlives the pool.
};

/// What is wrong with the configuration: field, value and legal range.
/// Errors: the text of the first problem; none if it can be used.
[[nodiscard]] SPILLWAY_EXPORT result<void, std::string> validate(const pool_config& config);

enum class pool_priority : std::uint8_t {
  normal,
  critical,  ///< Served before all normal callers, and may use `overflow`: health checks, cancel requests, what frees other resources.
};

/// What one call asks for. `label` must have static storage: a literal.
struct acquire_options {
  acquire_options(std::source_location asked_at = std::source_location::current()) noexcept : where{asked_at} {}  // NOLINT(google-explicit-constructor)
  template <class Rep, class Period>
  acquire_options(std::chrono::duration<Rep, Period> at_most, std::source_location asked_at = std::source_location::current()) noexcept  // NOLINT(google-explicit-constructor)
      : timeout{detail::saturated(at_most)}, where{asked_at} {}
  acquire_options(deadline latest, std::source_location asked_at = std::source_location::current()) noexcept  // NOLINT(google-explicit-constructor)
      : until{latest}, where{asked_at} {}

  std::optional<std::chrono::nanoseconds> timeout;  ///< From the call on. None: pool_config::acquire_timeout, unless `until` is given.
  deadline until;                                   ///< The request's own deadline; the sooner of both counts.
  const char* label{""};                            ///< Shown with the holder.
  pool_priority priority{pool_priority::normal};
  std::source_location where;
};

}  // namespace spillway
