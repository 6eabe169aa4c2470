// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/partitions.hpp>

#include "partition_keeper.hpp"

#include <array>

namespace spillway {

partition_manager::partition_manager(database& db, const partition_config& config)
    : keeper_{std::make_unique<detail::partition_keeper>(db, config)} {}
partition_manager::~partition_manager() = default;

result<partition_report, db_error> partition_manager::run(const session_options& options) { return keeper_->run(options); }
result<partition_status, db_error> partition_manager::status(const session_options& options) { return keeper_->status(options); }

void write_metrics(const partition_manager& source, std::string_view name, metric_writer& out) {
  const auto& counters = source.keeper_->counters();
  const auto last = source.keeper_->last();
  const std::array labels{metric_label{"table", name}};
  // The time at which it ends does not have to be looked up again to be right.
  const auto until = last ? std::chrono::duration<double>{last->covered_until.time_since_epoch()}.count() : 0.0;
  out.gauge("spillway_db_partitions_covered_until_timestamp_seconds", "End of the last partition without a gap before it, when last looked at", labels, until);
  out.gauge("spillway_db_partitions", "Partitions, when last looked at", labels, static_cast<double>(last ? last->partitions : 0));
  const auto count = [&](std::string_view metric, std::string_view help, const striped_counter& counter) {
    out.counter(metric, help, labels, static_cast<double>(counter.value()));
  };
  count("spillway_db_partitions_created_total", "Partitions made and attached", counters.created);
  count("spillway_db_partitions_detached_total", "Partitions detached", counters.detached);
  count("spillway_db_partitions_dropped_total", "Partitions dropped", counters.dropped);
  count("spillway_db_partition_rows_drained_total", "Rows moved out of the default partition", counters.drained);
  for (const auto& [result, counter] : {std::pair{"ok", &counters.runs}, std::pair{"failed", &counters.failed_runs}}) {
    const std::array both{metric_label{"table", name}, metric_label{"result", result}};
    out.counter("spillway_db_partition_runs_total", "Runs of the partition manager, by result", both, static_cast<double>(counter->value()));
  }
}

}  // namespace spillway
