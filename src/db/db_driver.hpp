// SPDX-License-Identifier: Apache-2.0
// What an engine must be able to do. A backend implements these two classes and has one function that opens it.
#pragma once

#include "bulk_job.hpp"
#include "row_data.hpp"

#include <spillway/core/clock.hpp>
#include <spillway/db/database.hpp>

#include <boost/asio/any_completion_handler.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace spillway::detail {

class query_operation;
struct transaction_end;

/// What a transaction should be like, where the engine offers it.
struct transaction_options {
  transaction_options() noexcept = default;
  transaction_options(session_kind kind, const session_options& options) noexcept
      : isolation{options.isolation}, wants_position{kind == session_kind::write && options.token != nullptr} {}

  tx_isolation isolation{tx_isolation::usual};
  bool single{false};          ///< One statement that reads and nothing else, so it needs no transaction around it.
  bool wants_id{false};        ///< The engine's number of a write, by which the end of it can be asked for later.
  bool wants_position{false};  ///< The position in the engine's log that a committed write has reached.
};

/// How long the statements of one transaction may run.
struct statement_control {
  deadline until;
  std::atomic<bool> cancelled{false};
  bool cancellable{false};  ///< Whether `cancelled` may ever be set.
  transaction_options transaction{};

  /// Why a statement must not go on, if so.
  [[nodiscard]] std::optional<db_errc> interrupted() const noexcept {
    if (cancelled.load(std::memory_order_relaxed)) return db_errc::cancelled;
    if (until.passed(system_clock_source().now())) return db_errc::timed_out;
    return std::nullopt;
  }
};

/// Told after a driver added a row to `rows`; false ends the statement. It may forget the rows.
class row_sink {
 public:
  virtual bool row_added(row_data& rows) = 0;
  /// Whether `row_added` may run other statements of the session, and whether to end early is no failure.
  [[nodiscard]] virtual bool is_stream() const noexcept { return false; }

 protected:
  ~row_sink() = default;
};

/// Rows nobody asked for.
class dropped_rows final : public row_sink {
 public:
  bool row_added(row_data& rows) override {
    rows.clear_rows();
    return true;
  }
};

/// Lets several writes share a transaction of the engine, one after the other, so that one commit serves them all. The first runs after `begin` as if it
/// were alone; each of the others in a part of its own, which can be undone without the rest.
class shared_transaction {
 public:
  /// Begins a part; `control` holds until its end.
  virtual result<void, db_error> begin_part(const statement_control& control) = 0;
  /// The part, or what ran since `begin`, ended well. False: the transaction must be ended now. Errors: what would make the commit fail; undo it.
  virtual result<bool, db_error> end_part() = 0;
  /// Gives up the part, also one that could not begin. Errors: the engine gave up the whole transaction, and why.
  virtual result<void, db_error> undo_part() = 0;

 protected:
  ~shared_transaction() = default;
};

/// One session of the engine. Used by one thread at a time.
class SPILLWAY_EXPORT db_connection {
 public:
  virtual ~db_connection();

  /// Starts a transaction; until the end of it, `control` bounds every wait and every statement, but not commit and rollback.
  virtual result<void, db_error> begin(const statement_control& control) = 0;
  /// If the engine gave up the transaction earlier, the answer is the error it did so with.
  virtual result<void, db_error> commit() = 0;
  virtual void rollback() noexcept = 0;
  /// None if its writes cannot share transactions. If they can, the engine has one session to write.
  [[nodiscard]] virtual shared_transaction* shared() noexcept { return nullptr; }
  /// False once it cannot be relied on; then it is replaced.
  [[nodiscard]] virtual bool usable() const noexcept = 0;
  /// The same before it is lent, with a look at the other side but no round trip.
  [[nodiscard]] virtual bool reusable() noexcept { return usable(); }
  /// With a round trip.
  [[nodiscard]] virtual bool ping(deadline) { return reusable(); }
  /// After the end of a transaction: whether db_driver::clean must have it before anybody else.
  [[nodiscard]] virtual bool needs_cleaning() const noexcept { return false; }

