// SPDX-License-Identifier: Apache-2.0
/// @file
/// Many rows at once, by the fastest way the engine has.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/db/detail/range_source.hpp>
#include <spillway/db/session.hpp>

#include <cstdint>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

namespace spillway {

/// Names as the engine keeps them: in PostgreSQL those that were made without quotes are in lower case. They are quoted, so they may hold
/// anything but NUL, in at most 63 bytes.
struct bulk_target {
  std::string table;                 ///< "item", or "shop.item".
  std::vector<std::string> columns;  ///< Those the rows have values for, in their order. 1 to 1'600.
};

/// What becomes of a row that a unique constraint stands against.
class on_conflict {
 public:
  enum class action : std::uint8_t { fail, skip, update };

  /// Nothing is inserted at all: db_errc::unique_violation.
  [[nodiscard]] static on_conflict fail() { return on_conflict{action::fail, {}, {}}; }
  /// The row that was there stays; of several equal ones given, the first counts.
  [[nodiscard]] static on_conflict skip() { return on_conflict{action::skip, {}, {}}; }
  /// The row that was there gets new values; of several given with the same keys, the last counts, or of columns that are not in `set`, the
  /// first. `keys` are the columns of one unique constraint; `set` are the columns to change, and if it is empty, all that are given and no
  /// keys. Keys may not be null. A few rows are locked in the order they are given in, so programs that change the same ones should sort them.
  [[nodiscard]] static on_conflict update(std::vector<std::string> keys, std::vector<std::string> set = {}) {
    return on_conflict{action::update, std::move(keys), std::move(set)};
  }

  [[nodiscard]] action what() const noexcept { return action_; }
  [[nodiscard]] const std::vector<std::string>& keys() const noexcept { return keys_; }
  [[nodiscard]] const std::vector<std::string>& set() const noexcept { return set_; }

 private:
  on_conflict(action what, std::vector<std::string> keys, std::vector<std::string> set)
      : action_{what}, keys_{std::move(keys)}, set_{std::move(set)} {}

  action action_;
  std::vector<std::string> keys_;
  std::vector<std::string> set_;
};

struct bulk_counts {
  std::uint64_t given{0};    ///< Rows the range had.
  std::uint64_t written{0};  ///< Rows inserted or changed. Of several given with the same keys, SQLite counts each, PostgreSQL the last.

  /// Rows that left no trace.
  [[nodiscard]] std::uint64_t skipped() const noexcept { return given - written; }
  friend bool operator==(const bulk_counts&, const bulk_counts&) noexcept = default;
};

namespace detail {
SPILLWAY_EXPORT result<bulk_counts, db_error> bulk_insert(write_session& session, const bulk_target& target, const on_conflict& conflict,
                                                          parameter_source& rows);
SPILLWAY_EXPORT result<std::uint64_t, db_error> bulk_update(write_session& session, std::string_view table,
                                                            const std::vector<std::string>& keys, const std::vector<std::string>& set,
                                                            parameter_source& rows);
}  // namespace detail

/// Inserts the rows of a range, each a tuple, pair or array of values, or anything `sql_parameters` is made from.
///
///     std::vector<std::tuple<int, std::string>> rows = ...;
///     bulk_insert(session, {"item", {"id", "name"}}, rows).value();
///     bulk_insert(session, {"item", {"id", "name"}}, rows, on_conflict::skip()).value().skipped();
///     bulk_insert(session, {"item", {"id", "name"}}, rows, on_conflict::update({"id"})).value();
///
/// The way is chosen by the engine and the number of rows. SQLite: one prepared statement. PostgreSQL: statements for a few rows; COPY for
/// many, straight into the table or, where conflicts are not an error, into a temporary table and from there in one statement.
///
/// The range is read once, row by row, in constant memory. While it is read the session may be busy: it must not use it.
///
/// Errors: db_errc::wrong_parameters for a name that cannot be one, a row with too few or too many values, a key that is null; type_mismatch
///         for NaN, and in PostgreSQL for text with a NUL byte; what the engine says about the data. Where one row is to blame, the message
///         begins with its number, counted from 0. As after any failure in PostgreSQL, the transaction can only end.
/// Cost:   PostgreSQL: about 1 us a row with COPY, 2 to 4 us with conflicts (a temporary table of the same size lives until the end of the call).
template <std::ranges::input_range R>
result<bulk_counts, db_error> bulk_insert(write_session& session, const bulk_target& target, R&& rows,
                                          const on_conflict& conflict = on_conflict::fail()) {
  detail::range_source<R> source{rows};
  return detail::bulk_insert(session, target, conflict, source);
}

/// Changes the columns `set` of the rows whose columns `keys` are as given: each row of the range has the values of the keys and then those
/// to set. Of several given with the same keys, the last counts. Returns how many rows of the table were changed; SQLite counts one that was
/// changed twice, twice. Otherwise as `bulk_insert`.
///
///     bulk_update(session, "item", {"id"}, {"price", "stock"}, rows).value();    // rows of (id, price, stock)
template <std::ranges::input_range R>
result<std::uint64_t, db_error> bulk_update(write_session& session, std::string_view table, const std::vector<std::string>& keys,
                                            const std::vector<std::string>& set, R&& rows) {
  detail::range_source<R> source{rows};
  return detail::bulk_update(session, table, keys, set, source);
}

}  // namespace spillway
