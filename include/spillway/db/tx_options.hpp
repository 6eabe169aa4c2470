// SPDX-License-Identifier: Apache-2.0
/// @file
/// What one call to a database may ask for, and when a transaction is run again.
#pragma once

#include <spillway/core/deadline.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <source_location>
#include <string>

namespace spillway {

class consistency_token;

/// What a transaction sees of others. SQLite always gives `serializable`.
enum class tx_isolation : std::uint8_t {
  usual,            ///< A read: one snapshot of the data (repeatable_read). A write: read_committed.
  read_committed,   ///< Each statement sees what was committed before it began.
  repeatable_read,  ///< All statements see what was committed before the first of them.
  serializable,     ///< As if transactions ran one after the other; some fail with db_errc::serialization_failure. For `run_tx`.
};

/// How long one call may take, what it must see, and what it is called in the log.
struct session_options {
  // Not an aggregate: may be a temporary in a co_await expression. NOLINTBEGIN(google-explicit-constructor)
  session_options(std::source_location asked_at = std::source_location::current()) : where{asked_at} {}
  template <class Rep, class Period>
  session_options(std::chrono::duration<Rep, Period> at_most, std::source_location asked_at = std::source_location::current())
      : timeout{detail::saturated(at_most)}, where{asked_at} {}
  session_options(deadline latest, std::source_location asked_at = std::source_location::current()) : until{latest}, where{asked_at} {}
  // NOLINTEND(google-explicit-constructor)

  std::optional<std::chrono::nanoseconds> timeout;  ///< From the call on. None: `database_config.timeout`.
  deadline until;                                   ///< The request's own deadline; the sooner of both counts.
  std::string label;                                ///< Goes into the log with slow statements.
  /// Shares no commit: for a write that takes long, as those who ended before it would wait for it, or one that waits for another to return.
  bool alone{false};
  std::source_location where;                       ///< Where the session was asked for: named in time-outs of others, and with leaks.

  tx_isolation isolation{tx_isolation::usual};
  /// In and out: a read sees at least what the token stands for, and leaves it as it is; what a write commits is merged into it. One call at a time; it
  /// outlives the call. Null: nothing is asked for. Without replicas it stays empty.
  consistency_token* token{nullptr};
  /// A read may come from a replica that is at most this far behind. None: from any that is not ejected.
  std::optional<std::chrono::milliseconds> max_staleness;
  bool on_primary{false};  ///< A read that must not come from a replica.
};

/// When `run_tx` and `run_read` run their function again, and how often all calls together may.
struct tx_retry_config {
  std::size_t attempts{5};                ///< Of one call, the first included. In [1, 100].
  std::chrono::milliseconds base{2};      ///< Shortest pause between two, see decorrelated_backoff. In [1 ms, 1 min].
  std::chrono::milliseconds cap{250};     ///< Longest. In [base, 1 min].
  double budget_ratio{0.2};               ///< Runs again for each call, over all calls. In [0, 10].
  std::size_t budget_burst{100};          ///< Runs again that may be saved up for bad times. In [1, 1'000'000].
};

}  // namespace spillway
