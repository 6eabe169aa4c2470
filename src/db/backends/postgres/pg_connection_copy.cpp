// SPDX-License-Identifier: Apache-2.0
// pg_connection: COPY and the raw connection, which both take it out of the pipeline.
#include "pg_connection.hpp"

#include "pg_error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <memory>

#include <poll.h>

namespace spillway::detail {

namespace {

/// What may lie in libpq's buffer unsent before it is waited for: it would grow without a bound.
constexpr std::size_t unsent_bytes{std::size_t{128} << 10U};
constexpr std::size_t piece_bytes{std::size_t{1} << 20U};

}  // namespace

db_error pg_connection::enter_simple(bool in_transaction) {
  if (auto failure = get_ready(in_transaction); failure.failed()) return failure;
  if (PQexitPipelineMode(channel_.raw()) != 1) return lost(sql_);
  mode_ = mode::simple;
  return {};
}

bool pg_connection::enter_pipeline() noexcept {
  mode_ = mode::pipeline;
  return PQenterPipelineMode(channel_.raw()) == 1;
}

pg_wait pg_connection::drain_output(const pg_limit& limit) {
  for (;;) {
    const int left = PQflush(channel_.raw());
    if (left == 0) return pg_wait::ready;
    if (left < 0) return pg_wait::lost;
    // There is something to take in, too, if the server reports an error: it then reads the rest and drops it.
    if (const auto waited = channel_.receive(POLLIN | POLLOUT, limit); waited != pg_wait::ready) return waited;
  }
}

pg_wait pg_connection::end_copy_in(const char* why, const pg_limit& limit) {
  for (;;) {
    const int ended = PQputCopyEnd(channel_.raw(), why);
    if (ended < 0) return pg_wait::lost;
    if (ended > 0) break;
    if (const auto waited = drain_output(limit); waited != pg_wait::ready) return waited;
  }
  mode_ = mode::simple;
  return drain_output(limit);
}

db_error pg_connection::finish_simple(const pg_limit& limit, std::uint64_t& rows) {
  db_error failure;
  const auto judge = [&](pg_wait waited) { return waited == pg_wait::lost ? lost(sql_) : interrupted(waited, sql_); };
  for (;;) {
    if (limit.until.passed(system_clock_source().now())) return judge(pg_wait::timed_out);  // it may never stop sending
    if (mode_ == mode::copy_out) {
      char* row{nullptr};
      const int length = PQgetCopyData(channel_.raw(), &row, 1);
      if (row != nullptr) PQfreemem(row);
      if (length == 0) {
        if (const auto waited = channel_.receive(POLLIN, limit); waited != pg_wait::ready) return judge(waited);
      }
      if (length < 0) mode_ = mode::simple;
      continue;
    }
    pg_result answer;
    if (const auto waited = channel_.next(limit, answer); waited != pg_wait::ready) return failure.failed() ? failure : judge(waited);
    if (!answer) break;
    switch (PQresultStatus(answer.get())) {
      case PGRES_FATAL_ERROR:
        if (!failure.failed()) {
          failure = failed(answer.get(), sql_);
          copy_line_ = copy_line_of(answer.get());
        }
        break;
      case PGRES_COMMAND_OK: {
        const std::string_view digits{PQcmdTuples(answer.get())};
        std::from_chars(digits.data(), digits.data() + digits.size(), rows);
        break;
      }
      case PGRES_COPY_OUT: mode_ = mode::copy_out; break;
      case PGRES_COPY_IN:
        if (const auto waited = end_copy_in("not wanted", limit); waited != pg_wait::ready) return judge(waited);
        break;
      default: break;
    }
  }
  note_reports();
  return failure;
}

result<std::uint64_t, db_error> pg_connection::start_copy(std::string_view sql, ExecStatusType wanted) {
  if (const auto why = control_->interrupted()) return db_error{*why, {}, 0, sql};
  read_ahead();
  if (lost_) return *lost_;
  std::size_t at{0};
  const auto statement = sql.find('\0') == std::string_view::npos ? pg_next_statement(sql, at) : std::nullopt;
  if (!statement || statement->kind != pg_statement_kind::copy) return db_error{db_errc::invalid_statement, "this is no COPY", 0, sql};
  if (pg_next_statement(sql, at)) return db_error{db_errc::multiple_statements, "one COPY is taken", 0, sql};
  sql_ = sql;
  if (auto failure = enter_simple(true); failure.failed()) return failure;
  std::uint64_t rows{0};
  const std::string text{sql};
  if (PQsendQuery(channel_.raw(), text.c_str()) != 1) return lost(sql);
  pg_result answer;
  if (const auto waited = channel_.next(limit(), answer); waited != pg_wait::ready) {
    return waited == pg_wait::lost ? lost(sql) : interrupted(waited, sql);
  }
  const auto status = PQresultStatus(answer.get());
  if (status == wanted) {
    mode_ = wanted == PGRES_COPY_IN ? mode::copy_in : mode::copy_out;
    return rows;
  }
  auto failure = status == PGRES_FATAL_ERROR ? failed(answer.get(), sql) : db_error{};
  if (!failure.failed()) {
    failure = {db_errc::invalid_statement, wanted == PGRES_COPY_IN ? "a COPY ... FROM STDIN is taken" : "a COPY ... TO STDOUT is taken", 0, sql};
    lost_ = failure;  // it may have done something, with a file of the server
  }
  if (status == PGRES_COPY_OUT) mode_ = mode::copy_out;
  if (status == PGRES_COPY_IN) (void)end_copy_in("not wanted", limit());
  (void)finish_simple(limit(), rows);
  if (!given_up_ && !dead_ && !enter_pipeline()) dead_ = true;
  return failure;
}

result<std::uint64_t, db_error> pg_connection::copy_in(std::string_view sql, const std::function<std::string_view()>& source) {
  if (const auto started = start_copy(sql, PGRES_COPY_IN); !started) return started.error();
  std::uint64_t rows{0};
  const auto end = [&](const char* why) -> db_error {
    if (const auto waited = end_copy_in(why, limit()); waited != pg_wait::ready) return waited == pg_wait::lost ? lost(sql) : interrupted(waited, sql);
    auto failure = finish_simple(limit(), rows);
    if (!given_up_ && !dead_ && !enter_pipeline()) dead_ = true;
    return failure;
  };
  try {
    std::size_t unsent{0};
    for (auto data = source(); !data.empty(); data = source()) {
      for (; !data.empty(); data.remove_prefix(std::min(piece_bytes, data.size()))) {
        const auto piece = data.substr(0, piece_bytes);
        int put{0};
        auto waited = pg_wait::ready;
        while (waited == pg_wait::ready && (put = PQputCopyData(channel_.raw(), piece.data(), static_cast<int>(piece.size()))) == 0) {
          waited = drain_output(limit());
        }
        unsent += piece.size();
        if (waited == pg_wait::ready && put > 0 && unsent > unsent_bytes) {
          waited = drain_output(limit());
          unsent = 0;
        }
        if (waited == pg_wait::lost || put < 0) return lost(sql);
        if (waited != pg_wait::ready) return interrupted(waited, sql);
      }
      if (const auto why = control_->interrupted()) return interrupted(*why == db_errc::cancelled ? pg_wait::cancelled : pg_wait::timed_out, sql);
    }
  } catch (...) {
    if (mode_ == mode::copy_in) (void)end("the source threw");
    throw;
  }
  if (auto failure = end(nullptr); failure.failed()) return failure;
  return rows;
}

result<std::uint64_t, db_error> pg_connection::copy_out(std::string_view sql, const std::function<bool(std::string_view)>& sink) {
  if (const auto started = start_copy(sql, PGRES_COPY_OUT); !started) return started.error();
  struct free_row {
    void operator()(char* row) const noexcept { PQfreemem(row); }
  };
  std::uint64_t given{0};
  // What is left of it can be anything, so the statement is cancelled, and with it the transaction.
  const auto give_up = [&] {
    given_up_ = true;
    lost_ = db_error{db_errc::result_too_large, "a COPY was given up before its end", 0, sql};
  };
  for (;;) {
    char* raw{nullptr};
    const int length = PQgetCopyData(channel_.raw(), &raw, 1);
    const std::unique_ptr<char, free_row> row{raw};
    if (length == 0) {
      if (const auto waited = channel_.receive(POLLIN, limit()); waited != pg_wait::ready) {
        return waited == pg_wait::lost ? lost(sql) : interrupted(waited, sql);
      }
      continue;
    }
    if (length < 0) break;
    ++given;
    bool more{false};
    try {
      more = sink(std::string_view{row.get(), static_cast<std::size_t>(length)});
    } catch (...) {
      give_up();
      throw;
    }
    if (!more) {
      give_up();
      return given;
    }
    if (const auto why = control_->interrupted()) return interrupted(*why == db_errc::cancelled ? pg_wait::cancelled : pg_wait::timed_out, sql);
  }
  mode_ = mode::simple;
  std::uint64_t rows{0};
  auto failure = finish_simple(limit(), rows);
  if (!given_up_ && !dead_ && !enter_pipeline()) dead_ = true;
  if (failure.failed()) return failure;
  return given;
}

result<PGconn*, db_error> pg_connection::lend_raw() {
  if (const auto why = control_->interrupted()) return *why;
  read_ahead();
  if (lost_) return *lost_;
  sql_ = {};
  if (auto failure = enter_simple(begun_); failure.failed()) return failure;
  (void)PQsetnonblocking(channel_.raw(), 0);
  mode_ = mode::lent;
  foreign_ = true;
  return channel_.raw();
}

db_error pg_connection::take_back_raw() {
  auto* const raw = channel_.raw();
  mode_ = mode::simple;
  // Answers that were left behind; a COPY that was left open cannot be ended from here.
  const auto status = PQtransactionStatus(raw);
  if (PQstatus(raw) != CONNECTION_OK || status == PQTRANS_ACTIVE || status == PQTRANS_UNKNOWN || PQsetnonblocking(raw, 1) != 0 || !enter_pipeline()) {
    auto why = lost({});
    // What it had committed by then, nobody can tell.
    if (!begun_) lost_ = why = db_error{db_errc::commit_unknown, std::string{why.message()}};
    return why;
  }
  PQsetNoticeProcessor(raw, [](void*, const char*) {}, nullptr);
  if (begun_) {
    if (status == PQTRANS_INTRANS) return {};
    if (status == PQTRANS_INERROR) lost_ = db_error{db_errc::engine_error, "a statement on the raw connection failed"};
    if (status == PQTRANS_IDLE) {
      lost_ = db_error{db_errc::engine_error, "the transaction was ended on the raw connection"};
      begun_ = false;
    }
    return *lost_;
  }
  db_error failure;
  if (status != PQTRANS_IDLE) {
    failure = {db_errc::engine_error, "a transaction was begun on the raw connection and not ended; it is rolled back"};
    send_text(step_kind::end, "ROLLBACK");
    queue_sync();
  }
  discard(limit_for_end());
  if (dead_ || given_up_) {  // which is the session's trouble alone: what was committed stays so
    dead_ = true;
    given_up_ = false;
    lost_.reset();
  }
  if (failure.failed()) lost_ = failure;
  return failure;
}

}  // namespace spillway::detail
