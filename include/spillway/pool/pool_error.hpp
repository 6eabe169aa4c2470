// SPDX-License-Identifier: Apache-2.0
/// @file
/// Why a pool gave no resource, in a form that a program and a person can act on.
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/core/error.hpp>
#include <spillway/core/export.hpp>
#include <spillway/core/result.hpp>

#include <boost/assert/source_location.hpp>
#include <boost/system/system_error.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

enum class pool_errc {
  exhausted = 1,    ///< Nothing is free now, and the caller does not wait. errc::overloaded.
  queue_full,       ///< As many callers wait as may. errc::overloaded.
  timed_out,        ///< The deadline passed in the queue; see pool_error::cause. errc::timed_out.
  backend_down,     ///< Opening fails and nothing is left to wait for; see pool_error::reason and next_try. errc::unavailable.
  cancelled,        ///< The caller gave up. errc::cancelled.
  shutting_down,    ///< The pool drains, or is drained. errc::shutting_down.
};

/// What held up a caller whose time ran out.
enum class pool_wait_cause : std::uint8_t {
  none,        ///< The caller did not wait.
  queue,       ///< All resources were lent, and others were ahead.
  connecting,  ///< Resources were being opened, or waited for their turn to be.
  backend,     ///< Opening failed.
  validation,  ///< Resources were being pinged.
  leak,        ///< All resources were lent, some for longer than pool_config::leak_after.
  budget,      ///< The fleet budget gave no leave to open another.
  nested,      ///< All resources were lent, some to the very thread that blocked for another: it may have waited for itself.
};
inline constexpr std::size_t pool_wait_cause_count{8};

[[nodiscard]] SPILLWAY_EXPORT std::string_view to_string(pool_errc code) noexcept;
[[nodiscard]] SPILLWAY_EXPORT std::string_view to_string(pool_wait_cause cause) noexcept;

}  // namespace spillway

template <>
struct boost::system::is_error_code_enum<spillway::pool_errc> : std::true_type {};

namespace spillway {

/// The values of pool_errc are 1 to this.
inline constexpr std::size_t pool_errc_count{6};

[[nodiscard]] SPILLWAY_EXPORT const boost::system::error_category& pool_category() noexcept;
[[nodiscard]] inline error_code make_error_code(pool_errc code) noexcept { return {static_cast<int>(code), pool_category()}; }

/// Who has a resource. The texts have static storage.
struct pool_holder {
  std::source_location where;     ///< Where the resource was asked for.
  const char* label{""};
  std::chrono::nanoseconds age{};  ///< Since it was lent.
};

/// A refusal, and the state of the pool at that moment.
///
///     if (!lease) log(lease.error().what());
///     // nothing became free in time after 500.0 ms (cause: leak): 10 lent of at most 10, 10 open, 0 being opened, 3 others waiting; lent longest:
///     // report.cpp:41 "nightly" for 93.200 s, ...
///
/// Threads: a value; copies share the details.
/// Cost:    `exhausted` and `queue_full` carry nothing and allocate nothing.
class SPILLWAY_EXPORT pool_error {
 public:
  static constexpr std::size_t most_holders{8};

  struct details {
    pool_wait_cause cause{pool_wait_cause::none};
    std::chrono::nanoseconds waited{};
    std::size_t lent{0}, open{0}, opening{0}, most{0}, waiting{0};
    std::size_t lost{0};         ///< Openings that passed their deadline and have not ended.
    error_code reason;           ///< Of the last failed opening.
    std::string reason_text;
    std::chrono::nanoseconds next_try{};  ///< From now until opening is tried again; meaningful with `backend_down`.
    std::vector<pool_holder> holders;     ///< The longest, at most `most_holders`.
  };

  /// No failure.
  pool_error() noexcept = default;
  pool_error(pool_errc code) noexcept : code_{code} {}  // NOLINT(google-explicit-constructor): so that `return pool_errc::exhausted` works
  pool_error(pool_errc code, details more);

  [[nodiscard]] error_code code() const noexcept { return code_; }
  [[nodiscard]] bool failed() const noexcept { return code_.failed(); }
  [[nodiscard]] pool_wait_cause cause() const noexcept;
  /// Why the last opening failed; no failure if none did.
  [[nodiscard]] error_code reason() const noexcept;
  [[nodiscard]] std::string_view reason_text() const noexcept;
  /// How long until the pool tries to open again. Zero unless the code is backend_down.
  [[nodiscard]] std::chrono::nanoseconds next_try() const noexcept;
  /// Who had the resources, those who had them longest first.
  [[nodiscard]] std::span<const pool_holder> holders() const noexcept;
  /// Null for a bare code.
  [[nodiscard]] const details* more() const noexcept { return details_.get(); }
  /// All of it in one line.
  [[nodiscard]] std::string what() const;

  friend bool operator==(const pool_error& left, pool_errc right) noexcept { return left.code_ == make_error_code(right); }
  friend bool operator==(const pool_error& left, errc right) noexcept { return left.code_ == right; }
  friend SPILLWAY_EXPORT std::ostream& operator<<(std::ostream& out, const pool_error& error);

 private:
  error_code code_;
  std::shared_ptr<const details> details_;
};

/// What `value()` of a failed `result<T, pool_error>` throws.
class SPILLWAY_EXPORT pool_exception : public boost::system::system_error {
 public:
  explicit pool_exception(pool_error error);
  ~pool_exception() override;
  [[nodiscard]] const pool_error& error() const noexcept { return error_; }

 private:
  pool_error error_;
};

/// Called by `result`, found by argument-dependent lookup.
[[noreturn]] SPILLWAY_EXPORT void throw_exception_from_error(const pool_error& error, const boost::source_location& where);

/// One line of a holder list: `report.cpp:41 "nightly" for 93.2 s`.
[[nodiscard]] SPILLWAY_EXPORT std::string to_string(const pool_holder& holder);

}  // namespace spillway
