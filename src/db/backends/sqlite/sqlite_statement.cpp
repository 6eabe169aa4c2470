// SPDX-License-Identifier: Apache-2.0
#include "sqlite_statement.hpp"

#include "sqlite_error.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

namespace spillway::detail {

namespace {

constexpr unsigned most_parameters{32'766};

/// The N of `$N`.
std::optional<std::uint16_t> parameter_number(const char* name) {
  if (name == nullptr || name[0] != '$') return std::nullopt;
  const std::string_view digits{name + 1};
  unsigned number{0};
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (failure != std::errc{} || end != digits.data() + digits.size() || number < 1 || number > most_parameters || digits[0] == '0') {
    return std::nullopt;
  }
  return static_cast<std::uint16_t>(number);
}

result<std::vector<std::uint16_t>, db_error> parameter_numbers(sqlite3_stmt* statement, std::string_view sql) {
  std::vector<std::uint16_t> numbers;
  const int count = sqlite3_bind_parameter_count(statement);
  for (int i = 1; i <= count; ++i) {
    const char* name = sqlite3_bind_parameter_name(statement, i);
    const auto number = parameter_number(name);
    if (!number) {
      return db_error{db_errc::wrong_parameters,
                      fmt::format("parameters are written $1, $2, ...; found {}", name == nullptr ? "?" : name), 0, sql};
    }
    numbers.push_back(*number);
  }
  for (unsigned wanted = 1; wanted <= numbers.size(); ++wanted) {
    if (std::ranges::find(numbers, wanted) != numbers.end()) continue;
    return db_error{db_errc::wrong_parameters,
                    fmt::format("the statement uses ${} but not ${}", *std::ranges::max_element(numbers), wanted), 0, sql};
  }
  return numbers;
}

/// Whether anything but blanks and comments follows the first statement.
bool has_more(sqlite3* connection, const char* tail, const char* end) {
  while (tail != end) {
    sqlite3_stmt* next{nullptr};
    const int code = sqlite3_prepare_v3(connection, tail, static_cast<int>(end - tail), 0, &next, &tail);
    const sqlite_statement_handle owned{next};
    if (code != SQLITE_OK || owned) return true;
  }
  return false;
}

int bind_one(sqlite3_stmt* statement, int index, const sql_value& value) {
  switch (value.type()) {
    case sql_type::null: return sqlite3_bind_null(statement, index);
    case sql_type::integer: return sqlite3_bind_int64(statement, index, std::get<std::int64_t>(value.get()));
    case sql_type::real: return sqlite3_bind_double(statement, index, std::get<double>(value.get()));
    case sql_type::text: {
      const auto text = std::get<std::string_view>(value.get());
      // A null pointer would bind null, not the empty text.
      return sqlite3_bind_text64(statement, index, text.empty() ? "" : text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
    }
    case sql_type::blob: {
      const auto blob = std::get<std::span<const std::byte>>(value.get());
      if (blob.empty()) return sqlite3_bind_zeroblob(statement, index, 0);
      return sqlite3_bind_blob64(statement, index, blob.data(), blob.size(), SQLITE_STATIC);
    }
  }
  return SQLITE_MISUSE;
}

}  // namespace

void sqlite_finalize::operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }

result<sqlite_statement, db_error> sqlite_statement::prepare(sqlite3* connection, std::string_view sql, bool persistent) {
  if (sql.find('\0') != std::string_view::npos) return db_error{db_errc::syntax_error, "the statement contains a NUL byte", 0, sql};
  const auto limit = static_cast<std::size_t>(sqlite3_limit(connection, SQLITE_LIMIT_SQL_LENGTH, -1));
  if (sql.size() > limit) {
    return db_error{db_errc::value_too_large, fmt::format("the statement has {} bytes, at most {} are taken", sql.size(), limit), 0, sql};
  }
  sqlite3_stmt* raw{nullptr};
  const char* tail{nullptr};
  const unsigned flags = persistent ? SQLITE_PREPARE_PERSISTENT : 0;
  const int code = sqlite3_prepare_v3(connection, sql.data(), static_cast<int>(sql.size()), flags, &raw, &tail);
  sqlite_statement_handle handle{raw};
  if (code != SQLITE_OK) return sqlite_error(connection, code, sql);
  if (!handle) return db_error{db_errc::syntax_error, "there is no statement in the text", 0, sql};
  if (has_more(connection, tail, sql.data() + sql.size())) {
    return db_error{db_errc::multiple_statements, "one statement is taken; execute_script takes several", 0, sql};
  }
  auto numbers = parameter_numbers(handle.get(), sql);
  if (!numbers) return numbers.error();
  return sqlite_statement{std::move(handle), std::move(*numbers)};
}

bool sqlite_statement::writes() const noexcept { return sqlite3_stmt_readonly(handle_.get()) == 0; }

result<void, db_error> sqlite_statement::bind(std::span<const sql_value> values, std::string_view sql) {
  if (values.size() != numbers_.size()) {
    return db_error{db_errc::wrong_parameters,
                    fmt::format("the statement takes {} parameters{}, {} given", numbers_.size(),
                                numbers_.empty() ? "" : fmt::format(" (up to ${})", numbers_.size()), values.size()),
                    0, sql};
  }
  for (std::size_t i = 0; i < numbers_.size(); ++i) {
    const auto& value = values[numbers_[i] - 1U];
    if (const auto* real = std::get_if<double>(&value.get()); real != nullptr && std::isnan(*real)) {
      // SQLite would store null.
      return db_error{db_errc::type_mismatch, fmt::format("parameter ${}: NaN cannot be stored", numbers_[i]), 0, sql};
    }
    const int code = bind_one(handle_.get(), static_cast<int>(i + 1), value);
    if (code == SQLITE_OK) continue;
    return sqlite_error(sqlite3_db_handle(handle_.get()), code, sql).prefixed(fmt::format("parameter ${}: ", numbers_[i]));
  }
  return {};
}

void sqlite_statement::name_columns(row_data& rows) const {
  if (!rows.columns.empty()) return;
  const int count = sqlite3_column_count(handle_.get());
  for (int i = 0; i < count; ++i) {
    const char* name = sqlite3_column_name(handle_.get(), i);
    rows.columns.emplace_back(name == nullptr ? "" : name);
  }
}

result<void, db_error> sqlite_statement::append_row(row_data& rows, std::string_view sql) const {
  name_columns(rows);
  auto* const statement = handle_.get();
  for (int i = 0; i < static_cast<int>(rows.columns.size()); ++i) {
    switch (sqlite3_column_type(statement, i)) {
      case SQLITE_INTEGER: rows.add(std::int64_t{sqlite3_column_int64(statement, i)}); break;
      case SQLITE_FLOAT: rows.add(sqlite3_column_double(statement, i)); break;
      case SQLITE_TEXT: {
        const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, i));
        if (text == nullptr) return db_error{db_errc::out_of_memory, {}, SQLITE_NOMEM, sql};
        rows.add(std::string_view{text, static_cast<std::size_t>(sqlite3_column_bytes(statement, i))});
        break;
      }
      case SQLITE_BLOB: {
        // The pointer of an empty blob is null.
        const auto* blob = static_cast<const std::byte*>(sqlite3_column_blob(statement, i));
        rows.add(std::span<const std::byte>{blob, static_cast<std::size_t>(sqlite3_column_bytes(statement, i))});
        break;
      }
      default: rows.add(nullptr); break;
    }
  }
  ++rows.rows;
  return {};
}

