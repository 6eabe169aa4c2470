// SPDX-License-Identifier: Apache-2.0
// What a monitor answers, from memory.
#include "health/health_rollup.hpp"
#include "health/message_text.hpp"
#include "health/monitor_state.hpp"

#include <algorithm>

namespace spillway::detail {

namespace {

void refuse(health_report& report, health_state state, std::string_view reason) {
  report.state = state;
  report.http_status = 503;
  report.weight_ratio = 0.0;
  report.reason = reason;
}

}  // namespace

void monitor_state::set_draining(bool draining) noexcept {
  const std::scoped_lock lock{mutex_};
  draining_ = draining;
}

void monitor_state::set_fatal(std::string why) {
  auto clean = clean_message(std::move(why));
  const std::scoped_lock lock{mutex_};
  fatal_ = std::move(clean);
}

health_report monitor_state::report(health_probe probe) const {
  health_report report;
  report.probe = probe;
  const auto now = clock_.now();
  const std::scoped_lock lock{mutex_};
  switch (probe) {
    case health_probe::liveness: report_liveness(report, now); break;
    case health_probe::readiness: report_readiness(report, now); break;
    case health_probe::startup: report_startup(report, now); break;
  }
  return report;
}

void monitor_state::report_liveness(health_report& to, time_point now) const {
  for (const auto& cell : heartbeats_) {
    const auto beat = cell->read(now, config_.max_heartbeat_age);
    auto& loop = to.checks.emplace_back();
    loop.name = cell->name;
    loop.age = beat.age;
    loop.duration = beat.lag;
    const bool judged = !stopped_ && (judging_ || !cell->loop);
    loop.state = judged ? (cell->rule.alive(beat) ? health_state::ok : health_state::failed) : health_state::unknown;
    if (loop.state == health_state::failed) refuse(to, health_state::failed, "loop_stalled");
  }
  if (!fatal_) return;
  refuse(to, health_state::failed, "fatal");
  auto& fatal = to.checks.emplace_back();
  fatal.name = "fatal";
  fatal.state = health_state::failed;
  fatal.message = *fatal_;
}

void monitor_state::report_readiness(health_report& to, time_point now) const {
  std::vector<check_standing> standings;
  standings.reserve(checks_.size());
  to.checks.reserve(checks_.size());
  for (const auto& one : checks_) {
    to.checks.push_back(describe(one, now));
    standings.push_back({to.checks.back().state, one.config.criticality, one.config.degraded_weight_ratio});
  }
  const auto rolled = roll_up(standings);
  to.state = rolled.state;
  to.reason = rolled.reason;
  to.weight_ratio = rolled.weight_ratio;
  if (!rolled.ready) to.http_status = 503;
  if (draining_) {
    refuse(to, health_state::failed, "draining");
  } else if (fatal_) {
    refuse(to, health_state::failed, "fatal");
  }
}

void monitor_state::report_startup(health_report& to, time_point now) const {
  bool all_up{true};
  for (const auto& one : checks_) {
    if (one.config.criticality == health_criticality::non_critical) continue;
    to.checks.push_back(describe(one, now));
    all_up = all_up && one.core.ever_up();
  }
  if (!all_up) refuse(to, health_state::unknown, "starting");
}

health_check_report monitor_state::describe(const entry& one, time_point now) const {
  health_check_report report;
  report.name = one.config.name;
  report.state = one.core.state(now);
  report.criticality = one.config.criticality;
  report.message = one.message;
  if (const auto last = one.core.last_answer()) report.age = now - *last;
  report.duration = one.duration;
  report.changed_at = one.changed_at;
  report.consecutive_failures = one.core.consecutive_failures();
  report.hung = one.core.hung(now);
  return report;
}

std::vector<monitor_state::check_snapshot> monitor_state::snapshots() const {
  const auto now = clock_.now();
  const std::scoped_lock lock{mutex_};
  std::vector<check_snapshot> taken;
  for (const auto& one : checks_) taken.push_back({describe(one, now), one.core.outcomes()});
  return taken;
}

health_monitor_stats monitor_state::stats() const {
  const auto now = clock_.now();
  const std::scoped_lock lock{mutex_};
  health_monitor_stats counted;
  counted.checks = checks_.size();
  for (const auto& one : checks_) {
    const bool hung = one.core.hung(now);
    if (hung) {
      ++counted.hung;
    } else if (one.core.phase() == run_phase::running) {
      ++counted.running;
    }
  }
  counted.lost_changes = lost_changes_;
  return counted;
}

}  // namespace spillway::detail
