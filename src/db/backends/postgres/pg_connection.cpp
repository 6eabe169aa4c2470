// SPDX-License-Identifier: Apache-2.0
#include "pg_connection.hpp"

#include "pg_error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace spillway::detail {

namespace {

using namespace std::chrono_literals;

/// The server's own limit lies behind ours, so that ours is what ends a statement while this process is alive.
constexpr auto timeout_margin{1s};

constexpr std::string_view stale_plan{"RevalidateCachedQuery"};

/// The transaction has failed before. Of a first statement: the one that went before, whose end nobody has waited for.
bool in_failed_transaction(const db_error& failure) { return failure.native_code() == sqlstate_number("25P02"); }

}  // namespace

pg_connection::pg_connection(std::shared_ptr<pg_node> node, session_kind kind, pg_channel channel)
    : node_{std::move(node)},
      kind_{kind},
      channel_{std::move(channel)},
      cache_{node_->statement_cache, node_->statements},
      statement_generation_{node_->statement_generation.load(std::memory_order_relaxed)},
      opened_at_{system_clock_source().now()} {
  note_reports();
}

pg_connection::~pg_connection() = default;

result<std::unique_ptr<pg_connection>, db_error> pg_connection::open(std::shared_ptr<pg_node> node, session_kind kind, deadline until) {
  auto channel = pg_channel::connect(node->info, kind, {until, nullptr, node->lost()});
  if (!channel) return channel.error();
  std::unique_ptr<pg_connection> made{new pg_connection{std::move(node), kind, std::move(*channel)}};
  if (auto why = made->unfit(); why.failed()) return why;
  return made;
}

db_error pg_connection::unfit() const {
  if (!reports("standard_conforming_strings")) {
    return {db_errc::cannot_open, fmt::format("{}: standard_conforming_strings is not on", node_->info.where())};
  }
  if (kind_ == session_kind::write && reports("in_hot_standby")) {
    return {db_errc::not_primary, fmt::format("{}: the server is a standby, and a session that writes was asked for", node_->info.where())};
  }
  return {};
}

// ---- limits -------------------------------------------------------------------------------------------------------------------------------

pg_limit pg_connection::limit() const noexcept {
  return {control_->until, control_->cancellable ? &control_->cancelled : nullptr, node_->lost()};
}

pg_limit pg_connection::limit_for_end() const noexcept {
  const auto now = system_clock_source().now();
  const auto after_deadline = control_ == nullptr || control_->until.is_never() || control_->until.passed(now) ? now : control_->until.at();
  return {deadline::after(after_deadline, node_->answer_timeout), nullptr, node_->lost()};
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
      case tx_isolation::read_committed: return " ISOLATION LEVEL READ COMMITTED";
      case tx_isolation::repeatable_read: return " ISOLATION LEVEL REPEATABLE READ";
      case tx_isolation::serializable: return " ISOLATION LEVEL SERIALIZABLE";
      case tx_isolation::usual: break;
    }
    // A read has promised one snapshot.
    return kind_ == session_kind::read ? " ISOLATION LEVEL REPEATABLE READ" : " ISOLATION LEVEL READ COMMITTED";
  }();
  return fmt::format("BEGIN{}{}", isolation, kind_ == session_kind::read ? " READ ONLY" : "");
}

/// What the session has to know before a transaction, or a statement alone.
void pg_connection::queue_settings() {
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
}

void pg_connection::queue_begin() {
  first_ = !begun_;
  if (begun_) return;
  queue_settings();
  if (control_->transaction.single) return;
  begun_ = true;
  send_text(step_kind::begin, begin_sql());
  if (control_->transaction.wants_id && kind_ == session_kind::write) {
    // Its number counts on one timeline, and on one run of the server: a crash forgets numbers, and the statistics with them.
    send_text(step_kind::id, "SELECT pg_current_xact_id() || '-' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) || '-' || "
                             "extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time())");
  }
}

void pg_connection::queue_deallocations() {
  for (auto& name : cache_.take_dropped()) {
    if (send_text(step_kind::deallocate, fmt::format("DEALLOCATE {}", name))) under_way_.back().name = std::move(name);
  }
}

void pg_connection::queue_preparation(const std::shared_ptr<pg_prepared>& statement) {
  if (!lost_) queue_deallocations();  // in a transaction that has failed they would stand in the way of ROLLBACK TO
  if (statement->name.empty() || statement->on_server) return;
  const std::string sql{statement->sql};
  if (PQsendPrepare(channel_.raw(), statement->name.c_str(), sql.c_str(), parameters_.count(), parameters_.types()) == 1) {
    under_way_.push_back({step_kind::prepare, statement});
  }
}

