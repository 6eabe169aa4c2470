// SPDX-License-Identifier: Apache-2.0
// The driver of partition_manager.
#pragma once

#include "partition_plan.hpp"
#include "partition_sql.hpp"

#include <spillway/core/striped_counter.hpp>
#include <spillway/db/partitions.hpp>

#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace spillway::detail {

/// What one look at the table found.
struct partition_view {
  partitioned_table table;
  partition_facts facts;
  std::chrono::year_month current{};
  wall_time_point now{};
};

struct partition_counters {
  striped_counter runs;
  striped_counter failed_runs;
  striped_counter created;
  striped_counter detached;
  striped_counter dropped;
  striped_counter drained;
};

/// Takes one step after the other, each in a transaction of its own that looks anew: so it does not matter what was left undone, and by whom.
class partition_keeper {
 public:
  /// Errors: throws std::invalid_argument naming the field.
  partition_keeper(database& db, const partition_config& config);

  result<partition_report, db_error> run(const session_options& options);
  result<partition_status, db_error> status(const session_options& options);

  [[nodiscard]] const partition_counters& counters() const noexcept { return counters_; }
  [[nodiscard]] std::optional<partition_status> last() const;

 private:
  enum class step_end : std::uint8_t { more, nothing_left, another_at_work };
  struct step {
    step_end end{step_end::more};
    std::string alone{};  ///< A statement to run behind it that cannot run inside a transaction.
  };

  result<partition_report, db_error> run_until(deadline until);
  result<step_end, db_error> one_step(deadline until, partition_report& report);
  result<step, db_error> take_step(write_session& s, partition_report& made);
  void add(partition_report& made, partition_report& report);
  [[nodiscard]] db_error unfit_engine() const;

  result<partitioned_table, db_error> find_table(read_session& s) const;
  result<partition_view, db_error> look(read_session& s, partitioned_table table) const;
  result<void, db_error> look_at_partitions(read_session& s, partition_view& seen) const;
  result<void, db_error> look_at_default(read_session& s, partition_view& seen) const;
  result<void, db_error> look_at_loose(read_session& s, partition_view& seen) const;
  partition_status note(const partition_view& seen);

  result<step, db_error> carry_out(write_session& s, const partition_view& seen, const make_partition& action, partition_report& made);
  result<step, db_error> carry_out(write_session& s, const partition_view& seen, const detach_partition& action, partition_report& made);
  result<step, db_error> carry_out(write_session& s, const partition_view& seen, const finish_detaching& action, partition_report& made);
  result<step, db_error> carry_out(write_session& s, const partition_view& seen, const drop_table& action, partition_report& made);
  result<step, db_error> create(write_session& s, const partition_view& seen, std::chrono::year_month month);
  /// A table that was detached has lost its promise to hold nothing but rows of the month, by which it could be attached without being read.
  result<bool, db_error> promise_month(write_session& s, const partition_view& seen, std::chrono::year_month month);
  result<bool, db_error> drain(write_session& s, const partition_view& seen, std::chrono::year_month month, partition_report& made);
  /// How long a statement may wait for a lock, and how long run with one that shuts others out.
  result<void, db_error> be_quick(write_session& s, bool shuts_out) const;

  database& db_;
  partition_config config_;
  std::string quoted_;
  std::mt19937 random_;
  partition_counters counters_;
  mutable std::mutex mutex_;
  std::optional<partition_status> last_;
};

}  // namespace spillway::detail
