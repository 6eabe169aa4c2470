// SPDX-License-Identifier: Apache-2.0
// What became of a transaction whose commit got no answer.
#pragma once

#include "pg_connection.hpp"

#include "../../session_call.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace spillway::detail {

/// A transaction by its number, and the timeline on which it had it.
struct pg_transaction {
  std::uint64_t id{0};
  std::uint32_t timeline{0};

  /// The last of this session, if its number was asked for, and its commit is what was not answered.
  static std::optional<pg_transaction> of(const pg_connection& session);
};

enum class pg_outcome : std::uint8_t {
  committed,
  aborted,
  in_progress,
  not_told,   ///< Nobody was there to be asked.
  forgotten,  ///< The server is no primary, is on another timeline, or is too far on to know.
};

/// Asks a server. `same_timeline`: else its answer does not count, for the number may have been given out again.
pg_outcome ask_outcome(const pg_conninfo& server, const pg_transaction& transaction, bool same_timeline, deadline until);

/// Whether it is the last word; then `end` says so.
bool settle_outcome(pg_outcome outcome, transaction_end& end);

/// For how long to ask: what the call has left, a second at least, and `most`.
deadline pg_outcome_limit(deadline until, std::chrono::nanoseconds most);

}  // namespace spillway::detail
