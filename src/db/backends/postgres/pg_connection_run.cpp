// SPDX-License-Identifier: Apache-2.0
// pg_connection: statements, their rows, scripts.
#include "pg_connection.hpp"

#include "pg_error.hpp"
#include "pg_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace spillway::detail {

namespace {

using namespace std::chrono_literals;

bool changes_rows(std::string_view tag) noexcept {
  return tag.starts_with("INSERT") || tag.starts_with("UPDATE") || tag.starts_with("DELETE") || tag.starts_with("MERGE");
}

}  // namespace

pg_wait pg_connection::next_row(reader& from, const pg_limit& limit, pg_result& into) {
  if (!from.ahead.empty()) {
    into = std::move(from.ahead.front());
    from.ahead.pop_front();
    return pg_wait::ready;
  }
  into.reset();
  while (!from.ended) {
    if (under_way_.empty()) return pg_wait::lost;  // it could not even be sent
    const auto kind = under_way_.front().kind;
    if (kind != step_kind::statement && kind != step_kind::fetch) {
      if (const auto waited = read_step(limit, from.failure); waited != pg_wait::ready) return waited;
      continue;
    }
    if (!from.one_by_one) from.one_by_one = PQsetSingleRowMode(channel_.raw()) == 1;
    if (const auto waited = channel_.next(limit, into); waited != pg_wait::ready) return waited;
    if (into) return pg_wait::ready;
    under_way_.pop_front();
    from.ended = true;
  }
  return pg_wait::ready;
}

/// A statement inside the handing out of another one's rows: the rest of those is put aside.
void pg_connection::read_ahead() {
  if (reading_ == nullptr || reading_->ended) return;
  auto& from = *reading_;
  std::deque<pg_result> ahead;
  ahead.swap(from.ahead);
  for (;;) {
    pg_result row;
    const auto waited = next_row(from, limit(), row);
    if (waited != pg_wait::ready) {
      from.failure = stopped(waited);
      from.ended = true;
      break;
    }
    if (!row) break;
    if (is(row.get(), PGRES_FATAL_ERROR)) (void)failed(row.get(), sql_);
    ahead.push_back(std::move(row));
  }
  from.ahead = std::move(ahead);
  if (!given_up_ && !dead_) {
    if (auto failure = settle(limit()); failure.failed() && !from.failure.failed()) from.failure = std::move(failure);
  }
}

/// Hands the rows to the sink; false when that has had enough.
bool pg_connection::read_rows(reader& from, row_data& rows, row_sink& sink, bool must_finish) {
  for (;;) {
    pg_result answer;
    if (const auto waited = next_row(from, limit(), answer); waited != pg_wait::ready) {
      from.failure = stopped(waited);
      from.ended = true;
      return true;
    }
    if (!answer) return true;
    switch (PQresultStatus(answer.get())) {
      case PGRES_SINGLE_TUPLE: {
        from.decoder.append(answer.get(), 0, rows);
        ++from.given;
        from.given_bytes += rows.size_bytes();
        answer.reset();
        handed_out_ = true;
        const auto sql = sql_;
        auto* const outer = std::exchange(reading_, &from);
        bool more{false};
        try {
          more = sink.row_added(rows);
        } catch (...) {
          reading_ = outer;
          finish_rows(from, true, must_finish);
          throw;
        }
        reading_ = outer;
        sql_ = sql;
        handed_out_ = true;
        if (!more) return false;
        if (const auto why = control_->interrupted()) {
          from.failure = interrupted(*why == db_errc::cancelled ? pg_wait::cancelled : pg_wait::timed_out, sql_);
          return true;
        }
        break;
      }
      case PGRES_TUPLES_OK:
        from.decoder.name_columns(answer.get(), rows);
        [[fallthrough]];
      case PGRES_COMMAND_OK:
        if (changes_rows(PQcmdStatus(answer.get()))) from.changed = number_in(PQcmdTuples(answer.get()));
        break;
      case PGRES_FATAL_ERROR:
        if (!from.failure.failed()) from.failure = failed(answer.get(), sql_);
        break;
      default: break;
    }
  }
}

