// SPDX-License-Identifier: Apache-2.0
// Looks at SQL as far as a session must know it: where statements end, which parameters they use, and what they are about.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace spillway::detail {

enum class pg_statement_kind : std::uint8_t {
  plain,
  query,             ///< Only reads as far as its words tell: a cursor may run it.
  transaction,       ///< BEGIN, COMMIT, ROLLBACK and the like.
  transaction_mode,  ///< SET TRANSACTION, SET LOCAL transaction_...: what the session itself decides.
  rollback_to,       ///< The one statement that helps after a failure.
  session_state,     ///< SET without LOCAL, LISTEN, PREPARE, ...: would outlive the transaction.
  copy,
};

struct pg_statement {
  std::string_view text;  ///< From its first word up to its semicolon, or the end.
  pg_statement_kind kind{pg_statement_kind::plain};
  unsigned highest_parameter{0};
  unsigned missing_parameter{0};  ///< The lowest one below the highest that is not used; 0 if there is none.
  bool planned{false};            ///< One that is planned, SELECT or INSERT for instance: worth to be kept prepared.
};

/// More parameters than this are not taken.
inline constexpr unsigned pg_most_parameters{65'535};

/// The next statement at or behind `at` that is not empty, and moves `at` behind it; none if only blanks and comments are left.
/// Strings are read as with standard_conforming_strings.
[[nodiscard]] std::optional<pg_statement> pg_next_statement(std::string_view sql, std::size_t& at);

}  // namespace spillway::detail
