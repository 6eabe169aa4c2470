// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/db_error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <ostream>
#include <utility>

namespace spillway {

struct db_error::text {
  std::string message;
  std::string sql;
  int native_code;
};

namespace {

struct code_row {
  db_errc code;
  std::string_view name;
  const char* message;
  errc condition;
};

constexpr code_row code_rows[]{
    {db_errc::busy, "busy", "no session is free, or a lock is held", errc::overloaded},
    {db_errc::queue_full, "queue_full", "too many callers wait for a session", errc::overloaded},
    {db_errc::timed_out, "timed_out", "the deadline passed", errc::timed_out},
    {db_errc::cancelled, "cancelled", "cancelled", errc::cancelled},
    {db_errc::shutting_down, "shutting_down", "the database is closed", errc::shutting_down},
    {db_errc::would_deadlock, "would_deadlock", "asked for a session while holding one, or on a thread of the database", errc::invalid},
    {db_errc::read_only, "read_only", "a read cannot write", errc::permission_denied},
    {db_errc::not_allowed, "not_allowed", "not allowed inside a session", errc::permission_denied},
    {db_errc::unique_violation, "unique_violation", "unique constraint violated", errc::conflict},
    {db_errc::foreign_key_violation, "foreign_key_violation", "foreign key constraint violated", errc::conflict},
    {db_errc::not_null_violation, "not_null_violation", "not-null constraint violated", errc::invalid},
    {db_errc::check_violation, "check_violation", "check constraint violated", errc::invalid},
    {db_errc::constraint_violation, "constraint_violation", "constraint violated", errc::conflict},
    {db_errc::type_mismatch, "type_mismatch", "the column cannot take a value of that type", errc::invalid},
    {db_errc::syntax_error, "syntax_error", "syntax error", errc::invalid},
    {db_errc::no_such_object, "no_such_object", "no such table, column or function", errc::invalid},
    {db_errc::wrong_parameters, "wrong_parameters", "wrong parameters", errc::invalid},
    {db_errc::multiple_statements, "multiple_statements", "more than one statement", errc::invalid},
    {db_errc::invalid_statement, "invalid_statement", "invalid statement", errc::invalid},
    {db_errc::value_too_large, "value_too_large", "value or statement too large", errc::invalid},
    {db_errc::result_too_large, "result_too_large", "result too large", errc::invalid},
    {db_errc::too_many_rows, "too_many_rows", "more than one row", errc::conflict},
    {db_errc::incompatible_schema, "incompatible_schema", "the database belongs to another program or version", errc::conflict},
    {db_errc::disk_full, "disk_full", "disk full, or size limit reached", errc::unavailable},
    {db_errc::io_error, "io_error", "input/output error", errc::unavailable},
    {db_errc::cannot_open, "cannot_open", "cannot open", errc::unavailable},
    {db_errc::out_of_memory, "out_of_memory", "out of memory", errc::unavailable},
    {db_errc::corrupt, "corrupt", "damaged, or not a database", errc::internal},
    {db_errc::callback_threw, "callback_threw", "the caller's function threw", errc::internal},
    {db_errc::engine_error, "engine_error", "the engine failed", errc::internal},
    {db_errc::serialization_failure, "serialization_failure", "transactions ran into each other", errc::conflict},
    {db_errc::deadlock_detected, "deadlock_detected", "ended to resolve a deadlock", errc::conflict},
    {db_errc::connection_lost, "connection_lost", "the connection to the server was lost", errc::unavailable},
    {db_errc::commit_unknown, "commit_unknown", "the connection was lost during the commit", errc::internal},
    {db_errc::not_primary, "not_primary", "the server takes no writes", errc::unavailable},
    {db_errc::authentication_failed, "authentication_failed", "the server does not accept the user or the password", errc::internal},
    {db_errc::stale_statement, "stale_statement", "the schema has changed under a prepared statement", errc::conflict},
    {db_errc::permission_denied, "permission_denied", "the user of the connection may not do that", errc::permission_denied},
    {db_errc::not_supported, "not_supported", "the engine does not have this", errc::invalid},
    {db_errc::cursor_malformed, "cursor_malformed", "not a cursor of this version", errc::invalid},
    {db_errc::cursor_truncated, "cursor_truncated", "the end of the cursor is missing", errc::invalid},
    {db_errc::cursor_tampered, "cursor_tampered", "the cursor is not genuine", errc::invalid},
    {db_errc::cursor_foreign, "cursor_foreign", "the cursor does not belong here", errc::invalid},
    {db_errc::cursor_expired, "cursor_expired", "the cursor has expired", errc::invalid},
    {db_errc::invalid_token, "invalid_token", "not a consistency token", errc::invalid},
    {db_errc::foreign_token, "foreign_token", "a consistency token of another database system", errc::invalid},
    {db_errc::partition_conflict, "partition_conflict", "something is in the way of a partition", errc::conflict},
    {db_errc::foreign_node, "foreign_node", "a server belongs to another database system", errc::conflict},
    {db_errc::no_fresh_node, "no_fresh_node", "no server that may take the read is fresh enough", errc::unavailable},
    {db_errc::aborted, "aborted", "another transaction was in the way", errc::unavailable},
};
static_assert(std::size(code_rows) == db_errc_count);

}  // namespace

std::string_view to_string(db_errc code) noexcept {
  const auto row = std::ranges::find(code_rows, code, &code_row::code);
  return row == std::end(code_rows) ? "unknown" : row->name;
}

const boost::system::error_category& db_category() noexcept {
  static const auto entries = [] {
    std::array<error_entry, db_errc_count> made{};
    std::ranges::transform(code_rows, made.begin(), [](const code_row& row) {
      return error_entry{static_cast<int>(row.code), row.message, row.condition};
    });
    return made;
  }();
  static const auto& category = make_error_category("spillway.db", 0x7350'696c'0000'0020U, entries);
  return category;
}

db_error::db_error(db_errc code, std::string message, int native_code, std::string_view sql) : code_{code} {
  constexpr std::string_view cut_mark{"..."};
  std::string kept{sql.substr(0, sql_limit_bytes)};
  if (sql.size() > sql_limit_bytes) kept.replace(sql_limit_bytes - cut_mark.size(), cut_mark.size(), cut_mark);
  text_ = std::make_shared<const text>(text{std::move(message), std::move(kept), native_code});
}

int db_error::native_code() const noexcept { return text_ ? text_->native_code : 0; }
std::string_view db_error::message() const noexcept { return text_ ? std::string_view{text_->message} : std::string_view{}; }
std::string_view db_error::sql() const noexcept { return text_ ? std::string_view{text_->sql} : std::string_view{}; }

db_error db_error::prefixed(std::string_view more) const {
  db_error longer;
  longer.code_ = code_;
  longer.text_ = std::make_shared<const text>(text{fmt::format("{}{}", more, message()), std::string{sql()}, native_code()});
  return longer;
}

std::string db_error::what() const {
  std::string all = code_.message();
  if (!message().empty()) all += fmt::format(": {}", message());
  if (!sql().empty()) all += fmt::format(" in: {}", sql());
  return all;
}

std::ostream& operator<<(std::ostream& out, const db_error& error) { return out << error.what(); }

// What system_error appends is the code's message, so it is left out of the text given to it.
db_exception::db_exception(db_error error)
    : system_error{error.code(), std::string{error.message()} + (error.sql().empty() ? "" : " in: " + std::string{error.sql()})},
      error_{std::move(error)} {}

db_exception::~db_exception() = default;

void throw_exception_from_error(const db_error& error, const boost::source_location& where) {
  boost::throw_with_location(db_exception{error}, where);
}

}  // namespace spillway
