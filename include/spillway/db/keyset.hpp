// SPDX-License-Identifier: Apache-2.0
/// @file
/// Pages of a sorted query that cost the same however far one turns, by cursors that clients may hold but not forge.
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/core/export.hpp>
#include <spillway/db/session.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

namespace detail {
struct cursor_place;
struct keyset_plan;
}  // namespace detail

enum class sort_direction : std::uint8_t { ascending, descending };

/// Where rows without a value stand; engines differ when it is not said. `none`: the column is NOT NULL.
enum class sort_nulls : std::uint8_t { none, first, last };

struct keyset_column {
  /// Of a table or an alias in `from`, and among the columns selected: "created_at", "i.created_at". Up to 3 names between dots.
  std::string name;
  sort_direction direction{sort_direction::ascending};
  sort_nulls nulls{sort_nulls::none};
};

/// `select`, `from` and `where` are SQL of the program, never of a client; what clients say goes into parameters.
struct keyset_config {
  std::string select{};                       ///< "id, name, created_at". Not empty.
  std::string from{};                         ///< "item", or a join, or "(SELECT ...) AS t". Not empty.
  std::string where{};                        ///< "tenant = $1". Empty: all rows.
  /// 1 to 8 columns that together tell all rows apart: end with the primary key.
  std::vector<keyset_column> sort{};
  /// Secrets that sign cursors, the newest first; older ones are still accepted. 1 to 8, of 16 to 1'024 bytes each.
  std::vector<std::string> keys{};
  std::size_t page_size{50};                  ///< Rows, unless the request says otherwise. In [1, max_page_size].
  std::size_t max_page_size{500};             ///< In [1, 10'000].
  std::size_t max_cursor_chars{1'024};        ///< In [64, 8'192].
  std::optional<std::chrono::seconds> cursor_lifetime{};  ///< None: cursors do not expire. In [1 s, 10 years].
  /// Refuse a cursor that was made with other parameters. False for a query that is given a new one each time, such as the hour.
  bool bind_parameters{true};
};

/// Where a page begins: what a cursor that was found genuine says. The default is the beginning.
///
/// Threads: a value; copies share it.
class SPILLWAY_EXPORT keyset_position {
 public:
  keyset_position() noexcept = default;
  explicit keyset_position(std::shared_ptr<const detail::cursor_place> place) noexcept : place_{std::move(place)} {}

  /// What was given as `page_request.token` when the cursor was made; empty if there was none.
  [[nodiscard]] std::string_view token() const noexcept;
  /// Null at the beginning.
  [[nodiscard]] const detail::cursor_place* place() const noexcept { return place_.get(); }

 private:
  std::shared_ptr<const detail::cursor_place> place_;
};

struct page_request {
  std::size_t size{0};       ///< Rows. 0: `keyset_config.page_size`.
  std::string_view token{};  ///< Travels in the cursors of the page, such as a consistency token. At most 256 bytes.
};

/// Rows in the order of the sort, and the cursors of the pages beside them; an empty cursor means there is no such page.
struct keyset_page {
  row_set rows;
  std::string next;
  std::string previous;
};

/// Turns the pages of one query.
///
///     const keyset_pager items{{.select = "id, name, score", .from = "item", .where = "tenant = $1",
///                               .sort = {{"score", sort_direction::descending}, {"id"}}, .keys = {secret}}};
///     auto page = db.read([&](read_session& s) { return items.read(s, items.open(cursor, {tenant}).value(), {tenant}); });
///
/// With an index on the columns that `where` fixes and then those of the sort in the same directions, each page reads its own rows and no
/// others. Rows that come and go move no page's border: what was seen stays seen.
///
/// A border must survive being read and sent again: where a sorted column is NaN there, null though it should not be, or a numeric of PostgreSQL
/// with more digits than a double holds (15 always do), the page is refused with db_errc::type_mismatch.
///
/// A cursor is text for URLs (A-Z a-z 0-9 - _). It is signed (HMAC-SHA256), not secret: it holds the sorted values of one row, readable to
/// whoever decodes it. It belongs to its query: the sort, `from`, `where` and the parameters; `select` may change.
///
/// Threads: every member may be called from any thread.
/// Errors:  the constructor throws std::invalid_argument naming the field. See the members. A value too long for `max_cursor_chars` is
///          db_errc::value_too_large. If two rows beside the border of a page are equal in all sorted columns, db_errc::invalid_statement.
/// Cost:    one statement (SQLite: one for each range of the order the page reaches into), one row more than the page has, and two
///          signatures (about a microsecond each).
class SPILLWAY_EXPORT keyset_pager {
 public:
  explicit keyset_pager(const keyset_config& config, const clock_source& clock = system_clock_source());

  /// Checks a cursor; the empty one is the beginning. `parameters` are those that `read` will be given.
  /// Errors: all errc::invalid. db_errc::cursor_malformed: no cursor, or of another version of this library. cursor_truncated: its end is
  ///         missing. cursor_tampered: changed on its way, or signed with a key that is not accepted. cursor_foreign: of another query, sort or
  ///         parameters. cursor_expired.
  [[nodiscard]] result<keyset_position, db_error> open(std::string_view cursor, const sql_parameters& parameters = {}) const;

  /// Errors: db_errc::cursor_foreign for a position that was opened with other parameters, or for another query or sort. wrong_parameters for a size or
  ///         token beyond its limit, or a sorted column that is not selected, or has
  ///         the name of another one that is; what the query reports.
  [[nodiscard]] result<keyset_page, db_error> read(read_session& session, const keyset_position& position,
                                                   const sql_parameters& parameters = {}, const page_request& request = {}) const;

  /// The statement that `read` would run for so many rows, for EXPLAIN; the sorted values follow the `parameters` of the caller. Where it joins
  /// several with UNION ALL, SQLite is asked for one after the other, until there are enough rows.
  [[nodiscard]] std::string sql(const keyset_position& position, std::size_t parameters, std::size_t rows) const;

 private:
  std::shared_ptr<const detail::keyset_plan> plan_;
  const clock_source* clock_;
};

}  // namespace spillway