/// Reads what is left of a result, and the Sync behind it.
void pg_connection::finish_rows(reader& from, bool early, bool must_finish) {
  const auto until = early && !must_finish ? pg_limit{deadline::after(system_clock_source().now(), rest_patience)} : limit();
  while (!from.ended && !given_up_ && !dead_) {
    pg_result answer;
    auto waited = next_row(from, until, answer);
    if (waited == pg_wait::ready && !from.ended && until.until.passed(system_clock_source().now())) waited = pg_wait::timed_out;
    if (waited == pg_wait::ready && answer && is(answer.get(), PGRES_FATAL_ERROR) && !from.failure.failed()) {
      from.failure = failed(answer.get(), sql_);
    } else if (waited == pg_wait::ready && answer && changes_rows(PQcmdStatus(answer.get()))) {
      from.changed = number_in(PQcmdTuples(answer.get()));
    } else if (waited == pg_wait::lost) {
      from.failure = lost(sql_);
    } else if (waited != pg_wait::ready) {
      if (must_finish || !early) {
        from.failure = interrupted(waited, sql_);
      } else {
        given_up_ = true;
        lost_ = db_error{db_errc::result_too_large, "a statement was given up before the end of its result", 0, sql_};
      }
    }
  }
  if (given_up_ || dead_) return;
  if (auto failure = settle(limit()); failure.failed() && !from.failure.failed()) from.failure = std::move(failure);
}

result<std::uint64_t, db_error> pg_connection::run(std::string_view sql, std::span<const sql_value> parameters, row_data& rows,
                                                   row_sink& sink) {
  if (const auto why = control_->interrupted()) return db_error{*why, {}, 0, sql};
  read_ahead();
  const auto statement = pg_plan(cache_, sql, parameters);
  if (!statement) return statement.error();
  if (lost_ && (dead_ || given_up_ || (*statement)->kind != pg_statement_kind::rollback_to)) return *lost_;
  if (auto refused = parameters_.assign(parameters, sql); refused.failed()) return refused;
  sql_ = sql;
  handed_out_ = false;
  const bool with_cursor = sink.is_stream() && (*statement)->kind == pg_statement_kind::query;
  const auto run_once = [&] { return with_cursor ? run_cursor(*statement, rows, sink) : run_statement(*statement, rows, sink); };
  const bool prepared_before = (*statement)->on_server;
  auto done = run_once();
  const bool outdated = !done && prepared_before && drop_if_old(**statement, done.error());
  if (!done && !handed_out_ && heal(done.error(), outdated)) done = run_once();
  return done;
}

result<std::uint64_t, db_error> pg_connection::run_statement(const std::shared_ptr<pg_prepared>& statement, row_data& rows, row_sink& sink) {
  reader from;
  queue_begin();
  queue_statement(statement);
  queue_sync();
  channel_.flush();
  // A write that returns rows has been carried out: nobody cancels it for the rows.
  const bool must_finish = statement->kind != pg_statement_kind::query;
  const bool more = read_rows(from, rows, sink, must_finish);
  finish_rows(from, !more, must_finish);
  if (from.failure.failed()) return from.failure;
  if (statement->kind == pg_statement_kind::rollback_to) {
    lost_.reset();
    done_cursors_.clear();  // gone with the savepoint, or with the transaction later
  }
  if (begun_ && !given_up_ && PQtransactionStatus(channel_.raw()) == PQTRANS_IDLE) {
    lost_ = db_error{db_errc::engine_error, "the statement ended the transaction", 0, sql_};
    return *lost_;
  }
  return from.changed;
}

