// SPDX-License-Identifier: Apache-2.0
/// @file
/// The connection of a session as libpq knows it, for a while.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/db/session.hpp>

struct pg_conn;  // libpq's PGconn

namespace spillway::detail {

class pg_connection;

/// Threads: those of its session.
class SPILLWAY_EXPORT raw_postgres {
 public:
  static result<raw_postgres, db_error> lend(write_session& session);

  [[nodiscard]] pg_conn* connection() const noexcept { return raw_; }
  /// To be called once, whatever happened. Errors: see with_pqxx.
  [[nodiscard]] db_error take_back();

 private:
  raw_postgres(pg_connection& session, pg_conn* raw) noexcept : session_{&session}, raw_{raw} {}
  pg_connection* session_;
  pg_conn* raw_;
};

/// The error for what the server said, by the five characters of its code.
[[nodiscard]] SPILLWAY_EXPORT db_error postgres_error(std::string_view sqlstate, std::string_view message, std::string_view sql);

}  // namespace spillway::detail
