// SPDX-License-Identifier: Apache-2.0
#include "sqlite_error.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

namespace spillway::detail {

namespace {

constexpr int primary_code_mask{0xff};

db_errc constraint_errc(int extended_code) noexcept {
  switch (extended_code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID: return db_errc::unique_violation;
    case SQLITE_CONSTRAINT_FOREIGNKEY: return db_errc::foreign_key_violation;
    case SQLITE_CONSTRAINT_NOTNULL: return db_errc::not_null_violation;
    case SQLITE_CONSTRAINT_CHECK: return db_errc::check_violation;
    case SQLITE_CONSTRAINT_DATATYPE: return db_errc::type_mismatch;
    default: return db_errc::constraint_violation;
  }
}

db_errc statement_errc(std::string_view message) noexcept {
  if (message.find("syntax error") != std::string_view::npos || message.starts_with("incomplete input") ||
      message.starts_with("unrecognized token")) {
    return db_errc::syntax_error;
  }
  if (message.starts_with("no such ")) return db_errc::no_such_object;
  return db_errc::invalid_statement;
}

}  // namespace

db_errc db_errc_of_sqlite(int extended_code, std::string_view message) noexcept {
  switch (extended_code & primary_code_mask) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return db_errc::busy;
    case SQLITE_INTERRUPT: return db_errc::cancelled;
    case SQLITE_READONLY: return db_errc::read_only;
    case SQLITE_PERM:
    case SQLITE_AUTH: return db_errc::not_allowed;
    case SQLITE_CONSTRAINT: return constraint_errc(extended_code);
    case SQLITE_MISMATCH: return db_errc::type_mismatch;
    case SQLITE_RANGE: return db_errc::wrong_parameters;
    case SQLITE_TOOBIG: return db_errc::value_too_large;
    case SQLITE_FULL: return db_errc::disk_full;
    case SQLITE_IOERR:
    case SQLITE_PROTOCOL: return extended_code == SQLITE_IOERR_NOMEM ? db_errc::out_of_memory : db_errc::io_error;
    case SQLITE_CANTOPEN: return db_errc::cannot_open;
    case SQLITE_NOMEM: return db_errc::out_of_memory;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return db_errc::corrupt;
    case SQLITE_ERROR:
    case SQLITE_SCHEMA: return statement_errc(message);
    default: return db_errc::engine_error;
  }
}

db_error sqlite_error(sqlite3* connection, int result_code, std::string_view sql) {
  // After a failure of the library's interface rather than of a statement, the connection may know nothing of it.
  const int known = sqlite3_extended_errcode(connection);
  const bool same = (known & primary_code_mask) == (result_code & primary_code_mask);
  const int code = same ? known : result_code;
  const std::string_view message{same ? sqlite3_errmsg(connection) : sqlite3_errstr(result_code)};
  return {db_errc_of_sqlite(code, message), fmt::format("{} ({})", message, code), code, sql};
}

bool sqlite_must_reopen(int extended_code) noexcept {
  switch (extended_code & primary_code_mask) {
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL: return true;
    default: return false;
  }
}

}  // namespace spillway::detail
