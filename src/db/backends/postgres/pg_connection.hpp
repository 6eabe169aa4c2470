// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pg_changed_rows.hpp"
#include "pg_channel.hpp"
#include "pg_first_rows.hpp"
#include "pg_node.hpp"
#include "pg_statement_cache.hpp"
#include "pg_values.hpp"

#include "../../db_driver.hpp"

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::detail {

/// The rest of a result that nobody wants is read for as long as this before the statement is cancelled instead.
inline constexpr std::chrono::milliseconds rest_patience{20};

/// A place in the server's log.
struct pg_position {
  std::uint64_t lsn{0};
  std::uint32_t timeline{0};
  bool flushed{true};  ///< False with synchronous_commit off: the log may yet be lost up to there.
};

/// One session on the server.
///
/// A transaction begins on the wire with its first statement: BEGIN and that statement go out together. Every run ends with one Sync, so a
/// transaction of one statement takes two round trips, and one that reads only one, since the answer to its COMMIT is not waited for.
///
/// Threads: one at a time.
class pg_connection final : public db_connection {
 public:
  static result<std::unique_ptr<pg_connection>, db_error> open(std::shared_ptr<pg_node> node, session_kind kind, deadline until);
  ~pg_connection() override;

  result<void, db_error> begin(const statement_control& control) override;
  result<void, db_error> commit() override;
  void rollback() noexcept override;
  [[nodiscard]] bool usable() const noexcept override { return !dead_; }
  [[nodiscard]] bool reusable() noexcept override;
  [[nodiscard]] bool ping(deadline until) override;
  [[nodiscard]] bool needs_cleaning() const noexcept override { return given_up_ && !dead_; }

  result<std::uint64_t, db_error> run(std::string_view sql, std::span<const sql_value> parameters, row_data& rows, row_sink& sink) override;
  result<void, db_error> run_script(std::string_view sql) override;
  /// By statements if they are few, else by COPY, through a temporary table where conflicts are not an error.
  result<std::uint64_t, db_error> bulk(const bulk_job& job, bulk_rows& rows) override;
  [[nodiscard]] bool is_remote() const noexcept override { return true; }
  /// The table of migrations says it already.
  result<void, db_error> note_schema_version(std::size_t) override { return {}; }
  result<void, db_error> lock_schema() override;

  /// Stops on the server what was given up, reads what it still answers, and rolls back: then the session is as good as before. Takes at most
  /// pg_node::clean_timeout. `cancel` sends the request, and may fail.
  void clean(const std::function<bool(PGconn*, deadline)>& cancel);
  /// It is not worth it.
  void abandon() noexcept { dead_ = true; }

  /// Runs one statement that cannot run inside a transaction, before anything else was run in this one. It is done when this returns.
  result<std::uint64_t, db_error> run_alone(std::string_view sql);

  /// Of the transaction that ended last, if statement_control::transaction has asked for them.
  [[nodiscard]] const std::optional<std::string>& transaction_id() const noexcept { return transaction_id_; }
  /// Its commit was sent, and not answered.
  [[nodiscard]] bool lost_its_commit() const noexcept { return commit_lost_; }
  [[nodiscard]] std::optional<pg_position> position() const noexcept { return position_; }

  /// The server that was there at this moment is the one there now.
  [[nodiscard]] time_point opened_at() const noexcept { return opened_at_; }
  /// True once, and again when it was opened anew: the server's process has not read its catalogs yet.
  [[nodiscard]] bool is_first_use() noexcept { return std::exchange(unused_, false); }
  /// Between transactions: how far a standby has replayed; none if this is no standby. What is wrong leaves the session not `usable`, or to be cleaned.
  result<std::optional<std::uint64_t>, db_error> replay_position(deadline until);
  /// Whether the server is a standby, as it said beside the last answer; none if it does not report that.
  [[nodiscard]] std::optional<bool> is_standby() const noexcept;
  /// Whether any statement of the transaction that ended last was answered.
  [[nodiscard]] bool was_answered() const noexcept { return answered_; }

  /// COPY ... FROM STDIN: takes pieces of the data, cut anywhere, until one is empty. Returns the rows that were copied. What `source` throws
  /// passes through; then nothing was copied.
  result<std::uint64_t, db_error> copy_in(std::string_view sql, const std::function<std::string_view()>& source);
  /// COPY ... TO STDOUT: gives the data row by row; false ends it. Returns the rows that were given. What `sink` throws passes through.
  result<std::uint64_t, db_error> copy_out(std::string_view sql, const std::function<bool(std::string_view)>& sink);

  /// The connection as libpq's users know it: blocking, no pipeline. Whoever has it ends the transactions that he begins.
  result<PGconn*, db_error> lend_raw();
  /// Errors: the connection is lost, or a transaction was begun and not ended, or ours was ended.
  db_error take_back_raw();

 private:
  enum class step_kind : std::uint8_t { other, begin, deallocate, prepare, statement, fetch, script, id, setting, position, replay, end, sync };
  enum class mode : std::uint8_t { pipeline, simple, copy_in, copy_out, lent };
  /// A command whose answer has not been read.
  struct step {
    step_kind kind;
    std::shared_ptr<pg_prepared> prepared{};
    std::string name{};
  };
  /// The rows of a statement while they are read.
  struct reader {
    pg_row_decoder decoder;
    std::deque<pg_result> ahead;  // read because a nested statement needed the connection
    db_error failure;
    std::uint64_t changed{0};
    std::uint64_t given{0};
    std::uint64_t given_bytes{0};
    bool ended{false};
    bool one_by_one{false};
  };
  pg_connection(std::shared_ptr<pg_node> node, session_kind kind, pg_channel channel);

  [[nodiscard]] pg_limit limit() const noexcept;
  [[nodiscard]] pg_limit limit_for_end() const noexcept;

  // What goes out. False: the connection is lost.
  bool send_text(step_kind kind, const std::string& sql);
  void queue_settings();
  void queue_begin();
  void queue_deallocations();
  /// The statement, prepared before if it has a name, with `parameters_`.
  void queue_statement(const std::shared_ptr<pg_prepared>& statement);
  void queue_preparation(const std::shared_ptr<pg_prepared>& statement);
  void queue_execution(const std::shared_ptr<pg_prepared>& statement);
  void queue_sync();
  [[nodiscard]] std::string begin_sql() const;

  // What comes back.
  /// Reads all that is under way; the first error of it is the answer.
  db_error settle(const pg_limit& limit);
  /// BEGIN, or what else the session has to know, sent and answered before anything else. As for a first statement, a session that has died is opened anew.
  db_error get_ready(bool in_transaction);
  /// After the end of a transaction: ends what is left of it.
  void end_rest(const pg_limit& limit);
  /// Settings, prepared statements, temporary tables, locks of whoever had the raw connection: none of it is for the next user.
  void discard(const pg_limit& limit);
  /// Reads one answer of the oldest command, that is not of a statement with rows. True when there is no more of it.
  pg_wait read_step(const pg_limit& limit, db_error& failure);
  void note_answer(const step& of, const PGresult* answer, db_error& failure);
  pg_wait next_row(reader& from, const pg_limit& limit, pg_result& into);
  void read_ahead();
  bool read_rows(reader& from, row_data& rows, row_sink& sink, bool must_finish);
  void finish_rows(reader& from, bool early, bool must_finish);

  result<std::uint64_t, db_error> run_statement(const std::shared_ptr<pg_prepared>& statement, row_data& rows, row_sink& sink);
  db_error run_batch(const std::vector<std::string_view>& statements);
  result<std::uint64_t, db_error> run_cursor(const std::shared_ptr<pg_prepared>& statement, row_data& rows, row_sink& sink);
  /// Leaves the pipeline, the transaction begun if it should be.
  db_error enter_simple(bool in_transaction);
  bool enter_pipeline() noexcept;
  pg_wait drain_output(const pg_limit& limit);
  pg_wait end_copy_in(const char* why, const pg_limit& limit);
  /// Reads the answers of a simple query; the first error is the answer.
  db_error finish_simple(const pg_limit& limit, std::uint64_t& rows);
  /// A statement for each row.
  result<std::uint64_t, db_error> run_each(const bulk_job& job, const pg_first_rows& rows, const std::vector<pg_first_rows::group>& groups);
  /// For these behind one Sync, so that none is carried out unless all are.
  db_error run_alike(const std::shared_ptr<pg_prepared>& statement, const pg_first_rows& rows, const pg_first_rows::group& group,
                     pg_changed_rows& changed);
  result<std::uint64_t, db_error> copy_rows(std::string_view sql, const std::function<std::string_view()>& source);
  result<std::uint64_t, db_error> merge_rows(const bulk_job& job, const std::function<std::string_view()>& source);
  /// From the temporary table, the known ones left out.
  result<std::uint64_t, db_error> insert_unknown(const bulk_job& job);
  /// A statement that is not worth a place among the prepared ones.
  result<std::uint64_t, db_error> run_once(const std::string& sql);
  result<std::uint64_t, db_error> start_copy(std::string_view sql, ExecStatusType wanted);

  /// Whether a first statement that failed like this may be sent once more. `outdated`: what was prepared is known to be.
  bool heal(const db_error& failure, bool outdated = false);
  /// A statement that was prepared before has failed. True: perhaps because of that; it will be prepared anew.
  bool drop_if_old(pg_prepared& statement, const db_error& failure);
  bool reconnect();
  /// What keeps a session from being used at all, as the server has told when it was opened.
  [[nodiscard]] db_error unfit() const;

  db_error interrupted(pg_wait why, std::string_view sql);
  /// Why the answers of the statement that runs now cannot be read any further.
  db_error stopped(pg_wait why) { return why == pg_wait::lost ? lost(sql_) : interrupted(why, sql_); }
  db_error failed(const PGresult* answer, std::string_view sql);
  db_error lost(std::string_view sql);
  /// Whether the server has told that a setting is on.
  [[nodiscard]] bool reports(const char* setting) const noexcept;
  void note_reports() noexcept;
  void forget_transaction() noexcept;

  std::shared_ptr<pg_node> node_;
  session_kind kind_;
  pg_channel channel_;
  pg_statement_cache cache_;
  std::uint64_t statement_generation_;
  pg_parameters parameters_;
  std::deque<step> under_way_;

  const statement_control* control_{nullptr};
  bool begun_{false};             // BEGIN was sent
  bool first_{false};             // and nothing of this transaction has been answered
  bool handed_out_{false};        // the statement that runs has given rows
  bool committed_{false};         // the server has said so
  bool given_up_{false};          // a statement still runs, or its answer is not read
  bool foreign_{false};           // the raw connection was lent, and may have been left in any state
  bool dead_{false};
  std::optional<db_error> lost_;  // why this transaction cannot be committed
  reader* reading_{nullptr};      // the innermost statement whose rows are being handed out
  std::string_view sql_;          // of the statement that runs now
  mode mode_{mode::pipeline};
  std::uint64_t cursors_{0};
  std::uint64_t copy_line_{0};  // of its data, that the COPY which failed last stumbled over; from 1
  std::optional<std::string> transaction_id_;  // as pg_transaction reads it: "1234-00000001-1795662000.123456"
  std::optional<pg_position> position_;
  std::optional<std::uint64_t> replayed_;
  time_point opened_at_;
  bool unused_{true};
  bool answered_{false};
  bool commit_lost_{false};
  bool synchronous_{true};
  std::vector<std::string> done_cursors_;
  std::chrono::milliseconds server_timeout_{0};
  bool server_timeout_known_{false};
};

}  // namespace spillway::detail
