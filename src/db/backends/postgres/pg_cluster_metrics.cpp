// SPDX-License-Identifier: Apache-2.0
#include "pg_cluster.hpp"

#include <array>

namespace spillway::detail {

namespace {

std::string_view label_of(db_route_refusal why) noexcept {
  switch (why) {
    case db_route_refusal::none: break;
    case db_route_refusal::starting: return "starting";
    case db_route_refusal::clusters_disagree: return "clusters_disagree";
    case db_route_refusal::foreign_token: return "foreign_token";
    case db_route_refusal::unknown_timeline: return "unknown_timeline";
    case db_route_refusal::no_primary: return "no_primary";
    case db_route_refusal::primary_down: return "primary_down";
    case db_route_refusal::two_primaries: return "two_primaries";
    case db_route_refusal::load_cap: return "load_cap";
    case db_route_refusal::buffer_full: return "buffer_full";
    case db_route_refusal::primary_tried: return "primary_tried";
  }
  return "none";
}

void write_node(const routing_node_stats& node, bool is_primary, std::string_view database, metric_writer& out) {
  const std::array labels{metric_label{"database", database}, metric_label{"node", node.name}};
  const bool up = node.state != db_node_state::down && node.state != db_node_state::not_heard && node.state != db_node_state::foreign;
  out.gauge("spillway_db_node_up", "Whether the node answers and belongs here", labels, up ? 1 : 0);
  out.gauge("spillway_db_node_primary", "Whether writes go to the node", labels, is_primary ? 1 : 0);
  out.gauge("spillway_db_node_ejected", "Whether the node is left out for answering badly", labels, node.state == db_node_state::ejected ? 1 : 0);
  out.gauge("spillway_db_node_in_flight", "Reads and writes on the node now", labels, static_cast<double>(node.in_flight));
  out.gauge("spillway_db_node_latency_seconds", "Recent average of what the node took for a read or write", labels,
            std::chrono::duration<double>{node.latency}.count());
  if (node.role == db_node_role::replica) {
    out.gauge("spillway_db_replica_lag_bytes", "Log that the replica has not replayed", labels, static_cast<double>(node.lag_bytes));
    if (node.lag) {
      out.gauge("spillway_db_replica_lag_seconds", "Age of the data on the replica, at most", labels, std::chrono::duration<double>{*node.lag}.count());
    }
  }
  out.counter("spillway_db_node_chosen_total", "Reads and writes given to the node", labels, static_cast<double>(node.chosen));
  out.counter("spillway_db_node_ejections_total", "Times that the node was left out for answering badly", labels, static_cast<double>(node.ejections));
  out.counter("spillway_db_node_probe_failures_total", "Probes of the node that failed", labels, static_cast<double>(node.probe_failures));
}

}  // namespace

void pg_cluster::write_metrics(std::string_view name, metric_writer& out) {
  const auto stats = routing();
  for (std::size_t i = 0; i < stats.nodes.size(); ++i) write_node(stats.nodes[i], stats.primary == i, name, out);
  const std::array database{metric_label{"database", name}};
  out.gauge("spillway_db_topology_epoch", "Changes of the primary so far", database, static_cast<double>(stats.epoch));
  for (const auto kind : {session_kind::read, session_kind::write}) {
    const std::array labels{metric_label{"database", name}, metric_label{"operation", kind == session_kind::read ? "read" : "write"}};
    out.gauge("spillway_db_waiting_for_node", "Callers that wait for a node", labels, static_cast<double>(held_of(kind).load(std::memory_order_relaxed)));
  }
  const auto routed = [&](std::string_view how, std::uint64_t count) {
    const std::array labels{metric_label{"database", name}, metric_label{"freshness", how}};
    out.counter("spillway_db_routed_reads_total", "Reads with demands on freshness, by how they were met", labels, static_cast<double>(count));
  };
  routed("proven", stats.proven);
  routed("checked", stats.checks_passed);
  routed("missed", stats.checks_missed);
  out.counter("spillway_db_fallback_reads_total", "Reads that the primary took because no replica could", database, static_cast<double>(stats.fallbacks));
  out.counter("spillway_db_hedged_queries_total", "Queries that were asked of a second node as well", database, static_cast<double>(stats.hedged));
  for (std::size_t i = 1; i < stats.refusals.size(); ++i) {
    const std::array labels{metric_label{"database", name}, metric_label{"reason", label_of(static_cast<db_route_refusal>(i))}};
    out.counter("spillway_db_route_refusals_total", "Reads and writes that were given no node, by reason", labels, static_cast<double>(stats.refusals[i]));
  }
}

}  // namespace spillway::detail
