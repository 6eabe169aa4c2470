// SPDX-License-Identifier: Apache-2.0
// A connection that never blocks, and waits that end.
#pragma once

#include "pg_conninfo.hpp"
#include "pg_result.hpp"

#include <spillway/core/deadline.hpp>
#include <spillway/db/database.hpp>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace spillway::detail {

enum class pg_wait : std::uint8_t { ready, timed_out, cancelled, lost };

struct pg_limit {
  deadline until;
  const std::atomic<bool>* cancelled{nullptr};  ///< Looked at every few milliseconds, as is the next.
  const std::atomic<bool>* lost{nullptr};       ///< Nobody is there any more, whatever the connection says.

  [[nodiscard]] bool is_watched() const noexcept { return cancelled != nullptr || lost != nullptr; }
  /// What became of it other than by time.
  [[nodiscard]] pg_wait news() const noexcept {
    if (cancelled != nullptr && cancelled->load(std::memory_order_relaxed)) return pg_wait::cancelled;
    if (lost != nullptr && lost->load(std::memory_order_relaxed)) return pg_wait::lost;
    return pg_wait::ready;
  }
};

/// Threads: one at a time.
class pg_channel {
 public:
  /// Blocks for the resolution of names, which has bounds of its own, and waits for the server within `limit`.
  static result<pg_channel, db_error> connect(const pg_conninfo& info, session_kind kind, const pg_limit& limit);

  [[nodiscard]] PGconn* raw() const noexcept { return handle_.get(); }

  /// Hands over what it can at once; the rest goes with `next`.
  void flush() noexcept;
  /// The next result; null in `into` ends those of one command. After `lost` there is none.
  pg_wait next(const pg_limit& limit, pg_result& into);

  /// Whether the other side has closed, and what it said in that case has been read. Never blocks, no round trip.
  [[nodiscard]] bool peek() noexcept;
  [[nodiscard]] bool lost() const noexcept { return lost_ || PQstatus(handle_.get()) == CONNECTION_BAD; }
  [[nodiscard]] std::string_view last_words() const noexcept { return PQerrorMessage(handle_.get()); }

  /// Waits for events of poll(2), and takes in what has come. `ready` does not promise that there is more than before: ask again.
  pg_wait receive(short events, const pg_limit& limit) noexcept;
  /// Whether a part of what has come may lie in the library of ciphers, while the socket is silent: where libpq had room for some of a record of TLS,
  /// it keeps the rest there, and does not tell.
  [[nodiscard]] bool may_hide() const noexcept { return PQsslInUse(handle_.get()) != 0 || PQgssEncInUse(handle_.get()) != 0; }
  /// Whether the socket has something, now.
  [[nodiscard]] bool readable() noexcept;

 private:
  /// Waits for events of poll(2).
  pg_wait wait(short events, const pg_limit& limit) noexcept;

  explicit pg_channel(pg_handle handle) noexcept : handle_{std::move(handle)} {}

  pg_handle handle_;
  bool lost_{false};
  bool looked_{false};  // `receive` has not waited the last time
};

}  // namespace spillway::detail
