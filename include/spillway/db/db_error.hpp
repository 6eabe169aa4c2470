// SPDX-License-Identifier: Apache-2.0
/// @file
/// What can go wrong in a database, whichever engine it is.
#pragma once

#include <spillway/core/error.hpp>
#include <spillway/core/export.hpp>
#include <spillway/core/result.hpp>

#include <boost/assert/source_location.hpp>
#include <boost/system/system_error.hpp>

#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>

namespace spillway {

enum class db_errc {
  busy = 1,               ///< No session is free now, the server takes no more of them, or somebody keeps a lock. errc::overloaded.
  queue_full,             ///< As many callers wait for a session as may. errc::overloaded.
  timed_out,              ///< The deadline passed, waiting or running; nothing was committed. errc::timed_out.
  cancelled,              ///< The caller gave up; nothing was committed. errc::cancelled.
  shutting_down,          ///< The database is closing, or closed. errc::shutting_down.
  would_deadlock,         ///< A thread that holds a session, or works for the database, asked to wait for one. errc::invalid.
  read_only,              ///< A statement that writes, in a read. errc::permission_denied.
  not_allowed,            ///< Transaction control, ATTACH or a setting, from inside a session. errc::permission_denied.
  unique_violation,       ///< errc::conflict.
  foreign_key_violation,  ///< errc::conflict.
  not_null_violation,     ///< errc::invalid.
  check_violation,        ///< errc::invalid.
  constraint_violation,   ///< Any other constraint, or a trigger that refuses. errc::conflict.
  type_mismatch,          ///< The column cannot take a value of that type, or the value is NaN. errc::invalid.
  syntax_error,           ///< errc::invalid.
  no_such_object,         ///< The SQL names a table, column or function that does not exist. errc::invalid.
  wrong_parameters,       ///< The values given are not those the SQL asks for. errc::invalid.
  multiple_statements,    ///< More than one statement where one is taken. errc::invalid.
  invalid_statement,      ///< The engine refuses the statement for another reason. errc::invalid.
  value_too_large,        ///< A value or statement beyond the configured size. errc::invalid.
  result_too_large,       ///< A result beyond the configured size: stream it. errc::invalid.
  too_many_rows,          ///< Several rows where at most one was expected. errc::conflict.
  incompatible_schema,    ///< The database belongs to another program, or to a newer version of this one. errc::conflict.
  disk_full,              ///< Or the configured size of the database is reached. errc::unavailable.
  io_error,               ///< errc::unavailable.
  cannot_open,            ///< errc::unavailable.
  out_of_memory,          ///< errc::unavailable.
  corrupt,                ///< The file is damaged, or not a database. errc::internal.
  callback_threw,         ///< The caller's function threw; nothing was committed. errc::internal.
  engine_error,           ///< Anything else the engine reports. errc::internal.
  serialization_failure,  ///< Transactions ran into each other and this one gave way: run it again. errc::conflict.
  deadlock_detected,      ///< This transaction was ended to free others: run it again. errc::conflict.
  connection_lost,        ///< The server ended the session or cannot be heard; nothing was committed. errc::unavailable.
  commit_unknown,         ///< The connection was lost during the commit: it may have happened or not. errc::internal.
  not_primary,            ///< The server takes no writes: a replica, or a primary that is handing over. errc::unavailable.
  authentication_failed,  ///< The server does not accept the user or the password. errc::internal.
  stale_statement,        ///< The schema has changed under a prepared statement: run the transaction again. errc::conflict.
  permission_denied,      ///< The user of the connection may not do that. errc::permission_denied.
  not_supported,          ///< The engine has nothing of the kind. errc::invalid.
  cursor_malformed,       ///< Not a cursor of this library, or of another version of it. errc::invalid.
  cursor_truncated,       ///< The end of a cursor is missing. errc::invalid.
  cursor_tampered,        ///< A cursor was changed, or its key is no longer accepted. errc::invalid.
  cursor_foreign,         ///< A cursor of another query, sort or parameters. errc::invalid.
  cursor_expired,         ///< errc::invalid.
  invalid_token,          ///< Text that should be a consistency token is none. errc::invalid.
  foreign_token,          ///< A consistency token of another database system. errc::invalid.
  partition_conflict,     ///< Something is in the way of a partition that must be made. errc::conflict.
  foreign_node,           ///< A server of a cluster belongs to another database system than the rest. errc::conflict.
  no_fresh_node,          ///< No replica is fresh enough for a read, and the primary may not take it. errc::unavailable.
  aborted,                ///< Another write that shared the transaction ended it; nothing was committed, and again it may work. errc::unavailable.
};

}  // namespace spillway

template <>
struct boost::system::is_error_code_enum<spillway::db_errc> : std::true_type {};

namespace spillway {

/// The values of db_errc are 1 to this.
inline constexpr int db_errc_count{50};

[[nodiscard]] SPILLWAY_EXPORT const boost::system::error_category& db_category() noexcept;

/// The name of the value: "busy".
[[nodiscard]] SPILLWAY_EXPORT std::string_view to_string(db_errc code) noexcept;

[[nodiscard]] inline error_code make_error_code(db_errc code) noexcept { return {static_cast<int>(code), db_category()}; }

/// A failure with what the engine said about it.
///
///     if (auto done = db.write(transfer); !done) {
///       if (done.error().code() == errc::overloaded) retry_later();
///       else log(done.error().what());
///     }
///
/// Threads: a value; copies share the text.
class SPILLWAY_EXPORT db_error {
 public:
  /// Longer statements are cut, and end in "...".
  static constexpr std::size_t sql_limit_bytes{512};

  /// No failure.
  db_error() noexcept = default;
  db_error(db_errc code) noexcept : code_{code} {}  // NOLINT(google-explicit-constructor): so that `return db_errc::busy` works
  /// `message` is for people: the engine's words, or ours where we refuse. `native_code` is the engine's number, 0 if it was not asked.
  db_error(db_errc code, std::string message, int native_code = 0, std::string_view sql = {});

  [[nodiscard]] error_code code() const noexcept { return code_; }
  [[nodiscard]] bool failed() const noexcept { return code_.failed(); }
  [[nodiscard]] int native_code() const noexcept;
  /// Empty if there is nothing to say beyond the code.
  [[nodiscard]] std::string_view message() const noexcept;
  /// The statement that failed; values are never part of it. Empty if it was not about a statement.
  [[nodiscard]] std::string_view sql() const noexcept;
  /// The same failure, with more to say in front of its message.
  [[nodiscard]] db_error prefixed(std::string_view more) const;
  /// All of it in one line.
  [[nodiscard]] std::string what() const;

  friend bool operator==(const db_error& left, db_errc right) noexcept { return left.code_ == make_error_code(right); }
  friend bool operator==(const db_error& left, errc right) noexcept { return left.code_ == right; }
  friend SPILLWAY_EXPORT std::ostream& operator<<(std::ostream& out, const db_error& error);

 private:
  struct text;
  error_code code_;
  std::shared_ptr<const text> text_;
};

/// What `value()` of a failed `result<T, db_error>` throws.
class SPILLWAY_EXPORT db_exception : public boost::system::system_error {
 public:
  explicit db_exception(db_error error);
  ~db_exception() override;
  [[nodiscard]] const db_error& error() const noexcept { return error_; }

 private:
  db_error error_;
};

/// Called by `result`, found by argument-dependent lookup.
[[noreturn]] SPILLWAY_EXPORT void throw_exception_from_error(const db_error& error, const boost::source_location& where);

}  // namespace spillway