result<std::uint64_t, db_error> pg_connection::run_cursor(const std::shared_ptr<pg_prepared>& statement, row_data& rows, row_sink& sink) {
  constexpr std::uint64_t first_rows{64};
  constexpr std::uint64_t most_rows{8'192};
  constexpr std::uint64_t chunk_bytes{1U << 20U};  // what a nested statement makes this keep

  const auto name = fmt::format("spillway_{}", cursors_++);
  const auto declare = fmt::format("DECLARE {} NO SCROLL CURSOR FOR {}", name, statement->sql);
  queue_begin();
  for (const auto& done : std::exchange(done_cursors_, {})) send_text(step_kind::other, "CLOSE " + done);
  if (PQsendQueryParams(channel_.raw(), declare.c_str(), parameters_.count(), parameters_.types(), parameters_.values(), parameters_.lengths(),
                        parameters_.formats(), 0) == 1) {
    under_way_.push_back({step_kind::other});
  }
  auto wanted = first_rows;
  for (;;) {
    reader from;
    send_text(step_kind::fetch, fmt::format("FETCH {} FROM {}", wanted, name));
    queue_sync();
    channel_.flush();
    const bool more = read_rows(from, rows, sink, true);
    finish_rows(from, !more, true);
    if (from.failure.failed()) return from.failure;
    if (lost_) return *lost_;
    if (!more || from.given < wanted) break;
    first_ = false;
    wanted = std::clamp<std::uint64_t>(chunk_bytes * from.given / std::max<std::uint64_t>(1, from.given_bytes), 1, most_rows);
  }
  done_cursors_.push_back(name);
  return std::uint64_t{0};
}

result<void, db_error> pg_connection::run_script(std::string_view sql) {
  constexpr std::size_t at_once{32};  // statements under way
  if (sql.find('\0') != std::string_view::npos) return db_error{db_errc::syntax_error, "the script contains a NUL byte", 0, sql};
  if (const auto why = control_->interrupted()) return db_error{*why, {}, 0, sql};
  read_ahead();
  if (lost_) return *lost_;
  std::size_t at{0};
  for (bool more{true}; more;) {
    db_error refused;
    std::vector<std::string_view> batch;
    while (batch.size() < at_once) {
      const auto statement = pg_next_statement(sql, at);
      more = statement.has_value();
      if (!more) break;
      refused = pg_refusal(*statement, statement->text);
      if (!refused.failed() && statement->highest_parameter != 0) {
        refused = db_error{db_errc::wrong_parameters, "a script takes no parameters", 0, statement->text};
      }
      if (refused.failed()) break;
      batch.push_back(statement->text);
    }
    if (!batch.empty()) {
      auto failure = run_batch(batch);
      if (failure.failed() && heal(failure)) failure = run_batch(batch);
      if (failure.failed()) return failure;
    }
    if (refused.failed()) return refused;
  }
  return {};
}

db_error pg_connection::run_batch(const std::vector<std::string_view>& batch) {
  queue_begin();
  for (const auto& text : batch) {
    send_text(step_kind::script, std::string{text});
  }
  queue_sync();
  channel_.flush();
  db_error failure;
  while (!under_way_.empty()) {
    if (under_way_.front().kind == step_kind::script) {
      const auto place = static_cast<std::size_t>(std::ranges::count(under_way_, step_kind::script, &step::kind));
      sql_ = batch[batch.size() - place];
    }
    if (const auto waited = read_step(limit(), failure); waited != pg_wait::ready) {
      auto why = stopped(waited);
      return failure.failed() ? failure : why;
    }
  }
  note_reports();
  return failure;
}

result<std::uint64_t, db_error> pg_connection::run_alone(std::string_view sql) {
  if (const auto why = control_->interrupted()) return db_error{*why, {}, 0, sql};
  if (lost_) return *lost_;
  if (begun_) return db_error{db_errc::not_allowed, "a statement alone must be the only one of its function", 0, sql};
  const auto statement = pg_plan(cache_, sql, {});
  if (!statement) return statement.error();
  (void)parameters_.assign({}, sql);
  sql_ = sql;
  // By itself: behind another command of the same Sync the server refuses what cannot run inside a transaction.
  if (auto failure = get_ready(false); failure.failed()) return failure;
  queue_statement(std::make_shared<pg_prepared>(pg_prepared{.key = {}, .name = {}, .sql = sql}));
  queue_sync();
  channel_.flush();
  reader from;
  row_data rows;
  dropped_rows sink;
  (void)read_rows(from, rows, sink, true);
  finish_rows(from, false, true);
  if (from.failure.failed()) return from.failure;
  return from.changed;
}

result<void, db_error> pg_connection::lock_schema() {
  constexpr std::string_view sql{"SELECT pg_advisory_xact_lock(8319679532431307373)"};  // "spillway": one number for all programs of this library
  dropped_rows sink;
  row_data rows;
  if (const auto locked = run(sql, {}, rows, sink); !locked) return locked.error();
  return {};
}

}  // namespace spillway::detail