void pg_connection::queue_execution(const std::shared_ptr<pg_prepared>& statement) {
  auto* const raw = channel_.raw();
  int sent{0};
  if (statement->name.empty()) {
    const std::string sql{statement->sql};
    sent = PQsendQueryParams(raw, sql.c_str(), parameters_.count(), parameters_.types(), parameters_.values(), parameters_.lengths(),
                             parameters_.formats(), 0);
  } else {
    sent = PQsendQueryPrepared(raw, statement->name.c_str(), parameters_.count(), parameters_.values(), parameters_.lengths(),
                               parameters_.formats(), 0);
  }
  if (sent == 1) under_way_.push_back({step_kind::statement, statement});
}

void pg_connection::queue_statement(const std::shared_ptr<pg_prepared>& statement) {
  queue_preparation(statement);
  queue_execution(statement);
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
    case PGRES_TUPLES_OK:
      if (of.kind == step_kind::id) transaction_id_ = PQgetvalue(answer, 0, 0);
      if (of.kind == step_kind::setting) synchronous_ = std::string_view{PQgetvalue(answer, 0, 0)} != "off";
      if (of.kind == step_kind::position) {
        const auto timeline = static_cast<std::uint32_t>(number_in(PQgetvalue(answer, 0, 2)));
        position_ = pg_position{number_in(PQgetvalue(answer, 0, synchronous_ ? 0 : 1)), timeline, synchronous_};
      }
      if (of.kind == step_kind::replay && PQntuples(answer) == 1) replayed_ = number_in(PQgetvalue(answer, 0, 0));
      break;
    default: break;
  }
}

pg_wait pg_connection::read_step(const pg_limit& limit, db_error& failure) {
  if (under_way_.front().kind == step_kind::script || under_way_.front().kind == step_kind::statement) {
    (void)PQsetSingleRowMode(channel_.raw());  // rows that nobody wants are not collected
  }
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
      auto why = stopped(waited);
      return failure.failed() ? failure : why;
    }
  }
  note_reports();
  return failure;
}

db_error pg_connection::get_ready(bool in_transaction) {
  const auto once = [&] {
    first_ = !begun_;
    if (in_transaction) {
      queue_begin();
    } else {
      queue_settings();
      queue_deallocations();
    }
    queue_sync();
    return settle(limit());
  };
  auto failure = once();
  if (failure.failed() && heal(failure)) failure = once();
  return failure;
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
  transaction_id_.reset();
  position_.reset();
  answered_ = false;
  commit_lost_ = false;
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
    // A read has nothing to lose with what its function did not want to see the end of.
    if (kind_ == session_kind::read && why == db_errc::result_too_large) return {};
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
  const bool with_position = control_->transaction.wants_position && kind_ == session_kind::write;
  if (with_position) send_text(step_kind::setting, "SHOW synchronous_commit");
  send_text(step_kind::end, "COMMIT");
  // The insert position would be wrong: at the end of a page it lies behind the next page's header, which no replica reaches for a long time.
  if (with_position) {
    send_text(step_kind::position,
              "SELECT at - '0/0'::pg_lsn, pg_current_wal_insert_lsn() - '0/0'::pg_lsn, ('x' || left(pg_walfile_name(at), 8))::bit(32)::int "
              "FROM pg_current_wal_flush_lsn() AS at");
  }
  queue_sync();
  const bool waits = kind_ == session_kind::write || control_->transaction.isolation == tx_isolation::serializable;
  if (!waits) {
    channel_.flush();
    forget_transaction();
    return {};
  }
  sql_ = {};
  auto failure = settle(limit_for_end());
  const bool cut_off = failure == db_errc::connection_lost || given_up_;
  if (cut_off) dead_ = true;
  end_rest(limit_for_end());
  discard(limit_for_end());
  forget_transaction();
  if (committed_) return {};
  commit_lost_ = cut_off;
  if (cut_off) return db_error{db_errc::commit_unknown, std::string{failure.message()}};
  return failure.failed() ? failure : db_error{db_errc::engine_error, "the server rolled back instead of committing"};
}

void pg_connection::end_rest(const pg_limit& limit) {
  // What failed before the COMMIT, in the same Sync, has kept the server from looking at that.
  if (dead_ || given_up_ || PQtransactionStatus(channel_.raw()) == PQTRANS_IDLE) return;
  send_text(step_kind::other, "ROLLBACK");
  queue_sync();
  if (settle(limit).failed() && !given_up_) dead_ = true;
}

void pg_connection::discard(const pg_limit& limit) {
  if (!foreign_ || dead_ || given_up_) return;
  send_text(step_kind::other, "DISCARD ALL");
  queue_sync();
  cache_.forget_server();
  server_timeout_known_ = false;
  if (settle(limit).failed() && !given_up_) dead_ = true;
  foreign_ = given_up_;  // then it is done again, after the cleaning
}

void pg_connection::rollback() noexcept {
  try {
    if (!dead_ && !given_up_ && begun_) {
      sql_ = {};
      if (!under_way_.empty()) (void)settle({deadline::after(system_clock_source().now(), rest_patience)});
      if (!dead_ && !given_up_) {
        send_text(step_kind::end, "ROLLBACK");
        queue_sync();
        // Others wait for the locks of a write. An answer that does not come is waited for elsewhere.
        if (kind_ == session_kind::write) (void)settle({deadline::after(system_clock_source().now(), rest_patience)});
        else channel_.flush();
      }
    }
    discard({deadline::after(system_clock_source().now(), node_->clean_timeout)});
  } catch (...) {
    dead_ = true;
  }
  forget_transaction();
}

