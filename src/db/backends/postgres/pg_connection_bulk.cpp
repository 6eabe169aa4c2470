// SPDX-License-Identifier: Apache-2.0
// pg_connection: many rows.
#include "pg_connection.hpp"

#include "pg_bulk_sql.hpp"
#include "pg_copy_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace spillway::detail {

namespace {

/// Up to so many rows go by statements of their own; from there on the round trips of COPY, or of a temporary table, which takes 2 ms, are the
/// cheaper way. Measured: bulk_bench, "small batches".
constexpr std::size_t few(bulk_kind kind) noexcept {
  switch (kind) {
    case bulk_kind::insert: return 3;
    case bulk_kind::insert_or_skip: return 256;
    default: return 48;
  }
}
constexpr std::size_t few_bytes{std::size_t{256} << 10U};
constexpr std::size_t chunk_bytes{std::size_t{64} << 10U};

/// The rows that come first, kept until it is known how many there are.
class first_rows {
 public:
  first_rows(const bulk_job& job, bulk_rows& rows) : width_{job.columns.size()} {
    const auto most = few(job.kind);
    for (;;) {
      const auto values = rows.next();
      ended_ = !values;
      if (ended_) return;
      for (const auto& value : *values) kept_.add(value);
      ++kept_.rows;
      if (kept_.rows > most || kept_.size_bytes() > few_bytes) return;
    }
  }

  /// There were no more.
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] std::size_t count() const noexcept { return kept_.rows; }
  [[nodiscard]] std::vector<sql_value> values(std::size_t row, std::size_t rows) const {
    std::vector<sql_value> made;
    for (auto cell = row * width_; cell < (row + rows) * width_; ++cell) made.push_back(kept_.value(cell));
    return made;
  }

 private:
  row_data kept_;
  std::size_t width_;
  bool ended_{false};
};

/// Thrown out of a COPY that must not be completed; `bulk_rows` knows why.
struct copy_refused {};

/// The data of a COPY: the rows that were kept, then the others.
class copy_data {
 public:
  copy_data(const bulk_job& job, const first_rows& first, bulk_rows& rows) : numbered_{pg_needs_numbers(job.kind)}, first_{first}, rows_{rows} {
    text_.reserve(chunk_bytes + chunk_bytes / 4);
  }

  std::string_view next() {
    text_.clear();
    while (text_.size() < chunk_bytes) {
      if (number_ < first_.count()) {
        const auto values = first_.values(number_, 1);
        add(values);
      } else if (const auto values = rows_.next()) {
        add(*values);
      } else if (rows_.failure().failed()) {
        throw copy_refused{};
      } else {
        break;
      }
    }
    return text_;
  }

 private:
  void add(std::span<const sql_value> values) {
    if (const auto unfit = append_copy_values(text_, values)) {
      rows_.refuse(number_, db_errc::type_mismatch, *unfit, "PostgreSQL cannot store text with a NUL byte");
      throw copy_refused{};
    }
    if (numbered_) {
      std::array<char, 24> digits;
      text_ += '\t';
      text_.append(digits.begin(), std::to_chars(digits.begin(), digits.end(), number_).ptr);
    }
    text_ += '\n';
    ++number_;
  }

  bool numbered_;
  const first_rows& first_;
  bulk_rows& rows_;
  std::string text_;
  std::size_t number_{0};
};

/// Counts what several statements have changed as one would that has only the last of the rows given with equal keys. Each returns the keys of the
/// rows it has changed: which ones are equal, the database alone knows.
class counted_by_key final : public row_sink {
 public:
  bool row_added(row_data& rows) override {
    ++statement_[std::string{std::get<std::string_view>(rows.value(0).get())}];
    rows.clear_rows();
    return true;
  }
  void statement_ended() {
    for (auto& [key, count] : statement_) last_[key] = count;
    statement_.clear();
  }
  [[nodiscard]] std::uint64_t count() const {
    std::uint64_t sum{0};
    for (const auto& [key, count] : last_) sum += count;
    return sum;
  }

 private:
  std::map<std::string, std::uint64_t> statement_;
  std::map<std::string, std::uint64_t> last_;
};

}  // namespace

result<std::uint64_t, db_error> pg_connection::bulk(const bulk_job& job, bulk_rows& rows) {
  const first_rows first{job, rows};
  if (rows.failure().failed()) return rows.failure();
  row_data none;
  dropped_rows sink;
  if (first.ended()) {
    if (first.count() == 0) return std::uint64_t{0};
    if (job.kind == bulk_kind::insert_or_skip) {
      // A statement takes many; by powers of two, so that there are few different ones to prepare.
      std::uint64_t inserted{0};
      for (std::size_t row = 0, rows_at_once = 0; row < first.count(); row += rows_at_once) {
        rows_at_once = std::bit_floor(std::min(first.count() - row, pg_most_parameters / job.columns.size()));
        failed_parameter_ = 0;
        const auto done = run(insert_sql(job, rows_at_once), first.values(row, rows_at_once), none, sink);
        if (!done) return failed_parameter_ == 0 ? done.error() : error_of_row(row + (failed_parameter_ - 1) / job.columns.size(), done.error());
        inserted += *done;
      }
      return inserted;
    }
    auto sql = job.kind == bulk_kind::update ? update_sql(job) : insert_sql(job, 1);
    const bool may_repeat = !job.keys.empty() && first.count() > 1;
    if (may_repeat) sql += pg_returned_key_sql(job);
    counted_by_key counted;
    std::uint64_t written{0};
    for (std::size_t row = 0; row < first.count(); ++row) {
      const auto done = run(sql, first.values(row, 1), none, may_repeat ? static_cast<row_sink&>(counted) : sink);
      if (!done) return error_of_row(row, done.error());
      written += *done;
      counted.statement_ended();
    }
    return may_repeat ? counted.count() : written;
  }
  if (!pg_needs_staging(job.kind)) return copy_rows(pg_copy_sql(job), [data = copy_data{job, first, rows}]() mutable { return data.next(); });
  return merge_rows(job, [data = copy_data{job, first, rows}]() mutable { return data.next(); });
}

result<std::uint64_t, db_error> pg_connection::copy_rows(std::string_view sql, const std::function<std::string_view()>& source) {
  copy_line_ = 0;
  try {
    auto done = copy_in(sql, source);
    if (!done && copy_line_ > 0) return error_of_row(copy_line_ - 1, done.error());
    return done;
  } catch (const copy_refused&) {
    return db_error{db_errc::type_mismatch};  // bulk_rows says more
  }
}

result<std::uint64_t, db_error> pg_connection::merge_rows(const bulk_job& job, const std::function<std::string_view()>& source) {
  if (const auto made = run_script(pg_staging_sql(job)); !made) return made.error();
  if (const auto copied = copy_rows(pg_copy_sql(job), source); !copied) return copied.error();
  // Not worth a place among the prepared statements.
  const auto sql = pg_merge_sql(job);
  sql_ = sql;
  row_data none;
  dropped_rows sink;
  (void)parameters_.assign({}, sql);
  auto merged = run_statement(std::make_shared<pg_prepared>(pg_prepared{.key = {}, .name = {}, .sql = sql}), none, sink);
  sql_ = {};
  if (!merged) return merged;
  if (const auto dropped = run_script(pg_drop_staging_sql); !dropped) return dropped.error();
  return merged;
}

}  // namespace spillway::detail
