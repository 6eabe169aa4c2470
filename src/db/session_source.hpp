// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "db_driver.hpp"
#include "session_pool.hpp"

#include <spillway/core/metric_writer.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace spillway::detail {

class query_operation;
struct transaction_end;

/// One call on its way to a session: what it asks for, and what a source that has several places has met with so far.
struct session_search {
  session_kind kind;
  const session_options& options;
  deadline until;
  bool may_wait;

  // For the source alone.
  std::size_t node{0};             ///< Where the last step led.
  std::uint64_t epoch{0};          ///< Of the cluster, at that step.
  std::uint8_t use{0};             ///< What the node was given for.
  std::uint64_t tried{0};          ///< A bit for each node that is out of the question.
  bool waited{false};              ///< For a node, before this step.
  bool check_first{false};         ///< The session must prove that it has come to `need`,
  time_point proof_asked{};        ///< unless it was opened before this.
  std::uint64_t need{0};
  time_point granted{};
  db_error last_refusal{};         ///< Of a pool.
  time_point asked{system_clock_source().now()};  ///< Not the source's business: of the call.

  /// For another run of the same call.
  void start_over() noexcept {
    tried = 0;
    waited = false;
    last_refusal = {};
    asked = system_clock_source().now();
  }
};

/// What to do next on that way: ask a pool, wait for a change, or give up.
struct session_step {
  session_pool* pool{nullptr};
  session_kind kind{session_kind::read};   ///< Of the call that waits.
  std::optional<time_point> wait_until{};  ///< Or until the source changes from what it was at `version`.
  std::uint64_t version{0};
  db_error refusal{};
};

/// Where the sessions of a database come from: one engine, or the nodes of a cluster. A call asks `next`, and then the pool named; what the pool
/// refuses, and what turns out not to do, leads to `next` again.
///
/// Threads: all but `open` may be called from any thread.
class SPILLWAY_EXPORT session_source {
 public:
  virtual ~session_source();

  [[nodiscard]] virtual std::string_view system_name() const noexcept = 0;
  /// A cheap query that fails when the data cannot be read.
  [[nodiscard]] virtual std::string_view probe_sql() const noexcept = 0;
  /// How many functions can run at once.
  [[nodiscard]] virtual std::size_t most_sessions() const noexcept = 0;

  /// Once, before all else. Opens a session of each kind, so that what cannot work is found out now. `timers` outlives `close`.
  virtual result<void, db_error> open(const boost::asio::any_io_executor& timers) = 0;

  /// Never blocks.
  virtual session_step next(session_search& search) = 0;
  /// The pool refused, or was not asked after all. True: `next` may know another way; false: the refusal stands.
  virtual bool refused(session_search& search, const pool_error& why) = 0;
  /// Whether the session will do. May block for a little, within the call's deadline.
  virtual bool accept(session_search& search, session_lease& session) = 0;
  /// The transaction has ended: the session goes back, or to be cleaned first. If nobody knows how it ended, this may find out.
  virtual void ended(const session_search& search, session_lease session, transaction_end& end) noexcept = 0;

  /// For a step that says to wait.
  virtual void wait(const session_step& step) = 0;
  virtual void async_wait(const session_step& step, const boost::asio::any_io_executor& threads,
                          boost::asio::any_completion_handler<void()> handler) = 0;

  /// Takes one statement that reads, to be answered without a thread of its own; false: it is not for this source.
  virtual bool async_query(const std::shared_ptr<query_operation>&, const session_options&, deadline) { return false; }

  /// Whether this thread is one that `close` waits for, so that it must not wait for the database.
  [[nodiscard]] virtual bool is_own_thread() const noexcept { return false; }

  /// Refuses whoever asks from now on, and who waits; answers when everything lent has come back. Then `close` ends the engine.
  virtual void drain() = 0;
  virtual result<void, db_error> close() = 0;

  [[nodiscard]] virtual pool_stats stats_of(session_kind kind) const = 0;
  [[nodiscard]] virtual statement_cache_stats cache_stats() const noexcept = 0;
  /// What there is beside what every database has.
  virtual void write_metrics(std::string_view, metric_writer&) {}
};

/// The way from a `database` to its source, for what only one engine has.
struct database_access {
  /// Keeps all of the database that the source stands on.
  [[nodiscard]] SPILLWAY_EXPORT static std::shared_ptr<session_source> source(const database& db) noexcept;
};

/// Gives a session back, by way of the driver's cleaning if it needs that.
SPILLWAY_EXPORT void give_back(db_driver& driver, session_lease session);

/// One engine: a pool for each kind of session.
[[nodiscard]] std::shared_ptr<session_source> source_of(const database_config& config, std::unique_ptr<db_driver> driver);

/// Makes a database of a source. Errors: throws std::invalid_argument naming the field of `config`; what opening the source reports.
[[nodiscard]] SPILLWAY_EXPORT result<database, db_error> open_database(const database_config& config, std::shared_ptr<session_source> source);

}  // namespace spillway::detail
