// SPDX-License-Identifier: Apache-2.0
// pg_connection: many rows.
#include "pg_connection.hpp"

#include "pg_bulk_sql.hpp"
#include "pg_changed_rows.hpp"
#include "pg_copy_text.hpp"
#include "pg_first_rows.hpp"
#include "pg_known_key.hpp"
#include "pg_plan.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <string>
#include <vector>

namespace spillway::detail {

namespace {

constexpr std::size_t chunk_bytes{std::size_t{64} << 10U};

/// Thrown out of a COPY that must not be completed; `bulk_rows` knows why.
struct copy_refused {};

/// The data of a COPY: the rows that were kept, then the others.
class copy_data {
 public:
  copy_data(const bulk_job& job, const pg_first_rows& first, bulk_rows& rows) : numbered_{pg_needs_numbers(job.kind)}, first_{first}, rows_{rows} {
    text_.reserve(chunk_bytes + chunk_bytes / 4);
  }

  std::string_view next() {
    text_.clear();
    while (text_.size() < chunk_bytes) {
      if (number_ < first_.count()) {
        add(first_.values(number_));
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
      refuse_nul(rows_, number_, *unfit);
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
  const pg_first_rows& first_;
  bulk_rows& rows_;
  std::string text_;
  std::size_t number_{0};
};

class known_key_rows final : public row_sink {
 public:
  bool row_added(row_data& rows) override {
    key.add(std::get<std::string_view>(rows.value(0).get()), rows.row(0).get<bool>(1));
    rows.clear_rows();
    return true;
  }

  pg_known_key key;
};

}  // namespace

result<std::uint64_t, db_error> pg_connection::bulk(const bulk_job& job, bulk_rows& rows) {
  const pg_first_rows first{job, rows};
  if (rows.failure().failed()) return rows.failure();
  if (first.all()) {
    constexpr std::size_t most_groups{8};  // each is a round trip
    if (const auto groups = first.groups(); groups.size() <= most_groups) return run_each(job, first, groups);
  }
  if (!pg_needs_staging(job.kind)) return copy_rows(pg_copy_sql(job), [data = copy_data{job, first, rows}]() mutable { return data.next(); });
  return merge_rows(job, [data = copy_data{job, first, rows}]() mutable { return data.next(); });
}

result<std::uint64_t, db_error> pg_connection::run_each(const bulk_job& job, const pg_first_rows& rows,
                                                        const std::vector<pg_first_rows::group>& groups) {
  auto sql = job.kind == bulk_kind::update ? update_sql(job) : insert_sql(job);
  if (!job.keys.empty() && rows.count() > 1) sql += pg_returned_key_sql(job);
  if (const auto why = control_->interrupted()) return db_error{*why, {}, 0, sql};
  read_ahead();
  if (lost_) return *lost_;
  pg_changed_rows changed;
  for (const auto& group : groups) {
    const auto statement = pg_plan(cache_, sql, group.types);
    if (!statement) return statement.error();
    sql_ = sql;
    handed_out_ = false;
    auto attempt = changed;
    const bool prepared_before = (*statement)->on_server;
    auto failure = run_alike(*statement, rows, group, attempt);
    const bool outdated = failure.failed() && prepared_before && drop_if_old(**statement, failure);
    if (failure.failed() && !handed_out_ && heal(failure, outdated)) {
      attempt = changed;
      failure = run_alike(*statement, rows, group, attempt);
    }
    sql_ = {};
    if (failure.failed()) return failure;
    changed = std::move(attempt);
  }
  return changed.count();
}

db_error pg_connection::run_alike(const std::shared_ptr<pg_prepared>& statement, const pg_first_rows& rows, const pg_first_rows::group& group,
                                  pg_changed_rows& changed) {
  try {
    queue_begin();
    (void)parameters_.assign(group.types, sql_);
    queue_preparation(statement);
    for (auto row = group.begin; row < group.end; ++row) {
      (void)parameters_.assign(rows.values(row), sql_);
      queue_execution(statement);
    }
    queue_sync();
  } catch (...) {  // no memory; what is under way would be taken for the answer of the next statement
    (void)lost(sql_);
    throw;
  }
  channel_.flush();
  // What fails here is no row's fault.
  reader from;
  while (!under_way_.empty() && under_way_.front().kind != step_kind::statement && !given_up_ && !dead_) {
    if (const auto waited = read_step(limit(), from.failure); waited != pg_wait::ready) from.failure = stopped(waited);
  }
  row_data none;
  for (auto row = group.begin; row < group.end && !from.failure.failed(); ++row) {
    from = {};
    (void)read_rows(from, none, changed, true);
    if (from.failure.failed() && !given_up_ && !dead_) from.failure = error_of_row(row, from.failure);
    changed.statement_ended(from.changed);
  }
  finish_rows(from, false, true);
  return from.failure;
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
  const auto copied = copy_rows(pg_copy_sql(job), source);
  if (!copied) return copied.error();
  const bool may_know = job.kind == bulk_kind::insert_or_skip && *copied >= pg_known_key_pays_from;
  auto merged = may_know ? insert_unknown(job) : run_once(pg_merge_sql(job));
  if (!merged) return merged;
  if (const auto dropped = run_script(pg_drop_staging_sql); !dropped) return dropped.error();
  return merged;
}

result<std::uint64_t, db_error> pg_connection::insert_unknown(const bulk_job& job) {
  row_data none;
  known_key_rows found;
  const sql_value table{job.table};
  if (const auto looked = run(pg_known_key_sql, {&table, 1}, none, found); !looked) return looked.error();
  if (!found.key.serves(job)) return run_once(pg_merge_sql(job));

  const auto require = pg_require_values_sql(job, found.key);
  auto done = [&]() -> result<std::uint64_t, db_error> {
    if (const auto kept = run_script("SAVEPOINT spillway_skip"); !kept) return kept.error();
    if (const auto required = run_script(require); !required) return required.error();
    return run_once(pg_insert_unknown_sql(job, found.key));
  }();
  // A row came in between, or one that is null is to blame: ON CONFLICT knows what to do, and what to say.
  if (!done && (done.error() == db_errc::unique_violation || done.error() == db_errc::not_null_violation)) {
    if (const auto back = run("ROLLBACK TO SAVEPOINT spillway_skip", {}, none, found); !back) return back.error();
    done = run_once(pg_merge_sql(job));
  }
  if (!done) return done;
  if (const auto released = run_script("RELEASE SAVEPOINT spillway_skip"); !released) return released.error();
  return done;
}

result<std::uint64_t, db_error> pg_connection::run_once(const std::string& sql) {
  if (const auto why = control_->interrupted()) return db_error{*why, {}, 0, sql};
  sql_ = sql;
  row_data none;
  dropped_rows sink;
  (void)parameters_.assign({}, sql);
  auto done = run_statement(std::make_shared<pg_prepared>(pg_prepared{.key = {}, .name = {}, .sql = sql}), none, sink);
  sql_ = {};
  return done;
}

}  // namespace spillway::detail