result<std::optional<std::uint64_t>, db_error> pg_connection::replay_position(deadline until) {
  replayed_.reset();
  sql_ = {};
  const auto ask = [&] {
    send_text(step_kind::replay, "SELECT coalesce(pg_last_wal_replay_lsn(), '0/0') - '0/0'::pg_lsn WHERE pg_is_in_recovery()");
    queue_sync();
    return settle({until, nullptr, node_->lost()});
  };
  auto failure = ask();
  if (in_failed_transaction(failure)) {
    send_text(step_kind::end, "ROLLBACK");
    queue_sync();
    failure = ask();
  }
  if (failure.failed()) return failure;
  return replayed_;
}

std::optional<bool> pg_connection::is_standby() const noexcept {
  const char* const value = PQparameterStatus(channel_.raw(), "in_hot_standby");
  if (value == nullptr) return std::nullopt;
  return std::string_view{value} == "on";
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
    if (is_standby().value_or(false)) dead_ = true;  // of no use to whoever wants to write
    error = db_error{db_errc::not_primary, std::string{error.message()}, error.native_code(), sql};
  } else if (state == "57014") {
    auto why = control_ == nullptr ? std::optional<db_errc>{} : control_->interrupted();
    if (!why) {
      // The code does not tell somebody's pg_cancel_backend from statement_timeout, the caller's own perhaps; the message does, in English.
      why = error.message().find("user request") != std::string_view::npos ? db_errc::cancelled : db_errc::timed_out;
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

bool pg_connection::reports(const char* setting) const noexcept {
  const char* const value = PQparameterStatus(channel_.raw(), setting);
  return value != nullptr && std::string_view{value} == "on";
}

void pg_connection::note_reports() noexcept {
  answered_ = true;
  node_->in_hot_standby.store(reports("in_hot_standby"), std::memory_order_relaxed);
  if (kind_ == session_kind::write) node_->read_only_by_default.store(reports("default_transaction_read_only"), std::memory_order_relaxed);
  node_->server_version.store(PQserverVersion(channel_.raw()), std::memory_order_relaxed);
}

bool pg_connection::reconnect() {
  const auto latest = control_->until.sooner(deadline::after(system_clock_source().now(), node_->connect_timeout));
  auto again = pg_channel::connect(node_->info, kind_, {latest});
  if (!again) return false;
  channel_ = std::move(*again);
  opened_at_ = system_clock_source().now();
  unused_ = true;
  under_way_.clear();
  cache_.forget_server();
  server_timeout_known_ = false;
  foreign_ = false;
  note_reports();
  dead_ = unfit().failed();
  return !dead_;
}

bool pg_connection::drop_if_old(pg_prepared& statement, const db_error& failure) {
  if (!statement.on_server || !may_be_of_old_types(sqlstate_text(failure.native_code()))) return false;
  statement.on_server = false;
  cache_.not_dropped(statement.name);
  return true;
}

bool pg_connection::heal(const db_error& failure, bool outdated) {
  if (!first_ || given_up_ || control_->interrupted()) return false;
  if (failure == db_errc::connection_lost) {
    // A router must be asked first: the server may have become another since it chose.
    if (node_->in_cluster || !reconnect()) return false;
  } else if ((outdated || failure == db_errc::stale_statement || in_failed_transaction(failure)) && !dead_) {
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

// ---- cleaning -----------------------------------------------------------------------------------------------------------------------------

void pg_connection::clean(const std::function<bool(PGconn*, deadline)>& cancel) {
  const pg_limit until{deadline::after(system_clock_source().now(), node_->clean_timeout)};
  dead_ = dead_ || !cancel(channel_.raw(), until.until);
  given_up_ = false;
  lost_.reset();
  sql_ = {};
  if (!dead_ && mode_ == mode::copy_in && end_copy_in("given up", until) != pg_wait::ready) dead_ = true;
  std::uint64_t rows{0};
  if (!dead_ && mode_ != mode::pipeline) (void)finish_simple(until, rows);
  if (!dead_ && !given_up_ && mode_ != mode::pipeline) dead_ = !enter_pipeline();
  if (!dead_ && !given_up_) (void)settle(until);
  if (!dead_ && !given_up_ && PQtransactionStatus(channel_.raw()) != PQTRANS_IDLE) send_text(step_kind::end, "ROLLBACK");
  if (!dead_ && !given_up_) {
    queue_sync();  // a barrier: a cancel request that comes after it finds nothing to cancel
    (void)settle(until);
  }
  discard(until);
  dead_ = dead_ || given_up_ || PQtransactionStatus(channel_.raw()) != PQTRANS_IDLE;
  given_up_ = false;
  forget_transaction();
}

}  // namespace spillway::detail
