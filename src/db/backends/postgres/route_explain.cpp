// SPDX-License-Identifier: Apache-2.0
// What the router knows, for people and metrics.
#include "db/backends/postgres/route_core.hpp"

#include <fmt/format.h>

#include <iterator>

namespace spillway::detail {

namespace {

std::int64_t milliseconds_of(std::chrono::nanoseconds duration) { return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count(); }

}  // namespace

std::string route_core::explain(const read_question& question, time_point now, std::span<const std::string> failures) const {
  std::string text;
  const auto out = std::back_inserter(text);
  const auto wanted = demand_of(question);
  const auto who = primary();
  fmt::format_to(out, "system {}, epoch {}, timeline {}, primary {}", identity_.system().value_or(0), election_.epoch(), election_.timeline(),
                 who ? nodes_[*who].name : fmt::format("none ({})", to_string(primary_trouble())));
  if (wanted.what == demand::kind::position) fmt::format_to(out, ", needs position {:X}/{:X}", wanted.position >> 32U, wanted.position & 0xffff'ffffU);
  if (wanted.what == demand::kind::primary) fmt::format_to(out, ", only the primary is sure to be fresh enough");
  if (question.prefer == read_preference::primary) fmt::format_to(out, ", the primary is asked for");
  if (wanted.what == demand::kind::refused) fmt::format_to(out, ", cannot be served: {}", to_string(wanted.why));
  for (node_index i = 0; i < nodes_.size(); ++i) {
    const auto& n = nodes_[i];
    const auto verdict = verdict_of(i, question, wanted, now);
    fmt::format_to(out, "\n  {}: {}", n.name, to_string(verdict));
    if (verdict == db_node_state::foreign) fmt::format_to(out, " (its system is {})", identity_.system_of(i));
    if (verdict == db_node_state::other_timeline) fmt::format_to(out, " ({}; it is at least on {})", reference_timeline(), election_.timeline_of(i));
    const bool is_one_of_two = election_.how() == primary_election::standing::contested && election_.timeline_of(i) == election_.newest_timeline();
    if (verdict == db_node_state::fenced && is_one_of_two) {
      fmt::format_to(out, " (nor is the other one that says so, on the same timeline: one server by two names, or two primaries)");
    } else if (verdict == db_node_state::fenced) fmt::format_to(out, " (on timeline {}; the newest is {})", election_.timeline_of(i), election_.newest_timeline());
    if (n.silent_probes > 0) fmt::format_to(out, ", {} probes in a row failed", n.silent_probes);
    if (n.silent_probes > 0 && i < failures.size()) fmt::format_to(out, " ({})", failures[i]);
    if (n.outlier.is_out()) fmt::format_to(out, ", back in {} ms", milliseconds_of(*n.outlier.until() - now));
    if (n.replay) fmt::format_to(out, ", replayed to {:X}/{:X}, asked {} ms ago", n.replay->place.position >> 32U, n.replay->place.position & 0xffff'ffffU, milliseconds_of(now - n.replay->when.asked));
    fmt::format_to(out, ", {} in flight", n.in_flight);
  }
  return text;
}

routing_stats route_core::stats(time_point now) const {
  auto stats = counted_;
  stats.epoch = election_.epoch();
  if (const auto node = primary()) stats.primary = *node;
  stats.system = identity_.system().value_or(0);
  stats.fallbacks_in_flight = fallbacks_in_flight_;
  for (node_index i = 0; i < nodes_.size(); ++i) {
    const auto& n = nodes_[i];
    auto& node = stats.nodes.emplace_back();
    node.name = n.name;
    node.role = election_.role_of(i);
    node.system = identity_.system_of(i);
    node.state = verdict_of(i, {}, {}, now);
    node.timeline = election_.timeline_of(i);
    node.latency = std::chrono::nanoseconds{static_cast<std::int64_t>(n.latency.value(now).value_or(0))};
    node.in_flight = n.in_flight;
    node.chosen = n.chosen;
    node.ejections = n.outlier.count();
    node.probe_failures = n.probe_failures;
    if (!n.replay) continue;
    node.position = n.replay->place.position;
    if (n.replay->place.timeline != election_.timeline()) continue;
    node.lag_bytes = history_.last() > node.position ? history_.last() - node.position : 0;
    if (const auto fresh = history_.fresh_until(node.position)) node.lag = now - *fresh;
  }
  return stats;
}

}  // namespace spillway::detail
