// SPDX-License-Identifier: Apache-2.0
// What an engine must be able to do. A backend implements these two classes and has one function that opens it.
#pragma once

#include "row_data.hpp"

#include <spillway/core/clock.hpp>
#include <spillway/db/database.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace spillway::detail {

/// How long the statements of one transaction may run.
struct statement_control {
  deadline until;
  std::atomic<bool> cancelled{false};

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

 protected:
  ~row_sink() = default;
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

  /// Runs one statement, and returns the rows changed. `rows` takes the rows of its result; exceptions of `sink` pass through.
  virtual result<std::uint64_t, db_error> run(std::string_view sql, std::span<const sql_value> parameters, row_data& rows,
                                              row_sink& sink) = 0;
  virtual result<void, db_error> run_script(std::string_view sql) = 0;
  /// Stores the number of the schema where the engine's own tools show it, if there is such a place.
  virtual result<void, db_error> note_schema_version(std::size_t number) = 0;
};

struct statement_cache_stats {
  std::uint64_t hits{0};
  std::uint64_t misses{0};
  std::uint64_t evictions{0};
};

/// One engine. Connections are gone before it is closed.
class SPILLWAY_EXPORT db_driver {
 public:
  virtual ~db_driver();
  [[nodiscard]] virtual std::string_view system_name() const noexcept = 0;
  [[nodiscard]] virtual std::size_t sessions(session_kind kind) const noexcept = 0;
  /// May be called by several threads at once.
  virtual result<std::unique_ptr<db_connection>, db_error> open(session_kind kind) = 0;
  /// Ends what `open` gave, in whatever order the engine needs. To be called once, when nobody uses them.
  virtual result<void, db_error> close(std::vector<std::unique_ptr<db_connection>> readers,
                                       std::vector<std::unique_ptr<db_connection>> writers) = 0;
  /// A cheap query that fails when the data cannot be read.
  [[nodiscard]] virtual std::string_view probe_sql() const noexcept = 0;
  [[nodiscard]] virtual statement_cache_stats cache_stats() const noexcept = 0;
};

/// Makes a database of an engine.
/// Errors: throws std::invalid_argument naming the field of `config`; what opening one session of each kind reports.
[[nodiscard]] SPILLWAY_EXPORT result<database, db_error> open_database(const database_config& config, std::unique_ptr<db_driver> driver);

}  // namespace spillway::detail
