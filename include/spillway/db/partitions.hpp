// SPDX-License-Identifier: Apache-2.0
/// @file
/// Monthly partitions of a PostgreSQL table, made ahead of time and taken away by age, without holding anybody up.
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/core/export.hpp>
#include <spillway/core/metric_writer.hpp>
#include <spillway/db/database.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

namespace detail {
class partition_keeper;
}

/// Only `table` must be given.
struct partition_config {
  /// "event" or "shop.event": PARTITION BY RANGE on one column of type date, timestamptz, or bigint (milliseconds since 1970). Its own name has
  /// at most 55 bytes, for the partitions are called event_p202601 and so on. Names as the server keeps them: see bulk_target.
  std::string table{};
  unsigned months_ahead{3};               ///< Partitions there shall be beyond that of the current month. In [1, 120].
  std::optional<unsigned> keep_months{};  ///< Full months kept before the current one. None: all. In [0, 1'200].
  bool drop{true};                        ///< What is too old is dropped; false: detached, and kept as a table of its own.
  /// For how long anybody else may be held up by one step. A lock that is not free within a quarter of it is asked for again later. In [20 ms, 10 s].
  std::chrono::milliseconds max_block{100};
  /// Rows moved out of the default partition at once. In [1, 100'000].
  std::size_t drain_rows{1'000};
  /// The time to go by. None: that of the server.
  std::function<wall_time_point()> now{};
};

/// What one `run` did.
struct partition_report {
  std::vector<std::string> created;   ///< Attached, whoever began to make them.
  std::vector<std::string> detached;  ///< And some of them dropped right after.
  std::vector<std::string> dropped;
  std::uint64_t drained{0};           ///< Rows moved out of the default partition.
  bool another_at_work{false};        ///< Another program was doing this; what was left is left to it.
};

/// How far ahead there are partitions.
struct partition_status {
  wall_time_point covered_until{};         ///< From the current month on without a gap; the beginning of the month if it has no partition.
  std::chrono::seconds runway{0};          ///< Until then. Rows beyond it go to the default partition, or are refused.
  std::size_t partitions{0};               ///< Attached, without the default one.
  bool has_default{false};
  std::vector<std::string> being_detached;  ///< Half detached; the next `run` goes on with it.
  std::vector<std::string> unknown;        ///< Attached and not of one whole month: left alone.
};

/// Keeps the partitions of one table.
///
///     partition_manager events{db, {.table = "event", .months_ahead = 3, .keep_months = 12}};
///     auto done = events.run();          // once an hour, from any number of programs
///     if (!done) log(done.error().what());
///
/// A partition is made as a table of its own with a CHECK of its bounds, and then attached, which neither readers nor writers notice. Months
/// are those of UTC. One that is too old is detached CONCURRENTLY, then dropped. What a run did not finish, the next one does; every step is
/// whole or has not happened.
///
/// With a default partition PostgreSQL has no such gentle way: attaching and detaching lock out everybody for a moment, and are tried until that
/// is no longer than `max_block`. Rows in the default partition that belong to a month without a partition are moved there: up to `drain_rows` in
/// the step that attaches it, so that they are never out of sight; more of them in batches before that, and these are out of sight of
/// queries until the partition is attached. A write that waits for the lock with a row of just that month is refused as check_violation, and does when run
/// again: it had been sent to the default partition already. Better have no default partition, and `months_ahead` of runway.
///
/// Threads:  every member may be called from any thread; one `run` at a time.
/// Lifetime: the database outlives it.
/// Errors:   the constructor throws std::invalid_argument naming the field. db_errc::not_supported on an engine without partitions, such as SQLite;
///           no_such_object; incompatible_schema for a table that is not partitioned like this; partition_conflict for a partition of other
///           bounds in the way of one that must be made, or a table that has its name; busy, if a lock could not be had by the deadline.
/// Time:     `run` has one deadline, 1 minute unless the call says otherwise; between two tries for a lock it sleeps.
class SPILLWAY_EXPORT partition_manager {
 public:
  partition_manager(database& db, const partition_config& config);
  ~partition_manager();

  result<partition_report, db_error> run(const session_options& options = std::chrono::minutes{1});
  /// Of a cluster, on its primary.
  [[nodiscard]] result<partition_status, db_error> status(const session_options& options = std::chrono::seconds{5});

 private:
  friend SPILLWAY_EXPORT void write_metrics(const partition_manager& source, std::string_view name, metric_writer& out);
  std::unique_ptr<detail::partition_keeper> keeper_;
};

/// For the metrics module: how far ahead partitions reached when that was last looked at, what the runs did, and how many failed.
SPILLWAY_EXPORT void write_metrics(const partition_manager& source, std::string_view name, metric_writer& out);

}  // namespace spillway
