// SPDX-License-Identifier: Apache-2.0
// What has happened.
#include "db/backends/postgres/route_core.hpp"

#include <algorithm>
#include <random>
#include <utility>

namespace spillway::detail {

namespace {

constexpr std::size_t most_changes{256};
constexpr std::uint64_t answers_to_judge{10};

}  // namespace

route_core::route_core(const routing_config& config, const std::vector<routing_node>& nodes, time_point now)
    : config_{config},
      unplaced_(nodes.size()),
      identity_{nodes.size(), config.system},
      election_{nodes.size()},
      balance_{config.strategy},
      trouble_since_{now} {
  nodes_.reserve(nodes.size());
  for (const auto& each : nodes) nodes_.emplace_back(each, config_, now);
  counted_.refusals.resize(db_route_refusals);
}

void route_core::tick(time_point now, std::uint64_t random, std::vector<node_index>& probe) {
  for (node_index i = 0; i < nodes_.size(); ++i) {
    auto& node = nodes_[i];
    if (node.outlier.returns(now)) {
      node.latency.clear();
      node.judged_at_count = 0;
      note(route_change_kind::node_returned, i);
    }
    if (election_.how() == primary_election::standing::contested && election_.role_of(i) == db_node_role::primary && node.state == reach::down &&
        !election_.has_lapsed(i) && now - node.silent_since >= config_.claim_lapse) {
      election_.lapses(i);
    }
    if (!node.probing && now >= node.next_probe) {
      node.probing = true;
      node.probe_again = false;
      probe.push_back(i);
    }
  }
  judge_latency(now, random);
  settle(now);
}

time_point route_core::next_tick() const noexcept {
  auto next = time_point::max();
  for (node_index i = 0; i < nodes_.size(); ++i) {
    const auto& node = nodes_[i];
    if (!node.probing) next = std::min(next, node.next_probe);
    if (const auto until = node.outlier.until()) next = std::min(next, *until);
    if (election_.how() == primary_election::standing::contested && node.state == reach::down && election_.role_of(i) == db_node_role::primary &&
        !election_.has_lapsed(i)) {
      next = std::min(next, node.silent_since + config_.claim_lapse);
    }
  }
  return next;
}

void route_core::probe_answered(node_index node, const measured& when, const probe_answer& answer) {
  auto& n = nodes_[node];
  n.probing = false;
  hear(node, when.answered);
  identity_.answers(node, answer.system);
  unplaced_[node] = last_answer{when, answer};
  place_words();
  settle(when.answered);
  n.next_probe = n.probe_again ? when.answered : std::max(when.asked + probe_interval(), when.answered);
}

void route_core::hear(node_index node, time_point now) {
  auto& n = nodes_[node];
  n.silent_probes = 0;
  n.probe_wait.reset();
  if (n.state == reach::up) return;
  if (n.state != reach::suspect) {
    // What it was like before it went away would keep it from being chosen, and so from showing what it is like now.
    n.latency.clear();
    n.judged_at_count = 0;
    n.outlier.starts(now);
    note(route_change_kind::node_up, node);
  }
  n.state = reach::up;
}

void route_core::place_words() {
  if (!identity_.system()) return;
  for (node_index i = 0; i < nodes_.size(); ++i) {
    const auto answer = std::exchange(unplaced_[i], std::nullopt);
    if (!answer) continue;
    auto& n = nodes_[i];
    const auto& [when, said] = *answer;
    if (identity_.is_foreign(i)) {
      election_.forget(i);
      n.replay.reset();
      if (!std::exchange(n.foreign_told, true)) note(route_change_kind::node_foreign, i);
      continue;
    }
    n.foreign_told = false;
    if (said.role == db_node_role::primary) {
      n.replay.reset();
      sample_primary(i, when, said.place);
    } else if (said.role == db_node_role::replica) {
      // What was measured before the server may have restarted says nothing about the one there now, but for its role.
      if (when.asked < n.samples_from) {
        election_.denies(i, when);
        continue;
      }
      election_.stands_by(i, said.place.timeline, when);
      if (election_.role_of(i) == db_node_role::replica) n.note_replay(said.place, when);
    }
  }
}

void route_core::sample_primary(node_index node, const measured& when, const wal_place& place) {
  election_.claims(node, place.timeline, when);
  settle(when.answered);
  if (election_.is_settled() && election_.who() == node && election_.timeline() == place.timeline) history_.add(when, place.position);
}

void route_core::probe_failed(node_index node, time_point now, probe_failure why, std::uint64_t random) {
  auto& n = nodes_[node];
  n.probing = false;
  ++n.probe_failures;
  if (n.silent_probes++ == 0) n.silent_since = now;
  may_have_restarted(node, now);
  identity_.is_silent(node);
  const bool certain = why == probe_failure::refused || why == probe_failure::forbidden;
  const auto state = certain || n.silent_probes >= config_.down_after ? reach::down : reach::suspect;
  if (state == reach::down && n.state != reach::down) note(route_change_kind::node_down, node);
  if (n.state != reach::down) n.state = state;  // once down, only an answer brings it up
  place_words();
  settle(now);
  std::mt19937_64 draw{random};
  std::chrono::nanoseconds wait{n.probe_wait.next(draw)};
  if (!primary()) wait = std::min<std::chrono::nanoseconds>(wait, 2 * config_.failover_interval);
  // Whether a server has only ended this connection or is ending itself, the next one tells.
  n.next_probe = why == probe_failure::lost && n.silent_probes == 1 ? now : now + wait;
}

void route_core::role_reported(node_index node, const measured& when, bool is_standby) {
  if (!identity_.belongs(node)) return;
  const auto known = election_.role_of(node);
  if (is_standby) {
    election_.denies(node, when);
    if (known == db_node_role::replica) return;  // no news, as with nearly every result
  }
  if (is_standby || known != db_node_role::primary) probe_now(node, when.answered);  // which timeline it is on, a report does not say
  settle(when.answered);
}

void route_core::write_refused(node_index node, const measured& when, std::optional<bool> is_standby) {
  if (is_standby == false || !identity_.belongs(node)) return;
  election_.denies(node, when);
  probe_now(node, when.answered);
  settle(when.answered);
}

void route_core::replay_answered(node_index node, const measured& when, std::uint64_t position, std::uint64_t need) {
  ++(position >= need ? counted_.checks_passed : counted_.checks_missed);
  if (election_.role_of(node) != db_node_role::replica) return;
  nodes_[node].note_replay({election_.timeline_of(node), position}, when);
  ++revision_;
}

void route_core::committed(node_index node, const measured& when, const wal_place& place) {
  if (!identity_.belongs(node)) return;
  sample_primary(node, when, place);
}

void route_core::finished(const route_ticket& ticket, time_point now, query_end how, std::optional<std::chrono::nanoseconds> took, std::uint64_t random) {
  auto& n = nodes_[ticket.node];
  --n.in_flight;
  if (ticket.use == route_use::fallback_read) --fallbacks_in_flight_;
  switch (how) {
    case query_end::answered:
      n.bad_in_a_row = 0;
      if (took) n.latency.add(*took, now);
      break;
    case query_end::timed_out:
      if (took) n.latency.add(*took, now);
      ++n.bad_in_a_row;
      break;
    case query_end::lost:
      may_have_restarted(ticket.node, now);
      probe_now(ticket.node, now);
      ++n.bad_in_a_row;
      break;
    case query_end::cancelled: break;
  }
  if (n.bad_in_a_row >= config_.eject_after) eject(ticket.node, now, random);
  settle(now);
}

void route_core::may_have_restarted(node_index node, time_point now) {
  nodes_[node].may_have_restarted(now);
  election_.may_have_restarted(node);
}

void route_core::probe_now(node_index node, time_point now) {
  auto& n = nodes_[node];
  if (n.probing) {
    n.probe_again = true;
  } else {
    n.next_probe = std::min(n.next_probe, now);
  }
}

bool route_core::is_usable_replica(node_index node) const noexcept {
  return identity_.belongs(node) && election_.role_of(node) == db_node_role::replica && nodes_[node].state != reach::down;
}

void route_core::eject(node_index node, time_point now, std::uint64_t random) {
  auto& n = nodes_[node];
  if (n.outlier.is_out() || !is_usable_replica(node)) return;
  std::size_t replicas{0};
  std::size_t out{0};
  for (node_index i = 0; i < nodes_.size(); ++i) {
    if (!is_usable_replica(i)) continue;
    ++replicas;
    if (nodes_[i].outlier.is_out()) ++out;
  }
  if (out >= most_ejected(config_, replicas)) return;
  n.outlier.eject(now, random);
  n.bad_in_a_row = 0;
  note(route_change_kind::node_ejected, node);
}

void route_core::judge_latency(time_point now, std::uint64_t random) {
  std::vector<double> peers;
  for (node_index i = 0; i < nodes_.size(); ++i) {
    auto& n = nodes_[i];
    if (!is_usable_replica(i) || n.outlier.is_out() || n.latency.count() < n.judged_at_count + answers_to_judge) continue;
    n.judged_at_count = n.latency.count();
    peers.clear();
    for (node_index other = 0; other < nodes_.size(); ++other) {
      if (other == i || !is_usable_replica(other) || nodes_[other].outlier.is_out()) continue;
      if (nodes_[other].latency.count() < answers_to_judge) continue;
      if (const auto value = nodes_[other].latency.value(now)) peers.push_back(*value);
    }
    const auto mine = n.latency.value(now);
    if (mine && is_latency_outlier(config_, *mine, peers)) eject(i, now, random);
  }
}

void route_core::settle(time_point now) {
  ++revision_;
  if (identity_.system() && !std::exchange(system_told_, true)) note(route_change_kind::system_known, no_node);
  if (election_.epoch() != seen_epoch_) {
    seen_epoch_ = election_.epoch();
    switch (election_.how()) {
      case primary_election::standing::settled:
        history_.clear();
        seen_primary_ = election_.who();
        note(route_change_kind::primary_is, seen_primary_);
        break;
      case primary_election::standing::contested: note(route_change_kind::two_primaries, no_node); break;
      case primary_election::standing::none: note(route_change_kind::primary_lost, seen_primary_); break;
    }
  }
  if (primary()) {
    trouble_since_.reset();
  } else if (!trouble_since_) {
    trouble_since_ = now;
    for (node_index i = 0; i < nodes_.size(); ++i) probe_now(i, now);
  }
}

void route_core::note(route_change_kind kind, node_index node) {
  if (changes_.size() == most_changes) changes_.erase(changes_.begin());
  changes_.push_back({kind, node, election_.epoch()});
}

std::vector<route_change> route_core::take_changes() { return std::exchange(changes_, {}); }

std::chrono::nanoseconds route_core::probe_interval() const noexcept { return primary() ? config_.probe_interval : config_.failover_interval; }

}  // namespace spillway::detail