void sqlite_statement::reset() noexcept {
  // Both report the failure of the run that ended, which its caller knows already.
  (void)sqlite3_reset(handle_.get());
  (void)sqlite3_clear_bindings(handle_.get());
}

result<sqlite_statement_cache::lease, db_error> sqlite_statement_cache::get(sqlite3* connection, std::string_view sql) {
  const auto found = by_sql_.find(sql);
  if (found != by_sql_.end() && !found->second->in_use) {
    counters_.hits.add();
    entries_.splice(entries_.begin(), entries_, found->second);
    return lease{found->second->statement, found->second->in_use};
  }
  counters_.misses.add();
  const bool keep = found == by_sql_.end() && capacity_ > 0 && sql.size() <= sql_limit_bytes;
  auto prepared = sqlite_statement::prepare(connection, sql, keep);
  if (!prepared) return prepared.error();
  if (!keep) return lease{std::move(*prepared)};
  entries_.push_front(entry{std::string{sql}, std::move(*prepared), false});
  by_sql_.emplace(entries_.front().sql, entries_.begin());
  lease given{entries_.front().statement, entries_.front().in_use};
  while (entries_.size() > capacity_ && evict_one()) {
  }
  return given;
}

bool sqlite_statement_cache::evict_one() {
  const auto oldest = std::find_if(entries_.rbegin(), entries_.rend(), [](const entry& one) { return !one.in_use; });
  if (oldest == entries_.rend()) return false;  // all in use, by nested streams; a later miss makes up for it
  by_sql_.erase(oldest->sql);
  entries_.erase(std::next(oldest).base());
  counters_.evictions.add();
  return true;
}

void sqlite_statement_cache::clear() noexcept {
  by_sql_.clear();
  entries_.clear();
}

}  // namespace spillway::detail
