// SPDX-License-Identifier: Apache-2.0
// What became of a transaction whose commit got no answer.
#pragma once

#include "pg_connection.hpp"

#include "../../session_call.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace spillway::detail {

/// A transaction by its number, with what the number counts on.
struct pg_transaction {
  std::uint64_t id{0};
  std::uint32_t timeline{0};
  std::string statistics_began;  ///< Of the server, which loses them in a crash.

  /// The last of this session, if its number was asked for, and its commit is what was not answered.
  static std::optional<pg_transaction> of(const pg_connection& session);
};

enum class pg_outcome : std::uint8_t {
  committed,
  aborted,
  in_progress,
  not_told,   ///< Nobody was there to be asked.
  forgotten,  ///< The server is no primary, is on another timeline, or has crashed since: it cannot know.
};

struct pg_outcome_answer {
  pg_outcome outcome{pg_outcome::not_told};
  /// `committed`: the commit lies before this.
  pg_position place{};
};

/// Asks a server. `itself`: it is the one the transaction ran on. Else the caller knows that this one gives out no such number again.
pg_outcome_answer ask_outcome(const pg_conninfo& server, const pg_transaction& transaction, bool itself, deadline until);

/// Whether it is the last word; then `end` says so.
bool settle_outcome(pg_outcome outcome, transaction_end& end);

/// For how long to ask: what the call has left, a second at least, and `most`.
deadline pg_outcome_limit(deadline until, std::chrono::nanoseconds most);

}  // namespace spillway::detail
