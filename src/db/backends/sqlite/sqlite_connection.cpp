// SPDX-License-Identifier: Apache-2.0
#include "sqlite_connection.hpp"

#include "sqlite_error.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <system_error>
#include <thread>
#include <utility>

namespace spillway::detail {

namespace {

/// Steps of SQLite's machine between two looks at the clock: some ten microseconds.
constexpr int progress_steps{1'000};

/// An interrupted statement that writes takes the whole transaction with it. Where that would hit others, it gets this much longer to end by itself,
/// and is undone alone.
constexpr std::chrono::milliseconds spared_for{20};

/// Of the parts of a shared transaction.
constexpr std::string_view savepoint_name{"spillway_part"};

/// Settings a session may look at, and none that it may change but its own mark.
constexpr std::array readable_pragmas{
    std::string_view{"table_info"},  std::string_view{"table_xinfo"},       std::string_view{"table_list"},
    std::string_view{"index_list"},  std::string_view{"index_info"},        std::string_view{"index_xinfo"},
    std::string_view{"quick_check"}, std::string_view{"foreign_key_check"}, std::string_view{"foreign_key_list"},
    std::string_view{"integrity_check"}};
constexpr std::array readable_without_argument{
    std::string_view{"application_id"}, std::string_view{"user_version"}, std::string_view{"page_count"},   std::string_view{"page_size"},
    std::string_view{"freelist_count"}, std::string_view{"journal_mode"}, std::string_view{"foreign_keys"}, std::string_view{"synchronous"},
    std::string_view{"query_only"},     std::string_view{"cache_size"},   std::string_view{"schema_version"},
    std::string_view{"max_page_count"}, std::string_view{"data_version"}, std::string_view{"encoding"}};

bool same_name(std::string_view left, std::string_view right) noexcept {
  return left.size() == right.size() && sqlite3_strnicmp(left.data(), right.data(), static_cast<int>(left.size())) == 0;
}

bool pragma_allowed(const char* name, const char* argument) noexcept {
  const auto is_this = [name](std::string_view known) { return same_name(name, known); };
  if (std::ranges::any_of(readable_pragmas, is_this)) return true;
  return argument == nullptr && std::ranges::any_of(readable_without_argument, is_this);
}

}  // namespace

// The connection has no statements left, which is all that could make this fail.
void sqlite_close::operator()(sqlite3* connection) const noexcept { (void)sqlite3_close(connection); }

sqlite_connection::sqlite_connection(const sqlite_config& config, session_kind kind, sqlite_cache_counters& counters)
    : kind_{kind}, path_{config.path}, other_process_timeout_{config.other_process_timeout}, cache_{config.statement_cache, counters} {}

sqlite_connection::~sqlite_connection() { cache_.clear(); }

result<std::unique_ptr<sqlite_connection>, db_error> sqlite_connection::open(const sqlite_config& config, session_kind kind,
                                                                             sqlite_cache_counters& counters) {
  std::unique_ptr<sqlite_connection> made{new sqlite_connection{config, kind, counters}};
  if (const auto opened = made->connect(config); !opened) return opened.error().prefixed(fmt::format("\"{}\": ", config.path));
  return made;
}

result<void, db_error> sqlite_connection::connect(const sqlite_config& config) {
  const bool writer = kind_ == session_kind::write;
  // No mutex: a session belongs to one thread at a time, and the hand-over between threads synchronises.
  const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (writer ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
                    (writer && config.create ? SQLITE_OPEN_CREATE : 0);
  sqlite3* raw{nullptr};
  const int code = sqlite3_open_v2(config.path.c_str(), &raw, flags, nullptr);
  connection_.reset(raw);
  if (raw == nullptr) return db_error{db_errc::out_of_memory};
  if (code != SQLITE_OK) {
    const auto error = sqlite_error(raw, code);
    const int system = sqlite3_system_errno(raw);
    return system == 0 ? error : error.prefixed(fmt::format("{}: ", std::generic_category().message(system)));
  }
  harden(config);
  if (const auto done = configure(config); !done) return done;
  for (const auto& [handle, sql] : {std::pair{&begin_, writer ? "BEGIN IMMEDIATE" : "BEGIN"}, std::pair{&commit_, "COMMIT"},
                                    std::pair{&rollback_, "ROLLBACK"}, std::pair{&savepoint_, "SAVEPOINT spillway_part"},
                                    std::pair{&undo_, "ROLLBACK TO spillway_part"}, std::pair{&release_, "RELEASE spillway_part"}}) {
    sqlite3_stmt* statement{nullptr};
    if (const int prepared = sqlite3_prepare_v3(raw, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr); prepared != SQLITE_OK) {
      return sqlite_error(raw, prepared, sql);
    }
    handle->reset(statement);
  }
  own_statement_ = false;
  return {};
}

void sqlite_connection::harden(const sqlite_config& config) {
  auto* const db = connection_.get();
  sqlite3_busy_handler(db, &on_busy, this);
  sqlite3_progress_handler(db, progress_steps, &on_progress, this);
  sqlite3_set_authorizer(db, &on_authorize, this);
  sqlite3_limit(db, SQLITE_LIMIT_LENGTH, static_cast<int>(config.max_value_bytes));
  sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, 1 << 20);
  sqlite3_limit(db, SQLITE_LIMIT_VARIABLE_NUMBER, 32'766);
  sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
  // A hostile file must not run code, and "name" is never a text.
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, nullptr);
}

result<void, db_error> sqlite_connection::configure(const sqlite_config& config) {
  const auto cache_kib = config.page_cache_bytes / 1024;
  if (const auto done = own(fmt::format("PRAGMA cache_size = -{}", cache_kib)); !done) return done;
  if (kind_ == session_kind::read) return own("PRAGMA query_only = ON");

  const auto mode = enter_wal();
  if (!mode) return mode.error();
  if (*mode != "wal") {
    return db_error{db_errc::cannot_open, fmt::format("the file system does not support WAL mode; the journal stays \"{}\"", *mode)};
  }
  // The log is cut back to this after a burst.
  for (const auto* sql : {"PRAGMA journal_size_limit = 67108864",
                          config.synchronous == sqlite_synchronous::full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL"}) {
    if (const auto done = own(sql); !done) return done;
  }
  if (config.max_file_bytes) {
    const auto page_size = own_value("PRAGMA page_size");
    if (!page_size) return page_size.error();
    const auto pages = *config.max_file_bytes / std::stoull(*page_size);
    if (const auto done = own(fmt::format("PRAGMA max_page_count = {}", pages)); !done) return done;
  }
  return stamp(config.application_id);
}

// Of several that open a new file at once, one changes it to WAL, and SQLite fails the others without asking the busy handler. So this waits
// itself, and takes the handler out of it, or the waits of both could add up.
result<std::string, db_error> sqlite_connection::enter_wal() {
  sqlite3_busy_handler(connection_.get(), nullptr, nullptr);
  auto mode = own_value("PRAGMA journal_mode = WAL");
  for (int attempt = 0; !mode && mode.error() == db_errc::busy && on_busy(this, attempt) != 0; ++attempt) {
    mode = own_value("PRAGMA journal_mode = WAL");
  }
  sqlite3_busy_handler(connection_.get(), &on_busy, this);
  return mode;
}

result<void, db_error> sqlite_connection::stamp(std::int32_t application_id) {
  if (application_id == 0) return {};
  const auto expected = std::to_string(application_id);
  auto found = own_value("PRAGMA application_id");
  if (found && *found == "0") {
    // Again, and now no other process can stamp the file or make tables. An error closes the connection, which rolls back.
    if (const auto begun = own("BEGIN IMMEDIATE"); !begun) return begun;
    found = own_value("PRAGMA application_id");
    const auto tables = own_value("SELECT count(*) FROM sqlite_schema");
    if (!tables) return tables.error();
    if (found && *found == "0" && *tables == "0") {
      if (const auto stamped = own("PRAGMA application_id = " + expected); !stamped) return stamped;
      found = expected;
    }
    if (const auto committed = own("COMMIT"); !committed) return committed;
  }
  if (!found) return found.error();
  if (*found == expected) return {};
  return db_error{db_errc::incompatible_schema, fmt::format("the application_id of the file is {}, {} is expected", *found, expected)};
}

result<void, db_error> sqlite_connection::own(std::string_view sql) {
  const auto done = own_value(sql);
  if (!done) return done.error();
  return {};
}

/// The first column of the first row as text; empty if there is none.
result<std::string, db_error> sqlite_connection::own_value(std::string_view sql) {
  const bool before = std::exchange(own_statement_, true);
  sqlite3_stmt* raw{nullptr};
  int code = sqlite3_prepare_v3(connection_.get(), sql.data(), static_cast<int>(sql.size()), 0, &raw, nullptr);
  const sqlite_statement_handle statement{raw};
  std::string value;
  if (code == SQLITE_OK) {
    code = sqlite3_step(raw);
    if (code == SQLITE_ROW) {
      if (const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(raw, 0)); text != nullptr) value = text;
      do code = sqlite3_step(raw);
      while (code == SQLITE_ROW);
    }
  }
  own_statement_ = before;
  if (code != SQLITE_OK && code != SQLITE_DONE) return sqlite_error(connection_.get(), code, sql);
  return value;
}

result<void, db_error> sqlite_connection::own_step(const sqlite_statement_handle& statement) {
  own_statement_ = true;
  const int code = sqlite3_step(statement.get());
  result<void, db_error> done;
  if (code != SQLITE_DONE) done = failed(code, {});
  (void)sqlite3_reset(statement.get());
  own_statement_ = false;
  return done;
}

result<void, db_error> sqlite_connection::begin(const statement_control& control) {
  lost_.reset();
  others_at_stake_ = false;
  savepoint_open_ = false;
  control_ = &control;
  auto done = own_step(begin_);
  // A caller's savepoint that is left open must not be there for the next part to return to.
  if (done && callers_use_savepoints_ && kind_ == session_kind::write) done = open_savepoint();
  if (!done) rollback();  // the interrupt may have come when the transaction had begun already
  return done;
}

result<void, db_error> sqlite_connection::commit() {
  control_ = nullptr;  // from here on it is all or nothing
  if (!in_transaction()) return gone({});
  return own_step(commit_);
}

void sqlite_connection::rollback() noexcept {
  control_ = nullptr;
  if (!in_transaction()) return;
  if (const auto done = own_step(rollback_); !done) usable_ = false;
}

result<void, db_error> sqlite_connection::begin_part(const statement_control& control) {
  others_at_stake_ = true;
  late_since_.reset();
  control_ = &control;
  return open_savepoint();
}

result<bool, db_error> sqlite_connection::end_part() {
  control_ = nullptr;
  if (!in_transaction()) return gone({});
  // Deferred foreign keys are checked by the commit, which would then fail for all.
  int unresolved{0};
  int unused{0};
  (void)sqlite3_db_status(connection_.get(), SQLITE_DBSTATUS_DEFERRED_FKS, &unresolved, &unused, 0);
  if (unresolved != 0) {
    if (!others_at_stake_) return false;
    return db_error{db_errc::foreign_key_violation, fmt::format("FOREIGN KEY constraint failed ({})", SQLITE_CONSTRAINT_FOREIGNKEY), SQLITE_CONSTRAINT_FOREIGNKEY};
  }
  if (!savepoint_open_) return !callers_use_savepoints_;
  if (const auto released = own_step(release_); !released) return released.error();
  savepoint_open_ = false;
  return true;
}

result<void, db_error> sqlite_connection::undo_part() {
  control_ = nullptr;
  if (!in_transaction()) return gone({});
  if (!savepoint_open_) return {};
  savepoint_open_ = false;
  for (const auto* statement : {&undo_, &release_}) {
    if (auto done = own_step(*statement); !done) {
      rollback();
      return done;
    }
  }
  return {};
}

result<void, db_error> sqlite_connection::open_savepoint() {
  auto done = own_step(savepoint_);
  savepoint_open_ = done.has_value();
  return done;
}

bool sqlite_connection::in_transaction() const noexcept { return sqlite3_get_autocommit(connection_.get()) == 0; }

db_error sqlite_connection::gone(std::string_view sql) const {
  return lost_.value_or(db_error{db_errc::engine_error, "the transaction is gone", 0, sql});
}

result<void, db_error> sqlite_connection::ready(std::string_view sql) const {
  if (const auto why = control_->interrupted()) return db_error{*why, {}, 0, sql};
  // Outside the transaction a statement would be committed on its own.
  if (!in_transaction()) return gone(sql);
  return {};
}

int sqlite_connection::step(sqlite3_stmt* statement) {
  // A stream's function may run statements of its own.
  const bool outer = std::exchange(step_writes_, sqlite3_stmt_readonly(statement) == 0);
  const int code = sqlite3_step(statement);
  step_writes_ = outer;
  return code;
}

db_error sqlite_connection::failed(int result_code, std::string_view sql) {
  return judged(sqlite_error(connection_.get(), result_code, sql));
}

db_error sqlite_connection::judged(db_error error) {
  if (sqlite_must_reopen(error.native_code())) usable_ = false;
  if (control_ != nullptr && (error == db_errc::cancelled || error == db_errc::busy)) {
    if (const auto why = control_->interrupted()) error = db_error{*why, std::string{error.message()}, error.native_code(), error.sql()};
  }
  // Some failures end the whole transaction. A begin that failed never started one.
  if (!lost_ && !error.sql().empty() && !in_transaction()) lost_ = error;
  return error;
}

db_error sqlite_connection::refused_or(db_error error) {
  const auto what = std::exchange(refused_what_, {});
  if (error != db_errc::not_allowed || what.empty()) return error;
  return {db_errc::not_allowed, std::string{what}, error.native_code(), error.sql()};
}

result<std::uint64_t, db_error> sqlite_connection::run(std::string_view sql, std::span<const sql_value> parameters, row_data& rows,
                                                       row_sink& sink) {
  if (const auto may_start = ready(sql); !may_start) return may_start.error();
  auto* const db = connection_.get();
  const auto statement = cache_.get(db, sql);
  if (!statement) return refused_or(judged(statement.error()));
  const bool writes = (*statement)->writes();
  if (writes && kind_ == session_kind::read) return db_error{db_errc::read_only, "the statement writes, and the session reads", 0, sql};
  if (const auto bound = (*statement)->bind(parameters, sql); !bound) return bound.error();

  const auto changed_before = sqlite3_total_changes64(db);
  for (;;) {
    const int code = step((*statement)->handle());
    if (code == SQLITE_DONE) break;
    if (code != SQLITE_ROW) return refused_or(failed(code, sql));
    if (const auto added = (*statement)->append_row(rows, sql); !added) return added.error();
    if (!sink.row_added(rows)) break;
    if (const auto why = control_->interrupted()) return db_error{*why, {}, 0, sql};
  }
  (*statement)->name_columns(rows);
  // A statement that changes no rows leaves the number of the one before it.
  return writes && sqlite3_total_changes64(db) != changed_before ? static_cast<std::uint64_t>(sqlite3_changes64(db)) : 0;
}

result<void, db_error> sqlite_connection::run_script(std::string_view sql) {
  constexpr std::size_t most_bytes{std::numeric_limits<int>::max() - 1};
  if (sql.size() > most_bytes) return db_error{db_errc::value_too_large, fmt::format("a script has at most {} bytes", most_bytes)};
  if (sql.find('\0') != std::string_view::npos) return db_error{db_errc::syntax_error, "the script contains a NUL byte", 0, sql};
  auto* const db = connection_.get();
  // With the NUL at its end SQLite reads the text in place. Without, it copies all that is left for each statement, and takes the limit of one
  // statement for that of the whole.
  const std::string script{sql};
  const char* next = script.data();
  const char* const end = next + script.size();
  while (next != end) {
    const std::string_view rest{next, static_cast<std::size_t>(end - next)};
    if (const auto may_start = ready(rest); !may_start) return may_start;
    sqlite3_stmt* raw{nullptr};
    const int prepared = sqlite3_prepare_v3(db, next, static_cast<int>(rest.size() + 1), 0, &raw, &next);
    const sqlite_statement_handle statement{raw};
    if (prepared != SQLITE_OK) return refused_or(failed(prepared, rest));
    if (!statement) continue;  // blanks, a comment
    if (sqlite3_bind_parameter_count(raw) != 0) return db_error{db_errc::wrong_parameters, "a script takes no parameters", 0, rest};
    int code = SQLITE_ROW;
    while (code == SQLITE_ROW) code = step(raw);
    if (code != SQLITE_DONE) return refused_or(failed(code, rest));
  }
  return {};
}

result<void, db_error> sqlite_connection::note_schema_version(std::size_t number) { return own(fmt::format("PRAGMA user_version = {}", number)); }

result<void, db_error> sqlite_connection::checkpoint() {
  auto* const db = connection_.get();
  sqlite3_busy_handler(db, nullptr, nullptr);
  const int code = sqlite3_wal_checkpoint_v2(db, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  // Another process still reads: the last one to close does the rest.
  if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY && (code & 0xff) != SQLITE_LOCKED) return sqlite_error(db, code);
  return {};
}

int sqlite_connection::on_progress(void* self) noexcept {
  auto& me = *static_cast<sqlite_connection*>(self);
  if (me.control_ == nullptr || !me.control_->interrupted()) return 0;
  return me.is_spared(system_clock_source().now()) ? 0 : 1;
}

bool sqlite_connection::is_spared(time_point now) noexcept {
  if (!others_at_stake_ || !step_writes_) return false;
  if (!late_since_) late_since_ = now;
  return now - *late_since_ < spared_for;
}

// Only another process can hold a lock for long, so polling is all there is. Non-zero: try again.
int sqlite_connection::on_busy(void* self, int attempt) noexcept {
  auto& me = *static_cast<sqlite_connection*>(self);
  const auto now = system_clock_source().now();
  if (attempt == 0) me.busy_since_ = now;
  if (me.control_ != nullptr && me.control_->interrupted()) return 0;
  auto left = deadline::after(me.busy_since_, me.other_process_timeout_).remaining(now);
  if (me.control_ != nullptr) left = std::min(left, me.control_->until.remaining(now));
  if (left.count() <= 0) return 0;
  constexpr int most_doublings{5};
  const std::chrono::nanoseconds pause = std::chrono::microseconds{500} * (1 << std::min(attempt, most_doublings));
  std::this_thread::sleep_for(std::min(pause, left));
  return 1;
}

int sqlite_connection::on_authorize(void* self, int action, const char* first, const char* second, const char*, const char*) noexcept {
  auto& me = *static_cast<sqlite_connection*>(self);
  if (me.own_statement_) return SQLITE_OK;
  switch (action) {
    case SQLITE_TRANSACTION:
      me.refused_what_ = "BEGIN, COMMIT and ROLLBACK belong to the session: it commits when the function returns";
      return SQLITE_DENY;
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
      me.refused_what_ = "other files cannot be attached";
      return SQLITE_DENY;
    case SQLITE_PRAGMA:
      if (pragma_allowed(first, second)) return SQLITE_OK;
      me.refused_what_ = "this PRAGMA belongs to sqlite_config, or cannot be used in a transaction";
      return SQLITE_DENY;
    case SQLITE_SAVEPOINT:
      me.callers_use_savepoints_ = true;
      if (!same_name(second, savepoint_name)) return SQLITE_OK;
      me.refused_what_ = "this savepoint belongs to the session";
      return SQLITE_DENY;
    default: return SQLITE_OK;
  }
}

}  // namespace spillway::detail
