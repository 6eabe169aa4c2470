// SPDX-License-Identifier: Apache-2.0
/// @file
/// Opens a PostgreSQL server as a database.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/db/database.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace spillway {

/// Only `url` must be given.
struct postgres_config {
  /// One server and database, as libpq takes it: "postgresql://user:password@host:port/database?sslmode=verify-full". What it says wins over the
  /// fields below. 1 to 4'096 bytes.
  std::string url{};
  std::size_t readers{8};                             ///< Sessions that read. In [1, 1'000].
  std::size_t writers{4};                             ///< Sessions that write. In [1, 1'000].
  std::size_t query_connections{4};                   ///< What all `async_query` share. In [0, 64]; 0: each takes a session that reads, and a thread.
  /// Where those live: an executor that runs one thing at a time, as a strand or the context of one thread does. A program that asks from there saves the
  /// way to another thread and back. It must run until the database is closed and it has nothing left to do. None: a thread of their own.
  boost::asio::any_io_executor query_executor{};
  std::string application_name{"spillway"};           ///< As the server's own views show it. At most 63 bytes.
  std::chrono::milliseconds connect_timeout{5'000};   ///< For one session to be opened. In [1 ms, 1 h].
  std::size_t statement_cache{256};                   ///< Prepared statements kept by each session. In [0, 4'096]; 0 keeps none.
  std::chrono::milliseconds cancel_timeout{2'000};    ///< For a statement given up to end on the server, before its session is closed. In [1 ms, 1 min].
  std::chrono::milliseconds commit_timeout{10'000};   ///< Beyond the deadline, for the answer to a commit; then it is commit_unknown. In [1 ms, 1 day].
  std::chrono::milliseconds max_lifetime{1'800'000};  ///< Older sessions are replaced. 0: never; at most 30 days.
  std::chrono::milliseconds ping_after_idle{30'000};  ///< Idle for this long: asked before it is lent. 0: never; at most 1 day.
  database_config database{};
};

/// Opens sessions to the server. Reads are REPEATABLE READ READ ONLY, on sessions that cannot write; writes are READ COMMITTED.
///
/// Errors: throws std::invalid_argument naming a field that is out of range, or what is wrong with `url`. db_errc::cannot_open,
///         authentication_failed, not_primary if the server is a standby, busy if it takes no more connections; each names host and port,
///         never the password.
[[nodiscard]] SPILLWAY_EXPORT result<database, db_error> open_postgres(const postgres_config& config);

/// Takes data for a COPY ... FROM STDIN from `source`, in pieces that may be cut anywhere, until one is empty; each must stay valid until the next
/// call. Returns the rows that were copied.
///
///     copy_in(session, "COPY city (id, name) FROM STDIN", [&] { return next_piece(); }).value();
///
/// Errors:   what the server says about the data; db_errc::not_supported on a session of another engine. What `source` throws passes through.
/// Time:     within the transaction's deadline.
/// Cost:     holds a few hundred KiB, whatever the size of the pieces.
SPILLWAY_EXPORT result<std::uint64_t, db_error> copy_in(write_session& session, std::string_view sql, const std::function<std::string_view()>& source);

/// Gives the data of a COPY ... TO STDOUT to `sink`, row by row as the server writes them, and returns how many. False ends it, and the
/// transaction with it: nothing more can be done in that, and a write is not committed.
SPILLWAY_EXPORT result<std::uint64_t, db_error> copy_out(read_session& session, std::string_view sql,
                                                         const std::function<bool(std::string_view)>& sink);

/// Runs one statement outside of any transaction, on a session that may write: VACUUM, CREATE INDEX CONCURRENTLY, ALTER TABLE ... DETACH
/// PARTITION ... CONCURRENTLY. If the connection is lost meanwhile, it may have been done or not.
SPILLWAY_EXPORT result<void, db_error> execute_alone(database& db, std::string_view sql, const session_options& options = {});

/// The five characters of PostgreSQL's error code, "40001"; empty if the error was not the server's.
[[nodiscard]] SPILLWAY_EXPORT std::string sqlstate_of(const db_error& error);

}  // namespace spillway
