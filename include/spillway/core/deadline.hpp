// SPDX-License-Identifier: Apache-2.0
/// @file
/// The time by which a request must be answered, handed down to everything done for it.
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/core/result.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

namespace spillway {

namespace detail {
/// The nearest that nanoseconds can count; std::chrono::hours::max() is far beyond it.
template <class Rep, class Period>
[[nodiscard]] constexpr std::chrono::nanoseconds saturated(std::chrono::duration<Rep, Period> given) {
  using std::chrono::nanoseconds;
  const std::chrono::duration<double, std::nano> about{given};
  if (about >= nanoseconds::max()) return nanoseconds::max();
  if (about <= nanoseconds::min()) return nanoseconds::min();
  return std::chrono::duration_cast<nanoseconds>(given);
}
}  // namespace detail

/// A point in local time after which an answer is worth nothing; or never.
///
///     auto until = deadline::after(clock.now(), 2s);
///     auto inner = until.sooner(deadline::after(clock.now(), 500ms));   // the database gets less
///
/// Threads: a value; copy it.
class deadline {
 public:
  /// Never passes.
  constexpr deadline() noexcept = default;
  constexpr explicit deadline(time_point at) noexcept : at_{at} {}

  [[nodiscard]] static constexpr deadline never() noexcept { return {}; }

  /// `timeout` from `now`; a timeout too long to be represented means never, a negative one is already past.
  [[nodiscard]] static constexpr deadline after(time_point now, std::chrono::nanoseconds timeout) noexcept {
    return timeout >= time_point::max() - now ? deadline{} : deadline{now + timeout};
  }

  [[nodiscard]] constexpr bool is_never() const noexcept { return at_ == time_point::max(); }
  [[nodiscard]] constexpr bool passed(time_point now) const noexcept { return !is_never() && now >= at_; }

  /// Zero once passed; the largest duration if never.
  [[nodiscard]] constexpr std::chrono::nanoseconds remaining(time_point now) const noexcept {
    if (is_never()) return std::chrono::nanoseconds::max();
    return std::max(std::chrono::nanoseconds{0}, std::chrono::nanoseconds{at_ - now});
  }

  /// time_point::max() if never.
  [[nodiscard]] constexpr time_point at() const noexcept { return at_; }

  [[nodiscard]] constexpr deadline sooner(deadline other) const noexcept { return at_ <= other.at_ ? *this : other; }

  friend constexpr bool operator==(deadline, deadline) noexcept = default;

 private:
  time_point at_{time_point::max()};
};

/// A deadline as it travels to another process: the milliseconds left, rounded down, as decimal digits. Clocks are not shared between
/// hosts, so the remaining time is sent, never the point in time. Empty if never.
[[nodiscard]] SPILLWAY_EXPORT std::string encode_deadline(deadline until, time_point now);

/// Reads what `encode_deadline` wrote. `longest` bounds what a stranger may ask for; a longer wish is cut to it.
/// Errors: core_errc::malformed for anything but one to twelve decimal digits.
[[nodiscard]] SPILLWAY_EXPORT result<deadline> decode_deadline(std::string_view text, time_point now,
                                                               std::chrono::milliseconds longest);

}  // namespace spillway