  /// Runs one statement, and returns the rows changed. `rows` takes the rows of its result; exceptions of `sink` pass through.
  virtual result<std::uint64_t, db_error> run(std::string_view sql, std::span<const sql_value> parameters, row_data& rows,
                                              row_sink& sink) = 0;
  virtual result<void, db_error> run_script(std::string_view sql) = 0;
  /// Writes many rows, and returns how many were. As written here, by one statement for each.
  virtual result<std::uint64_t, db_error> bulk(const bulk_job& job, bulk_rows& rows);
  /// Whether a statement costs a round trip to a server, where text given as a parameter takes the type of what it is compared with.
  [[nodiscard]] virtual bool is_remote() const noexcept { return false; }
  /// Stores the number of the schema where the engine's own tools show it, if there is such a place.
  virtual result<void, db_error> note_schema_version(std::size_t number) = 0;
  /// Until the end of the transaction, no other program changes the schema by `migrate`. Where a write excludes all others, it has that already.
  virtual result<void, db_error> lock_schema() { return {}; }
};

struct statement_cache_stats {
  std::uint64_t hits{0};
  std::uint64_t misses{0};
  std::uint64_t evictions{0};
};

/// How the sessions of one kind are kept.
struct session_keeping {
  std::size_t max{1};
  std::size_t min{1};
  std::chrono::milliseconds connect_timeout{3'600'000};  ///< An engine in this process has its own bounds.
  std::chrono::milliseconds idle_timeout{0};
  std::chrono::milliseconds max_lifetime{0};
  std::chrono::milliseconds ping_after_idle{0};
};

/// One engine. Connections are gone before it is closed.
class SPILLWAY_EXPORT db_driver {
 public:
  virtual ~db_driver();
  [[nodiscard]] virtual std::string_view system_name() const noexcept = 0;
  [[nodiscard]] virtual session_keeping sessions(session_kind kind) const noexcept = 0;
  /// May be called by several threads at once.
  virtual result<std::unique_ptr<db_connection>, db_error> open(session_kind kind, deadline until) = 0;
  /// Makes a connection whose statement was given up fit for use, or not `usable`, elsewhere and within a bounded time; then calls `done`.
  virtual void clean(db_connection& connection, boost::asio::any_completion_handler<void()> done);
  /// A commit got no answer: finds out what became of it, if that can be known within the deadline and a little more. `connection` is of no more use.
  virtual void resolve(db_connection&, transaction_end&, deadline) noexcept {}
  /// Takes one statement that reads, to be answered without a session and a thread; false: this engine does not.
  /// Handlers without an executor are called on threads of the driver's own then, as long as it is not closed.
  virtual bool async_query(const std::shared_ptr<query_operation>&, deadline) { return false; }
  /// Whether this thread is one that the end of the engine waits for.
  [[nodiscard]] virtual bool is_own_thread() const noexcept { return false; }
  /// Takes none of those from now on.
  virtual void drain() {}
  /// Ends what `open` gave, in whatever order the engine needs. To be called once, when nobody uses them.
  virtual result<void, db_error> close(std::vector<std::unique_ptr<db_connection>> readers,
                                       std::vector<std::unique_ptr<db_connection>> writers) = 0;
  /// A cheap query that fails when the data cannot be read.
  [[nodiscard]] virtual std::string_view probe_sql() const noexcept = 0;
  [[nodiscard]] virtual statement_cache_stats cache_stats() const noexcept = 0;
};

/// Logs what a handler threw. May be kept longer than the database.
[[nodiscard]] SPILLWAY_EXPORT std::function<void(std::exception_ptr)> exception_report(const database_config& config);

/// Makes a database of an engine.
/// Errors: throws std::invalid_argument naming the field of `config`; what opening one session of each kind reports.
[[nodiscard]] SPILLWAY_EXPORT result<database, db_error> open_database(const database_config& config, std::unique_ptr<db_driver> driver);

}  // namespace spillway::detail
