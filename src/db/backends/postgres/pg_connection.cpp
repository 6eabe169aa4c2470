// SPDX-License-Identifier: Apache-2.0
#include "pg_connection.hpp"

#include "pg_error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace spillway::detail {

namespace {

using namespace std::chrono_literals;

/// The rest of a result that nobody wants is read for as long as this before the statement is cancelled instead.
constexpr auto patience{20ms};
/// The server's own limit lies behind ours, so that ours is what ends a statement while this process is alive.
constexpr auto timeout_margin{1s};

constexpr std::string_view stale_plan{"RevalidateCachedQuery"};

bool is(const PGresult* answer, ExecStatusType status) noexcept { return PQresultStatus(answer) == status; }

bool changes_rows(std::string_view tag) noexcept {
  return tag.starts_with("INSERT") || tag.starts_with("UPDATE") || tag.starts_with("DELETE") || tag.starts_with("MERGE");
}

std::uint64_t number_in(const char* text) noexcept {
  std::uint64_t number{0};
  const std::string_view digits{text};
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

}  // namespace

pg_connection::pg_connection(std::shared_ptr<pg_node> node, session_kind kind, pg_channel channel)
    : node_{std::move(node)},
      kind_{kind},
      channel_{std::move(channel)},
      cache_{node_->statement_cache, node_->statements},
      statement_generation_{node_->statement_generation.load(std::memory_order_relaxed)} {
  note_reports();
}

pg_connection::~pg_connection() = default;

result<std::unique_ptr<pg_connection>, db_error> pg_connection::open(std::shared_ptr<pg_node> node, session_kind kind, deadline until) {
  auto channel = pg_channel::connect(node->info, kind, until);
  if (!channel) return channel.error();
  std::unique_ptr<pg_connection> made{new pg_connection{std::move(node), kind, std::move(*channel)}};
  const char* const strings = PQparameterStatus(made->channel_.raw(), "standard_conforming_strings");
  if (strings == nullptr || std::string_view{strings} != "on") {
    return db_error{db_errc::cannot_open, fmt::format("{}: standard_conforming_strings is not on", made->node_->info.where())};
  }
  if (kind == session_kind::write && made->node_->in_hot_standby.load(std::memory_order_relaxed)) {
    return db_error{db_errc::not_primary, fmt::format("{}: the server is a standby, and a session that writes was asked for", made->node_->info.where())};
  }
  return made;
}

// ---- limits -------------------------------------------------------------------------------------------------------------------------------

pg_limit pg_connection::limit() const noexcept { return {control_->until, control_->cancellable ? &control_->cancelled : nullptr}; }

pg_limit pg_connection::limit_for_end() const noexcept {
  const auto now = system_clock_source().now();
  const auto after_deadline = control_ == nullptr || control_->until.is_never() || control_->until.passed(now) ? now : control_->until.at();
  return {deadline::after(after_deadline, node_->answer_timeout)};
}

// ---- out ----------------------------------------------------------------------------------------------------------------------------------

bool pg_connection::send_text(step_kind kind, const std::string& sql) {
  if (PQsendQueryParams(channel_.raw(), sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) != 1) return false;
  under_way_.push_back({kind});
  return true;
}

void pg_connection::queue_sync() {
  if (PQpipelineSync(channel_.raw()) == 1) under_way_.push_back({step_kind::sync});
}

std::string pg_connection::begin_sql() const {
  const auto& wanted = control_->transaction;
  const auto isolation = [&]() -> std::string_view {
    switch (wanted.isolation) {
      case transaction_isolation::read_committed: return " ISOLATION LEVEL READ COMMITTED";
      case transaction_isolation::repeatable_read: return " ISOLATION LEVEL REPEATABLE READ";
      case transaction_isolation::serializable: return " ISOLATION LEVEL SERIALIZABLE";
      case transaction_isolation::engine_default: break;
    }
    // A read has promised one snapshot.
    return kind_ == session_kind::read ? " ISOLATION LEVEL REPEATABLE READ" : " ISOLATION LEVEL READ COMMITTED";
  }();
  return fmt::format("BEGIN{}{}", isolation, kind_ == session_kind::read ? " READ ONLY" : "");
}

void pg_connection::queue_begin() {
  first_ = !begun_;
  if (begun_) return;
  begun_ = true;
  if (const auto generation = node_->statement_generation.load(std::memory_order_relaxed); generation != statement_generation_) {
    statement_generation_ = generation;
    cache_.forget_server();
    send_text(step_kind::other, "DEALLOCATE ALL");
    queue_sync();
  }
  // What the server has is kept as long as it is long enough and not much too long: it only matters when this process is gone.
  const auto left = control_->until.remaining(system_clock_source().now());
  const auto least = control_->until.is_never() ? 0ms : std::chrono::ceil<std::chrono::milliseconds>(left) + timeout_margin;
  const bool fits = server_timeout_known_ && (least == 0ms ? server_timeout_ == 0ms : server_timeout_ >= least && server_timeout_ <= 4 * least);
  if (!fits) {
    constexpr auto most = 2'000'000'000ms;  // the server has 31 bits
    server_timeout_ = least > most / 2 ? 0ms : 2 * least;
    server_timeout_known_ = true;
    send_text(step_kind::other, fmt::format("SET statement_timeout = {}", server_timeout_.count()));
    queue_sync();
  }
  send_text(step_kind::begin, begin_sql());
}

void pg_connection::queue_prepared(const std::shared_ptr<pg_prepared>& statement) {
  auto* const raw = channel_.raw();
  // In a transaction that has failed it would stand in the way of ROLLBACK TO.
  for (auto& name : lost_ ? std::vector<std::string>{} : cache_.take_dropped()) {
    if (send_text(step_kind::deallocate, fmt::format("DEALLOCATE {}", name))) under_way_.back().name = std::move(name);
  }
  int sent{0};
  if (statement->name.empty()) {
    const std::string sql{statement->sql};
    sent = PQsendQueryParams(raw, sql.c_str(), parameters_.count(), parameters_.types(), parameters_.values(), parameters_.lengths(),
                             parameters_.formats(), 0);
  } else {
    if (!statement->on_server) {
      const std::string sql{statement->sql};
      if (PQsendPrepare(raw, statement->name.c_str(), sql.c_str(), parameters_.count(), parameters_.types()) == 1) {
        under_way_.push_back({step_kind::prepare, statement});
      }
    }
    sent = PQsendQueryPrepared(raw, statement->name.c_str(), parameters_.count(), parameters_.values(), parameters_.lengths(),
                               parameters_.formats(), 0);
  }
  if (sent == 1) under_way_.push_back({step_kind::statement, statement});
}

// ---- in -----------------------------------------------------------------------------------------------------------------------------------

void pg_connection::note_answer(const step& of, const PGresult* answer, db_error& failure) {
  switch (PQresultStatus(answer)) {
    case PGRES_FATAL_ERROR: {
      // The end of a read, which nobody has waited for, cannot fail but with the connection.
      const bool of_another = of.kind == step_kind::end && kind_ == session_kind::read;
      if (of_another && !ends_session(sqlstate_of(answer)) && !channel_.lost()) break;
      auto error = failed(answer, sql_);
      if (!failure.failed()) failure = std::move(error);
      break;
    }
    case PGRES_PIPELINE_ABORTED:
      if (of.kind == step_kind::deallocate) cache_.not_dropped(of.name);
      break;
    case PGRES_COMMAND_OK:
      if (of.kind == step_kind::prepare) of.prepared->on_server = true;
      if (of.kind == step_kind::end) committed_ = std::string_view{PQcmdStatus(const_cast<PGresult*>(answer))} == "COMMIT";
      break;
    default: break;
  }
}

pg_wait pg_connection::read_step(const pg_limit& limit, db_error& failure) {
  for (;;) {
    pg_result answer;
    if (const auto waited = channel_.next(limit, answer); waited != pg_wait::ready) return waited;
    if (!answer || is(answer.get(), PGRES_PIPELINE_SYNC)) {
      under_way_.pop_front();
      return pg_wait::ready;
    }
    note_answer(under_way_.front(), answer.get(), failure);
  }
}

db_error pg_connection::settle(const pg_limit& limit) {
  db_error failure;
  while (!under_way_.empty()) {
    if (const auto waited = read_step(limit, failure); waited != pg_wait::ready) {
      auto why = waited == pg_wait::lost ? lost(sql_) : interrupted(waited, sql_);
      return failure.failed() ? failure : why;
    }
  }
  note_reports();
  return failure;
}

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
      from.failure = waited == pg_wait::lost ? lost(sql_) : interrupted(waited, sql_);
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
      from.failure = waited == pg_wait::lost ? lost(sql_) : interrupted(waited, sql_);
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
  const auto until = early && !must_finish ? pg_limit{deadline::after(system_clock_source().now(), patience)} : limit();
  while (!from.ended && !given_up_ && !dead_) {
    pg_result answer;
    const auto waited = next_row(from, until, answer);
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

// ---- transactions -------------------------------------------------------------------------------------------------------------------------

void pg_connection::forget_transaction() noexcept {
  control_ = nullptr;
  begun_ = false;
  first_ = false;
  lost_.reset();
  reading_ = nullptr;
  done_cursors_.clear();
  sql_ = {};
}

result<void, db_error> pg_connection::begin(const statement_control& control) {
  forget_transaction();
  if (dead_) return db_error{db_errc::connection_lost, std::string{"the session is closed"}};
  control_ = &control;
  if (const auto why = control.interrupted()) {
    control_ = nullptr;
    return *why;
  }
  return {};
}

result<void, db_error> pg_connection::commit() {
  if (lost_) {
    auto why = *lost_;
    rollback();
    return why;
  }
  if (!begun_) {
    forget_transaction();
    return {};
  }
  // If the session has ended before, the commit has not begun.
  if (kind_ == session_kind::write && !channel_.peek()) {
    auto why = lost({});
    forget_transaction();
    return why;
  }
  committed_ = false;
  send_text(step_kind::end, "COMMIT");
  queue_sync();
  const bool waits = kind_ == session_kind::write || control_->transaction.isolation == transaction_isolation::serializable;
  if (!waits) {
    channel_.flush();
    forget_transaction();
    return {};
  }
  sql_ = {};
  auto failure = settle(limit_for_end());
  forget_transaction();
  const bool cut_off = failure == db_errc::connection_lost || given_up_;
  if (cut_off) dead_ = true;
  if (committed_) return {};
  if (cut_off) return db_error{db_errc::commit_unknown, std::string{failure.message()}};
  return failure.failed() ? failure : db_error{db_errc::engine_error, "the server rolled back instead of committing"};
}

void pg_connection::rollback() noexcept {
  try {
    if (!dead_ && !given_up_ && begun_) {
      sql_ = {};
      if (!under_way_.empty()) (void)settle({deadline::after(system_clock_source().now(), patience)});
      if (!dead_ && !given_up_) {
        send_text(step_kind::end, "ROLLBACK");
        queue_sync();
        if (kind_ == session_kind::write) (void)settle(limit_for_end());
        else channel_.flush();
      }
    }
  } catch (...) {
    dead_ = true;
  }
  forget_transaction();
}

bool pg_connection::reusable() noexcept {
  if (dead_ || given_up_) return false;
  if (!channel_.peek()) dead_ = true;
  return !dead_;
}

bool pg_connection::ping(deadline until) {
  if (!reusable()) return false;
  queue_sync();
  if (settle({until}).failed()) dead_ = true;
  return !dead_;
}

// ---- failures -----------------------------------------------------------------------------------------------------------------------------

db_error pg_connection::interrupted(pg_wait why, std::string_view sql) {
  given_up_ = true;
  db_error error{why == pg_wait::cancelled ? db_errc::cancelled : db_errc::timed_out, {}, 0, sql};
  if (!lost_) lost_ = error;
  return error;
}

db_error pg_connection::lost(std::string_view sql) {
  dead_ = true;
  auto error = pg_connection_lost(channel_.last_words(), sql);
  if (!lost_) lost_ = error;
  return error;
}

db_error pg_connection::failed(const PGresult* answer, std::string_view sql) {
  const auto state = sqlstate_of(answer);
  auto error = pg_error(answer, sql);
  if (ends_session(state) || channel_.lost()) dead_ = true;
  if (dead_ && error != db_errc::connection_lost) error = db_error{db_errc::connection_lost, std::string{error.message()}, error.native_code(), sql};
  if (state == "25006" && kind_ == session_kind::write) {
    node_->refused_as_standby.fetch_add(1, std::memory_order_relaxed);
    error = db_error{db_errc::not_primary, std::string{error.message()}, error.native_code(), sql};
  } else if (state == "57014") {
    auto why = control_ == nullptr ? std::optional<db_errc>{} : control_->interrupted();
    if (!why) {
      const bool by_timeout = server_timeout_ > 0ms && system_clock_source().now() - statement_began_ >= server_timeout_;
      why = by_timeout ? db_errc::timed_out : db_errc::cancelled;  // somebody's pg_cancel_backend
    }
    error = db_error{*why, std::string{error.message()}, error.native_code(), sql};
  } else if (const char* const where = PQresultErrorField(answer, PG_DIAG_SOURCE_FUNCTION);
             state == "26000" || (state == "0A000" && where != nullptr && stale_plan == where)) {
    node_->statement_generation.fetch_add(1, std::memory_order_relaxed);
    error = db_error{db_errc::stale_statement, std::string{error.message()}, error.native_code(), sql};
  }
  if (!lost_) lost_ = error;
  return error;
}

void pg_connection::note_reports() noexcept {
  auto* const raw = channel_.raw();
  const auto is_on = [raw](const char* name) {
    const char* const value = PQparameterStatus(raw, name);
    return value != nullptr && std::string_view{value} == "on";
  };
  node_->in_hot_standby.store(is_on("in_hot_standby"), std::memory_order_relaxed);
  if (kind_ == session_kind::write) node_->read_only_by_default.store(is_on("default_transaction_read_only"), std::memory_order_relaxed);
  node_->server_version.store(PQserverVersion(raw), std::memory_order_relaxed);
}

bool pg_connection::reconnect() {
  auto again = pg_channel::connect(node_->info, kind_, control_->until.sooner(deadline::after(system_clock_source().now(), node_->connect_timeout)));
  if (!again) return false;
  channel_ = std::move(*again);
  under_way_.clear();
  cache_.forget_server();
  server_timeout_known_ = false;
  dead_ = false;
  note_reports();
  return !(kind_ == session_kind::write && node_->in_hot_standby.load(std::memory_order_relaxed));
}

bool pg_connection::heal(const db_error& failure) {
  if (!first_ || given_up_ || control_->interrupted()) return false;
  if (failure == db_errc::connection_lost) {
    if (!reconnect()) return false;
  } else if (failure == db_errc::stale_statement && !dead_) {
    send_text(step_kind::end, "ROLLBACK");
    queue_sync();
    if (settle(limit()).failed()) return false;
  } else {
    return false;
  }
  begun_ = false;
  lost_.reset();
  return true;
}

// ---- statements ---------------------------------------------------------------------------------------------------------------------------

db_error pg_connection::refusal_of(const pg_statement& statement, std::string_view sql) const {
  const auto refuse = [sql](std::string_view why) { return db_error{db_errc::not_allowed, std::string{why}, 0, sql}; };
  switch (statement.kind) {
    case pg_statement_kind::transaction: return refuse("BEGIN, COMMIT and ROLLBACK belong to the session: it commits when the function returns");
    case pg_statement_kind::transaction_mode: return refuse("how the transaction runs belongs to the session");
    case pg_statement_kind::session_state: return refuse("what outlives the transaction does not belong into a session that others use next; SET LOCAL is allowed");
    case pg_statement_kind::copy: return refuse("COPY has functions of its own");
    default: return {};
  }
}

result<std::shared_ptr<pg_prepared>, db_error> pg_connection::plan(std::string_view sql, std::span<const sql_value> parameters) {
  auto known = cache_.find(sql, parameters);
  if (!known) {
    if (sql.find('\0') != std::string_view::npos) return db_error{db_errc::syntax_error, "the statement contains a NUL byte", 0, sql};
    std::size_t at{0};
    const auto statement = pg_next_statement(sql, at);
    if (!statement) return db_error{db_errc::syntax_error, "there is no statement in the text", 0, sql};
    if (pg_next_statement(sql, at)) return db_error{db_errc::multiple_statements, "one statement is taken; execute_script takes several", 0, sql};
    if (auto refused = refusal_of(*statement, sql); refused.failed()) return refused;
    if (statement->highest_parameter > pg_most_parameters) {
      return db_error{db_errc::wrong_parameters, fmt::format("parameters are written $1 to ${}", pg_most_parameters), 0, sql};
    }
    if (statement->missing_parameter != 0) {
      return db_error{db_errc::wrong_parameters,
                      fmt::format("the statement uses ${} but not ${}", statement->highest_parameter, statement->missing_parameter), 0, sql};
    }
    if (statement->highest_parameter == parameters.size()) {
      known = cache_.add(*statement, sql);
    } else {
      return db_error{db_errc::wrong_parameters,
                      fmt::format("the statement takes {} parameters{}, {} given", statement->highest_parameter,
                                  statement->highest_parameter == 0 ? "" : fmt::format(" (up to ${})", statement->highest_parameter),
                                  parameters.size()),
                      0, sql};
    }
  }
  return known;
}

result<std::uint64_t, db_error> pg_connection::run(std::string_view sql, std::span<const sql_value> parameters, row_data& rows,
                                                   row_sink& sink) {
  if (const auto why = control_->interrupted()) return db_error{*why, {}, 0, sql};
  read_ahead();
  const auto statement = plan(sql, parameters);
  if (!statement) return statement.error();
  if (lost_ && (dead_ || given_up_ || (*statement)->kind != pg_statement_kind::rollback_to)) return *lost_;
  if (auto refused = parameters_.assign(parameters, sql); refused.failed()) return refused;
  sql_ = sql;
  statement_began_ = system_clock_source().now();
  handed_out_ = false;
  const bool with_cursor = sink.is_stream() && (*statement)->kind == pg_statement_kind::query;
  const auto run_once = [&] { return with_cursor ? run_cursor(*statement, rows, sink) : run_statement(*statement, rows, sink); };
  auto done = run_once();
  if (!done && !handed_out_ && heal(done.error())) done = run_once();
  return done;
}

result<std::uint64_t, db_error> pg_connection::run_statement(const std::shared_ptr<pg_prepared>& statement, row_data& rows, row_sink& sink) {
  reader from;
  queue_begin();
  queue_prepared(statement);
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
  if (!given_up_ && PQtransactionStatus(channel_.raw()) == PQTRANS_IDLE) {
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
      refused = refusal_of(*statement, statement->text);
      if (!refused.failed() && statement->highest_parameter != 0) {
        refused = db_error{db_errc::wrong_parameters, "a script takes no parameters", 0, statement->text};
      }
      if (refused.failed()) break;
      batch.push_back(statement->text);
    }
    if (!batch.empty()) {
      if (auto failure = run_batch(batch); failure.failed()) return failure;
    }
    if (refused.failed()) return refused;
  }
  return {};
}

db_error pg_connection::run_batch(const std::vector<std::string_view>& batch) {
  queue_begin();
  statement_began_ = system_clock_source().now();
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
      auto why = waited == pg_wait::lost ? lost(sql_) : interrupted(waited, sql_);
      return failure.failed() ? failure : why;
    }
  }
  note_reports();
  return failure;
}

