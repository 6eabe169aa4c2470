// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "sqlite_statement.hpp"

#include "../../db_driver.hpp"

#include <spillway/db/sqlite.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct sqlite3;

namespace spillway::detail {

struct sqlite_close {
  void operator()(sqlite3* connection) const noexcept;
};

/// One connection to the file: the one that writes, or one that cannot.
class sqlite_connection final : public db_connection, private shared_transaction {
 public:
  static result<std::unique_ptr<sqlite_connection>, db_error> open(const sqlite_config& config, session_kind kind,
                                                                   sqlite_cache_counters& counters);
  ~sqlite_connection() override;

  result<void, db_error> begin(const statement_control& control) override;
  result<void, db_error> commit() override;
  void rollback() noexcept override;
  [[nodiscard]] shared_transaction* shared() noexcept override { return kind_ == session_kind::write ? this : nullptr; }
  [[nodiscard]] bool usable() const noexcept override { return usable_; }
  result<std::uint64_t, db_error> run(std::string_view sql, std::span<const sql_value> parameters, row_data& rows,
                                      row_sink& sink) override;
  result<void, db_error> run_script(std::string_view sql) override;
  result<void, db_error> note_schema_version(std::size_t number) override;

  /// Moves the log into the file and empties it, as far as other processes let us.
  result<void, db_error> checkpoint();

 private:
  sqlite_connection(const sqlite_config& config, session_kind kind, sqlite_cache_counters& counters);

  result<void, db_error> begin_part(const statement_control& control) override;
  result<bool, db_error> end_part() override;
  result<void, db_error> undo_part() override;

  result<void, db_error> connect(const sqlite_config& config);
  void harden(const sqlite_config& config);
  result<void, db_error> configure(const sqlite_config& config);
  result<std::string, db_error> enter_wal();
  result<void, db_error> stamp(std::int32_t application_id);

  /// Runs one of our own statements, which are not subject to what sessions may do.
  result<void, db_error> own(std::string_view sql);
  result<std::string, db_error> own_value(std::string_view sql);
  result<void, db_error> own_step(const sqlite_statement_handle& statement);

  result<void, db_error> open_savepoint();
  /// Why there is no transaction any more.
  [[nodiscard]] db_error gone(std::string_view sql) const;
  [[nodiscard]] bool in_transaction() const noexcept;
  /// Whether a statement may start.
  result<void, db_error> ready(std::string_view sql) const;
  db_error failed(int result_code, std::string_view sql);
  /// What an error of the engine means here: it may end the transaction, or the use of this connection.
  db_error judged(db_error error);
  db_error refused_or(db_error error);
  int step(sqlite3_stmt* statement);

  /// Whether a late statement is let go on for a little longer.
  [[nodiscard]] bool is_spared(time_point now) noexcept;
  static int on_progress(void* self) noexcept;
  static int on_busy(void* self, int attempt) noexcept;
  static int on_authorize(void* self, int action, const char* first, const char* second, const char* schema, const char* trigger) noexcept;

  session_kind kind_;
  std::string path_;
  std::chrono::milliseconds other_process_timeout_;
  std::unique_ptr<sqlite3, sqlite_close> connection_;
  sqlite_statement_cache cache_;
  sqlite_statement_handle begin_;
  sqlite_statement_handle commit_;
  sqlite_statement_handle rollback_;
  sqlite_statement_handle savepoint_;
  sqlite_statement_handle undo_;
  sqlite_statement_handle release_;

  const statement_control* control_{nullptr};  // of the transaction that runs
  std::optional<db_error> lost_;               // why the engine gave up the transaction before its end
  bool others_at_stake_{false};                // what others wrote is in the transaction
  bool savepoint_open_{false};                 // ours
  bool callers_use_savepoints_{false};         // as the authorizer has seen
  bool step_writes_{false};
  std::optional<time_point> late_since_;       // the part, as a statement that writes has found
  std::string_view refused_what_;              // by the authorizer, during a prepare
  time_point busy_since_{};
  bool own_statement_{true};
  bool usable_{true};
};

}  // namespace spillway::detail
