// SPDX-License-Identifier: Apache-2.0
/// @file
/// The door to a database: functions run in transactions, and their type says whether they may write.
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/core/log.hpp>
#include <spillway/db/database_stats.hpp>
#include <spillway/db/detail/session_task.hpp>
#include <spillway/db/session.hpp>
#include <spillway/db/sql_query.hpp>
#include <spillway/db/tx_options.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

namespace spillway {

/// What holds for any engine.
struct database_config {
  std::string name{"db"};                             ///< In log events. At most 64 bytes.
  std::chrono::milliseconds timeout{5'000};           ///< For waiting and running together, unless the call says otherwise. In [1 ms, 1 day].
  std::size_t max_waiters{1'024};                     ///< Callers that may wait for a session, reads and writes each. In [0, 1'000'000].
  std::uint64_t max_result_bytes{64U << 20U};         ///< What one query may hold in memory; a stream has no such limit. In [1 KiB, 4 GiB].
  std::chrono::milliseconds slow_statement{500};      ///< Statements that take this long are logged. In [0, 1 day].
  std::chrono::milliseconds slow_wait{1'000};         ///< Waits for a session that take this long are logged. 0: never. In [0, 1 day].
  std::chrono::milliseconds leak_after{0};            ///< Sessions held this long are logged, with their place. 0: never. In [0, 1 day].
  /// Writes that may share a commit, on an engine that can: those that wait for the session anyway. In [1, 10'000]; 1: each has its own.
  std::size_t group_members{64};
  /// How long the first of them may wait for the others; none begins that would probably not end within. In [0, 1 min]; 0: each has its own.
  std::chrono::milliseconds group_time{5};
  tx_retry_config retry{};                            ///< Of `run_tx` and `run_read`.
  log_sink log{};                                     ///< Hears of slow statements and waits, and of sessions held for too long.
};

namespace detail {
/// `again`: the function may run more than once.
SPILLWAY_EXPORT void start_operation(const std::shared_ptr<database_state>& state, session_kind kind, bool again,
                                     std::shared_ptr<session_operation> operation, const session_options& options);
struct database_access;
using query_handler = boost::asio::any_completion_handler<void(result<row_set, db_error>)>;
SPILLWAY_EXPORT void start_query(const std::shared_ptr<database_state>& state, sql_query query, const session_options& options, query_handler handler);
}

/// A database, used through functions: `read` runs one on a session that cannot write, `write` runs one in a transaction that is
/// committed when it returns.
///
///     auto db = open_sqlite({.path = "cities.db"}).value();
///     auto id = db.write([&](write_session& s) {
///       return s.query_one<std::int64_t>("INSERT INTO city (name) VALUES ($1) RETURNING id", name).value().value();
///     });
///     auto names = db.read([](read_session& s) { return s.query("SELECT name FROM city"); });
///
/// What the function returns comes back as `result<T, db_error>`; a `result<T, db_error>` as it is. It is rolled back if it returns any
/// `result` with an error, or throws. A db_exception, which `value()` throws, becomes the error of the result; anything else passes to the
/// caller. A function may be run once or not at all, never twice.
///
/// `run_read` and `run_tx` are `read` and `write` that may run the function again, after a rollback, when it was in the way of another transaction
/// (db_errc::serialization_failure, deadlock_detected), or lost its server before anything was committed: see tx_retry_config. What it did outside
/// the database it does again. If the server is lost during the commit, `run_tx` asks what became of it, where the engine can tell.
///
/// Each face comes in three forms. `try_` never waits for a session: db_errc::busy. The plain and `_for` forms block the thread. `async_`
/// runs the function on a thread of the database and completes on the handler's executor (without one: on a thread of the database, and
/// after closing on Asio's system executor), with the signature `void(std::exception_ptr, result<T, db_error>)`: what the function threw,
/// if anything, and the same result as above. Name a lambda before a co_await expression that uses it (g++ 12).
///
/// Threads:      every member may be called from any thread. Callers get sessions in the order in which they asked.
/// Lifetime:     closing waits for functions that run, so not from inside one. Destroyed on one of its own threads, as by a handler without an
///               executor, it is closed a little later, on a thread made for that. Handlers may be called later, too; their executors must
///               outlive that.
/// Errors:       see db_errc. Asking for a session while holding one of the same database, or blocking one of its threads, is
///               db_errc::would_deadlock. What a handler without an executor throws is logged, and goes no further.
/// Time:         one deadline for waiting and running; it interrupts a running statement. What ended in time is committed, if need be together with
///               writes that wait behind it, see `group_time`; then the answer may come late. Such a commit is not interrupted.
/// Cancellation: `async_` honours all types: in the queue at once, later at the next statement or inside a running one; then nothing was
///               committed. When the function has ended it is too late.
/// Cost:         a read or write is two short locks and the engine's begin and commit, and allocates only to wait. The threads of the
///               `async_` face, one for each session and one more, start with its first use.
class SPILLWAY_EXPORT database {
 public:
  /// Made by the functions that open an engine, such as `open_sqlite`.
  explicit database(std::shared_ptr<detail::database_state> state) noexcept;
  database(database&&) noexcept;
  database& operator=(database&&) noexcept;
  ~database();

  template <class F>
  auto read(F&& function, const session_options& options = {}) {
    detail::function_task<read_session, F&> task{function};
    return std::move(task).outcome(run(detail::session_kind::read, task, options, true));
  }
  template <class F>
  auto write(F&& function, const session_options& options = {}) {
    detail::function_task<write_session, F&> task{function};
    return std::move(task).outcome(run(detail::session_kind::write, task, options, true));
  }

  template <class F, class Rep, class Period>
  auto read_for(F&& function, std::chrono::duration<Rep, Period> timeout, std::source_location asked_at = std::source_location::current()) {
    return read(std::forward<F>(function), session_options{timeout, asked_at});
  }
  template <class F, class Rep, class Period>
  auto write_for(F&& function, std::chrono::duration<Rep, Period> timeout, std::source_location asked_at = std::source_location::current()) {
    return write(std::forward<F>(function), session_options{timeout, asked_at});
  }

  template <class F>
  auto try_read(F&& function, const session_options& options = {}) {
    detail::function_task<read_session, F&> task{function};
    return std::move(task).outcome(run(detail::session_kind::read, task, options, false));
  }
  template <class F>
  auto try_write(F&& function, const session_options& options = {}) {
    detail::function_task<write_session, F&> task{function};
    return std::move(task).outcome(run(detail::session_kind::write, task, options, false));
  }

  template <class F>
  auto run_read(F&& function, const session_options& options = {}) {
    detail::function_task<read_session, F&> task{function};
    return std::move(task).outcome(run_again(detail::session_kind::read, task, options));
  }
  template <class F>
  auto run_tx(F&& function, const session_options& options = {}) {
    detail::function_task<write_session, F&> task{function};
    return std::move(task).outcome(run_again(detail::session_kind::write, task, options));
  }

  template <class F, class Token>
  auto async_read(F&& function, const session_options& options, Token&& token) {
    return start<read_session, Token>(detail::session_kind::read, false, std::forward<F>(function), options, token);
  }
  template <class F, class Token>
  auto async_write(F&& function, const session_options& options, Token&& token) {
    return start<write_session, Token>(detail::session_kind::write, false, std::forward<F>(function), options, token);
  }

  template <class F, class Token>
  auto async_run_read(F&& function, const session_options& options, Token&& token) {
    return start<read_session, Token>(detail::session_kind::read, true, std::forward<F>(function), options, token);
  }
  template <class F, class Token>
  auto async_run_tx(F&& function, const session_options& options, Token&& token) {
    return start<write_session, Token>(detail::session_kind::write, true, std::forward<F>(function), options, token);
  }

  /// The rows of one statement that reads, without a transaction around it: the cheapest way to ask one thing. `async_query` has the signature
  /// `void(result<row_set, db_error>)`; where the engine can, many of them share a few connections and none takes a thread.
  [[nodiscard]] result<row_set, db_error> query(const sql_query& query, const session_options& options = {});
  template <class Token>
  auto async_query(sql_query query, const session_options& options, Token&& token) {
    return boost::asio::async_initiate<Token, void(result<row_set, db_error>)>(
        [state = state_](auto handler, sql_query asked, const session_options& chosen) {
          detail::start_query(state, std::move(asked), chosen, std::move(handler));
        },
        token, std::move(query), options);
  }

  /// Reads something small, to see whether the database answers.
  [[nodiscard]] result<void, db_error> ping(const session_options& options = {});
  /// A `ping` that may be kept longer than the database; then it answers db_errc::shutting_down.
  [[nodiscard]] std::function<result<void, db_error>(const session_options&)> pinger() const;

  /// Refuses new work and all that waits, waits for the functions that run, and closes the engine. May be called again, with the same answer.
  /// Errors: what the engine reports; db_errc::would_deadlock from inside a function or a thread of the database: then nothing was done.
  result<void, db_error> close();

  /// The engine: "sqlite".
  [[nodiscard]] std::string_view system_name() const noexcept;
  [[nodiscard]] database_stats stats() const;

 private:
  friend struct detail::database_access;
  // Both throw what the caller's function threw.
  db_error run(detail::session_kind kind, detail::session_task& task, const session_options& options, bool may_wait);
  db_error run_again(detail::session_kind kind, detail::session_task& task, const session_options& options);

  template <class Session, class Token, class F>
  auto start(detail::session_kind kind, bool again, F&& function, const session_options& options, Token& token) {
    using task = detail::function_task<Session, std::decay_t<F>>;
    return boost::asio::async_initiate<Token, void(std::exception_ptr, typename task::outcome_type)>(
        [state = state_, kind, again](auto handler, std::decay_t<F> f, const session_options& chosen) {
          auto operation = std::make_shared<detail::async_session_operation<task>>(std::move(f), std::move(handler));
          detail::start_operation(state, kind, again, std::move(operation), chosen);
        },
        token, std::forward<F>(function), options);
  }

  std::shared_ptr<detail::database_state> state_;
};

}  // namespace spillway
