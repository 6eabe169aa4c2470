// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a function given to `database::read` or `database::write` may do with its transaction.
#pragma once

#include <spillway/core/deadline.hpp>
#include <spillway/core/export.hpp>
#include <spillway/db/db_error.hpp>
#include <spillway/db/detail/range_source.hpp>
#include <spillway/db/row.hpp>
#include <spillway/db/sql_value.hpp>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace spillway {

namespace detail {

class session_context;

/// Takes the rows of a stream; false ends it.
class row_consumer {
 public:
  virtual bool row(const row_view& row) = 0;

 protected:
  ~row_consumer() = default;
};

}  // namespace detail

/// A transaction that reads: one snapshot of the data, taken by its first statement.
///
///     auto name = session.query_one<std::string>("SELECT name FROM city WHERE id = $1", id).value();
///
/// SQL is written with parameters `$1`, `$2`, ...; exactly those values must be given. One statement a call. After a statement has failed,
/// return its error: whether the transaction can go on is up to the engine.
///
/// Threads:  one at a time.
/// Lifetime: the call of the function it was given to.
/// Errors:   a statement that writes is db_errc::read_only; a statement or result beyond the configured sizes, or past the deadline, is
///           refused or interrupted. What the caller's functions throw passes through.
class SPILLWAY_EXPORT read_session {
 public:
  read_session(const read_session&) = delete;
  read_session& operator=(const read_session&) = delete;

  /// All rows, in memory.
  template <sql_parameter... P>
  [[nodiscard]] result<row_set, db_error> query(std::string_view sql, const P&... parameters) {
    const std::array<sql_value, sizeof...(P)> values{sql_value(parameters)...};
    return query_values(sql, std::span<const sql_value>{values});
  }
  [[nodiscard]] result<row_set, db_error> query(std::string_view sql, const sql_parameters& parameters) {
    return query_values(sql, parameters.values());
  }

  /// The only row as T, see `row_view::as`, or nothing if there is none. Several rows are db_errc::too_many_rows.
  template <class T, sql_parameter... P>
  [[nodiscard]] result<std::optional<T>, db_error> query_one(std::string_view sql, const P&... parameters) {
    static_assert(!detail::borrows_from_row<T>, "the row is gone when this returns: ask for std::string or std::vector<std::byte>");
    const std::array<sql_value, sizeof...(P)> values{sql_value(parameters)...};
    auto rows = query_at_most_one(sql, std::span<const sql_value>{values});
    if (!rows) return rows.error();
    if (rows->empty()) return std::optional<T>{};
    return std::optional<T>{(*rows)[0].template as<T>()};
  }

  /// Gives the rows to `on_row(row_view)` one by one, in constant memory, and returns how many it was given. If it returns bool, false ends
  /// the stream. It may use this session, too.
  template <std::invocable<row_view> F>
  result<std::uint64_t, db_error> stream(std::string_view sql, const sql_parameters& parameters, F&& on_row) {
    struct consumer final : detail::row_consumer {
      explicit consumer(F& f) noexcept : call{f} {}
      bool row(const row_view& row) override {
        if constexpr (std::is_void_v<std::invoke_result_t<F&, row_view>>) {
          std::invoke(call, row);
          return true;
        } else {
          return std::invoke(call, row);
        }
      }
      F& call;
    };
    consumer rows{on_row};
    return stream_values(sql, parameters.values(), rows);
  }

  /// By when the transaction must have ended, for other work done in it.
  [[nodiscard]] deadline until() const noexcept;

 protected:
  friend class detail::session_context;
  explicit read_session(detail::session_context& context) noexcept : context_{&context} {}
  ~read_session() = default;

  detail::session_context* context_;

 private:
  result<row_set, db_error> query_values(std::string_view sql, std::span<const sql_value> parameters);
  result<row_set, db_error> query_at_most_one(std::string_view sql, std::span<const sql_value> parameters);
  result<std::uint64_t, db_error> stream_values(std::string_view sql, std::span<const sql_value> parameters,
                                                detail::row_consumer& rows);
};

/// A transaction that reads and writes. It is committed when the function it was given to returns, and rolled back if that returns a
/// `result` with an error, or throws.
///
///     session.execute("INSERT INTO city (name, size) VALUES ($1, $2)", name, size).value();
///
/// A query may write as well: `INSERT ... RETURNING id` gives the new key.
class SPILLWAY_EXPORT write_session : public read_session {
 public:
  /// Runs a statement and returns how many rows it inserted, changed or deleted itself: not by triggers or cascades.
  template <sql_parameter... P>
  result<std::uint64_t, db_error> execute(std::string_view sql, const P&... parameters) {
    const std::array<sql_value, sizeof...(P)> values{sql_value(parameters)...};
    return execute_values(sql, std::span<const sql_value>{values});
  }
  result<std::uint64_t, db_error> execute(std::string_view sql, const sql_parameters& parameters) {
    return execute_values(sql, parameters.values());
  }

  /// Runs one statement for each row of a range and returns the sum of the rows changed. A row is a tuple, pair or array of values, or
  /// anything `sql_parameters` is made from. The message of an error names the row, counted from 0.
  template <std::ranges::input_range R>
  result<std::uint64_t, db_error> execute_many(std::string_view sql, R&& rows);

  /// Runs several statements without parameters, separated by semicolons, such as a schema.
  result<void, db_error> execute_script(std::string_view sql);

 private:
  friend class detail::session_context;
  explicit write_session(detail::session_context& context) noexcept : read_session{context} {}

  result<std::uint64_t, db_error> execute_values(std::string_view sql, std::span<const sql_value> parameters);
  result<std::uint64_t, db_error> execute_source(std::string_view sql, detail::parameter_source& rows);
};

template <std::ranges::input_range R>
result<std::uint64_t, db_error> write_session::execute_many(std::string_view sql, R&& rows) {
  detail::range_source<R> source{rows};
  return execute_source(sql, source);
}

}  // namespace spillway
