// SPDX-License-Identifier: Apache-2.0
#include "cluster_probe.hpp"

#include "pg_ask.hpp"

namespace spillway::detail {

namespace {

// A standby's timeline: the newest of what it has made durable and what it receives. Who has no right to see the latter sees null there.
constexpr const char* question{
    "SELECT standby, system_identifier, "
    "coalesce(CASE WHEN standby THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END, '0/0') - '0/0'::pg_lsn, "
    "CASE WHEN standby THEN greatest((SELECT timeline_id FROM pg_control_checkpoint()), "
    "(SELECT min_recovery_end_timeline FROM pg_control_recovery()), (SELECT received_tli FROM pg_stat_wal_receiver)) "
    "ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int END, pg_snapshot_xmax(pg_current_snapshot()) "
    "FROM pg_is_in_recovery() AS standby, pg_control_system()"};

probe_failure failure_of(const db_error& error) {
  if (error == db_errc::authentication_failed || error == db_errc::permission_denied || error == db_errc::busy) return probe_failure::forbidden;
  if (error == db_errc::timed_out) return probe_failure::timed_out;
  if (error == db_errc::connection_lost) return probe_failure::lost;
  return probe_failure::refused;
}

std::uint64_t number(const std::string& text) { return number_in(text.c_str()); }

}  // namespace

result<probe_answer, failed_probe> cluster_probe::ask(std::chrono::nanoseconds at_most) {
  const bool connected = channel_ && !channel_->lost();
  const auto until = deadline::after(system_clock_source().now(), connected ? at_most : 2 * at_most);
  if (!connected) {
    channel_.reset();
    auto made = pg_channel::connect(info_, session_kind::read, {until});
    if (!made) {
      const bool late = until.passed(system_clock_source().now());
      return failed_probe{late ? probe_failure::timed_out : failure_of(made.error()), made.error()};
    }
    channel_.emplace(std::move(*made));
  }
  const auto row = pg_ask(*channel_, question, {}, {until});
  if (!row) {
    channel_.reset();
    return failed_probe{failure_of(row.error()), row.error().prefixed(info_.where() + ": ")};
  }
  const auto& values = *row;
  probe_answer answer;
  answer.role = values[0] == "t" ? db_node_role::replica : db_node_role::primary;
  answer.system = number(values[1]);
  answer.place = {static_cast<std::uint32_t>(number(values[3])), number(values[2])};
  answer.next_transaction = number(values[4]);
  return answer;
}

}  // namespace spillway::detail
