// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/postgres.hpp>

#include "pg_driver.hpp"
#include "pg_error.hpp"

#include "../../session_context.hpp"

#include <spillway/db/detail/raw_postgres.hpp>

#include <fmt/format.h>

#include <optional>

namespace spillway {

namespace detail {

namespace {

result<pg_connection*, db_error> postgres_of(read_session& session) {
  auto& connection = session_context::of(session).connection();
  if (auto* const postgres = dynamic_cast<pg_connection*>(&connection)) return postgres;
  return db_error{db_errc::not_supported, "this is no session of PostgreSQL, and no other engine has this"};
}

/// Does `work` with the session's connection, as a statement that is logged if it is slow. `first` is set by it if there are rows.
template <class Work>
result<std::uint64_t, db_error> as_statement(read_session& session, std::string_view sql, Work&& work) {
  const auto connection = postgres_of(session);
  if (!connection) return connection.error();
  const auto began = system_clock_source().now();
  std::optional<time_point> first;
  auto done = work(**connection, first);
  session_context::of(session).note(sql, began, first);
  return done;
}

}  // namespace

result<raw_postgres, db_error> raw_postgres::lend(write_session& session) {
  const auto connection = postgres_of(session);
  if (!connection) return connection.error();
  const auto raw = (*connection)->lend_raw();
  if (!raw) return raw.error();
  return raw_postgres{**connection, *raw};
}

db_error raw_postgres::take_back() { return session_->take_back_raw(); }

db_error postgres_error(std::string_view sqlstate, std::string_view message, std::string_view sql) {
  return {db_errc_of_sqlstate(sqlstate), fmt::format("{} ({})", one_line(message), sqlstate), sqlstate_number(sqlstate), sql};
}

}  // namespace detail

result<database, db_error> open_postgres(const postgres_config& config) {
  return detail::open_database(config.database, std::make_unique<detail::pg_driver>(config));
}

result<std::uint64_t, db_error> copy_in(write_session& session, std::string_view sql, const std::function<std::string_view()>& source) {
  return detail::as_statement(session, sql, [&](detail::pg_connection& connection, auto&) { return connection.copy_in(sql, source); });
}

result<std::uint64_t, db_error> copy_out(read_session& session, std::string_view sql, const std::function<bool(std::string_view)>& sink) {
  return detail::as_statement(session, sql, [&](detail::pg_connection& connection, std::optional<time_point>& first) {
    return connection.copy_out(sql, [&](std::string_view row) {
      if (!first) first = system_clock_source().now();
      return sink(row);
    });
  });
}

result<void, db_error> execute_alone(database& db, std::string_view sql, const session_options& options) {
  return db.write([sql](write_session& session) -> result<void, db_error> {
    const auto done = detail::as_statement(session, sql, [&](detail::pg_connection& connection, auto&) { return connection.run_alone(sql); });
    if (!done) return done.error();
    return {};
  }, options);
}

std::string sqlstate_of(const db_error& error) { return detail::sqlstate_text(error.native_code()); }

}  // namespace spillway
