// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/keyset.hpp>

#include "cursor_codec.hpp"
#include "keyset_sql.hpp"
#include "signature.hpp"

#include "db/row_data.hpp"
#include "db/session_context.hpp"
#include "db/sql_name.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <stdexcept>
#include <utility>

namespace spillway {

namespace detail {

/// The configuration once checked, and what belongs to every cursor of the query whatever its parameters.
struct keyset_plan {
  keyset_config config;
  std::string identity;

  [[nodiscard]] cursor_seal seal(std::span<const sql_value> parameters) const {
    auto bytes = identity;
    if (config.bind_parameters) append_values(bytes, parameters);
    const auto digest = sha256(bytes);
    cursor_seal made{config.keys, {}};
    std::copy_n(digest.begin(), made.fingerprint.size(), made.fingerprint.begin());
    return made;
  }

  [[nodiscard]] wall_time_point expiry(wall_time_point now) const {
    return config.cursor_lifetime ? now + *config.cursor_lifetime : wall_time_point{};
  }
};

}  // namespace detail

namespace {

using detail::cursor_content;
using detail::keyset_plan;

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument("keyset_config." + what); }

void require_in(std::string_view field, std::size_t value, std::size_t least, std::size_t most) {
  if (value < least || value > most) refuse(fmt::format("{} is {}; it must be in [{}, {}]", field, value, least, most));
}

void validate_sort(const keyset_config& config) {
  require_in("sort size", config.sort.size(), 1, 8);
  for (std::size_t i = 0; i < config.sort.size(); ++i) {
    const auto field = fmt::format("sort[{}]", i);
    if (const auto name = detail::quoted_name(config.sort[i].name, field, 3); !name) refuse(std::string{name.error().message()});
    for (std::size_t j = 0; j < i; ++j) {
      if (detail::last_part(config.sort[i].name) == detail::last_part(config.sort[j].name)) {
        refuse(fmt::format("sort[{}] is called \"{}\" like sort[{}]; give one an alias in `from`", i, detail::last_part(config.sort[i].name), j));
      }
    }
  }
}

const keyset_config& validated(const keyset_config& config) {
  if (config.select.empty()) refuse("select is empty; it must name columns");
  if (config.from.empty()) refuse("from is empty; it must name a table");
  validate_sort(config);
  require_in("keys size", config.keys.size(), 1, 8);
  for (std::size_t i = 0; i < config.keys.size(); ++i) require_in(fmt::format("keys[{}] length", i), config.keys[i].size(), 16, 1'024);
  require_in("max_page_size", config.max_page_size, 1, 10'000);
  require_in("page_size", config.page_size, 1, config.max_page_size);
  require_in("max_cursor_chars", config.max_cursor_chars, 64, 8'192);
  if (config.cursor_lifetime) {
    constexpr std::size_t ten_years{10 * 365 * std::size_t{86'400}};
    const auto seconds = config.cursor_lifetime->count();
    require_in("cursor_lifetime", seconds < 0 ? 0 : static_cast<std::size_t>(seconds), 1, ten_years);
  }
  return config;
}

std::string identity_of(const keyset_config& config) {
  std::string bytes;
  const std::vector<sql_value> texts{config.from, config.where, config.sort.size()};
  detail::append_values(bytes, texts);
  for (const auto& column : config.sort) {
    const std::vector<sql_value> parts{column.name, static_cast<int>(column.direction), static_cast<int>(column.nulls)};
    detail::append_values(bytes, parts);
  }
  return bytes;
}

/// Where the sorted columns are in the result.
result<std::vector<std::size_t>, db_error> sorted_columns(const keyset_config& config, const row_set& rows) {
  const auto names = rows.column_names();
  std::vector<std::size_t> made;
  for (const auto& column : config.sort) {
    const auto name = detail::last_part(column.name);
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) {
      return db_error{db_errc::wrong_parameters,
                      fmt::format("the sorted column \"{}\" is not selected; the result has: {}", name, fmt::join(names, ", "))};
    }
    // Nothing tells which of them is the sorted one, and a border of the other would lose rows.
    if (std::ranges::find(found + 1, names.end(), name) != names.end()) {
      return db_error{db_errc::wrong_parameters,
                      fmt::format("the sorted column \"{}\" is selected more than once; give the others another name", name)};
    }
    made.push_back(static_cast<std::size_t>(found - names.begin()));
  }
  return made;
}

void add_row(detail::row_data& rows, row_view row) {
  for (std::size_t column = 0; column < row.size(); ++column) {
    rows.add(row.value(column));
    if (detail::row_data::is_rounded(row, column)) rows.mark_rounded();
  }
  ++rows.rows;
}

/// The values behind the caller's parameters.
std::vector<sql_value> values_for(const detail::keyset_statement& statement, std::span<const sql_value> given, const detail::keyset_start& start) {
  std::vector<sql_value> values{given.begin(), given.end()};
  for (const auto column : statement.used) values.push_back(start.values[column]);
  return values;
}

/// Range by range, where a statement costs no round trip: whatever the nearest one gives need not be merged with the others.
result<row_set, db_error> query_in_turn(read_session& session, const std::vector<detail::keyset_statement>& ranges, std::span<const sql_value> given,
                                        const detail::keyset_start& start, std::size_t most) {
  row_set first;
  std::shared_ptr<detail::row_data> joined;
  for (const auto& range : ranges) {
    const auto have = joined ? joined->rows : first.size();
    if (have == most) break;
    auto values = values_for(range, given, start);
    values.emplace_back(most - have);
    auto more = session.query(range.sql, values);
    if (!more) return more;
    if (have == 0) {
      first = std::move(*more);
      continue;
    }
    if (!joined) {
      joined = std::make_shared<detail::row_data>();
      joined->columns = first.column_names();
      for (const auto row : first) add_row(*joined, row);
    }
    for (const auto row : *more) add_row(*joined, row);
    if (const auto most_bytes = detail::session_context::of(session).config().max_result_bytes; joined->size_bytes() > most_bytes) {
      return db_error{db_errc::result_too_large, fmt::format("the page exceeds max_result_bytes, {} bytes", most_bytes), 0, range.sql};
    }
  }
  return joined ? row_set{joined} : first;
}

/// All ranges in one statement.
result<row_set, db_error> query_at_once(read_session& session, const detail::keyset_statement& statement, std::span<const sql_value> given,
                                        const detail::keyset_start& start) {
  auto values = values_for(statement, given, start);
  // A numeric compared with a double would become one, and no index holds that.
  std::deque<std::string> texts;
  for (auto& value : std::span{values}.subspan(given.size())) {
    if (const auto* real = std::get_if<double>(&value.get())) value = texts.emplace_back(fmt::format("{}", *real));
  }
  return session.query(statement.sql, values);
}

/// The rows of one query, read as a page.
class page_maker {
 public:
  page_maker(const keyset_plan& plan, const detail::cursor_place* start, detail::cursor_seal seal, std::string_view token, wall_time_point now)
      : plan_{plan}, start_{start}, seal_{std::move(seal)}, token_{token}, expires_at_{plan.expiry(now)} {}

  /// `rows` may hold one more than `size`, which shows that there are more.
  result<keyset_page, db_error> page(const row_set& rows, std::size_t size) {
    const bool backward = start_ != nullptr && start_->backward;
    const bool more = rows.size() > size;
    const auto columns = sorted_columns(plan_.config, rows);
    if (!columns) return columns.error();
    columns_ = *columns;
    if (more && same_place(rows[size - 1], rows[size])) {
      return db_error{db_errc::invalid_statement, "two rows are equal in all sorted columns, so one of them would be lost between two pages: add the "
                                                  "primary key to the sort"};
    }
    keyset_page made;
    made.rows = more || backward ? copied(rows, std::min(size, rows.size()), backward) : rows;
    if (made.rows.empty()) return made;
    const bool from_here = start_ != nullptr;
    if (backward || more) {
      if (auto put = cursor_of(made.rows[made.rows.size() - 1], false, made.next); put.failed()) return put;
    }
    if (backward ? more : from_here) {
      if (auto put = cursor_of(made.rows[0], true, made.previous); put.failed()) return put;
    }
    return made;
  }

 private:
  [[nodiscard]] bool same_place(row_view left, row_view right) const {
    std::string a;
    std::string b;
    detail::append_values(a, values_of(left));
    detail::append_values(b, values_of(right));
    return a == b;
  }

  [[nodiscard]] std::vector<sql_value> values_of(row_view row) const {
    std::vector<sql_value> values;
    for (const auto column : columns_) values.push_back(row.value(column));
    return values;
  }

  db_error cursor_of(row_view row, bool backward, std::string& cursor) const {
    const cursor_content content{backward, values_of(row), token_};
    for (std::size_t i = 0; i < content.values.size(); ++i) {
      const auto& column = plan_.config.sort[i];
      const auto refused = [&](std::string_view why) {
        return db_error{db_errc::type_mismatch, fmt::format("the sorted column \"{}\" {}", column.name, why)};
      };
      if (content.values[i].is_null() && column.nulls == sort_nulls::none) {
        return refused("is null in a row: say in its `nulls` whether those come first or last");
      }
      if (const auto* real = std::get_if<double>(&content.values[i].get()); real != nullptr && std::isnan(*real)) return refused("is NaN in a row");
      // Rows between the two numbers would be lost, or come again.
      if (detail::row_data::is_rounded(row, columns_[i])) return refused("has more digits in a row than a double holds");
    }
    auto made = detail::encode_cursor(content, seal_, expires_at_, plan_.config.max_cursor_chars);
    if (!made) return made.error();
    cursor = std::move(*made);
    return {};
  }

  static row_set copied(const row_set& rows, std::size_t count, bool reversed) {
    const auto made = std::make_shared<detail::row_data>();
    made->columns = rows.column_names();
    for (std::size_t i = 0; i < count; ++i) add_row(*made, rows[reversed ? count - 1 - i : i]);
    return row_set{made};
  }

  const keyset_plan& plan_;
  const detail::cursor_place* start_;
  detail::cursor_seal seal_;
  std::string_view token_;
  wall_time_point expires_at_;
  std::vector<std::size_t> columns_;
};

detail::keyset_start start_of(const keyset_position& position) {
  const auto* place = position.place();
  return place == nullptr ? detail::keyset_start{} : detail::keyset_start{place->backward, place->values};
}

}  // namespace

std::string_view keyset_position::token() const noexcept { return place_ ? place_->token : std::string_view{}; }

keyset_pager::keyset_pager(const keyset_config& config, const clock_source& clock)
    : plan_{std::make_shared<const keyset_plan>(keyset_plan{validated(config), identity_of(config)})}, clock_{&clock} {}

result<keyset_position, db_error> keyset_pager::open(std::string_view cursor, const sql_parameters& parameters) const {
  if (cursor.empty()) return keyset_position{};
  auto place = detail::decode_cursor(cursor, plan_->seal(parameters.values()), clock_->wall_now(), plan_->config.sort.size(),
                                     plan_->config.max_cursor_chars);
  if (!place) return place.error();
  return keyset_position{std::move(*place)};
}

std::string keyset_pager::sql(const keyset_position& position, std::size_t parameters, std::size_t rows) const {
  return detail::keyset_sql(plan_->config, start_of(position), parameters, rows).sql;
}

result<keyset_page, db_error> keyset_pager::read(read_session& session, const keyset_position& position, const sql_parameters& parameters,
                                                 const page_request& request) const {
  const auto size = request.size == 0 ? plan_->config.page_size : request.size;
  if (size > plan_->config.max_page_size) {
    return db_error{db_errc::wrong_parameters, fmt::format("a page of {} rows was asked for; it must be in [1, {}]", size, plan_->config.max_page_size)};
  }
  if (request.token.size() > detail::token_limit_bytes) {
    return db_error{db_errc::wrong_parameters, fmt::format("the token has {} bytes; at most {} are carried", request.token.size(), detail::token_limit_bytes)};
  }
  const auto given = parameters.values();
  auto seal = plan_->seal(given);
  if (position.place() != nullptr && position.place()->fingerprint != seal.fingerprint) {
    return db_error{db_errc::cursor_foreign, "the position was opened for another query, sort or parameters than this page is read with"};
  }
  const auto start = start_of(position);
  const bool remote = detail::session_context::of(session).connection().is_remote();
  const auto rows = remote ? query_at_once(session, detail::keyset_sql(plan_->config, start, given.size(), size + 1), given, start)
                           : query_in_turn(session, detail::keyset_range_sql(plan_->config, start, given.size()), given, start, size + 1);
  if (!rows) return rows.error();
  return page_maker{*plan_, position.place(), std::move(seal), request.token, clock_->wall_now()}.page(*rows, size);
}

}  // namespace spillway