result<void, db_error> pg_connection::lock_schema() {
  constexpr std::string_view sql{"SELECT pg_advisory_xact_lock(8319679532431307373)"};  // "spillway": one number for all programs of this library
  class nothing final : public row_sink {
    bool row_added(row_data&) override { return true; }
  } sink;
  row_data rows;
  if (const auto locked = run(sql, {}, rows, sink); !locked) return locked.error();
  return {};
}

// ---- cleaning -----------------------------------------------------------------------------------------------------------------------------

void pg_connection::clean(const std::function<bool(PGconn*, deadline)>& cancel) {
  const pg_limit until{deadline::after(system_clock_source().now(), node_->clean_timeout)};
  dead_ = dead_ || !cancel(channel_.raw(), until.until);
  given_up_ = false;
  lost_.reset();
  sql_ = {};
  if (!dead_) (void)settle(until);
  if (!dead_ && !given_up_ && PQtransactionStatus(channel_.raw()) != PQTRANS_IDLE) send_text(step_kind::end, "ROLLBACK");
  if (!dead_ && !given_up_) {
    queue_sync();  // a barrier: a cancel request that comes after it finds nothing to cancel
    (void)settle(until);
  }
  dead_ = dead_ || given_up_ || PQtransactionStatus(channel_.raw()) != PQTRANS_IDLE;
  given_up_ = false;
  forget_transaction();
}

}  // namespace spillway::detail
