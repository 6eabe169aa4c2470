// SPDX-License-Identifier: Apache-2.0
/// @file
/// Opens a PostgreSQL primary and its replicas as one database.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/db/consistency_token.hpp>
#include <spillway/db/postgres.hpp>
#include <spillway/db/routing.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

struct postgres_node {
  std::string url;     ///< As `postgres_config.url`.
  std::string name{};  ///< In logs and metrics. Empty: its "host:port". At most 64 bytes.
  double weight{1.0};  ///< For read_strategy::weighted. In [0.01, 100].
};

struct postgres_cluster_config {
  /// 1 to 64, of different servers and with one database, in any order: who is the primary they say themselves. Unless `routing.system` is given, the first says which system is meant.
  std::vector<postgres_node> nodes{};
  /// Of each node: `readers` and `writers` are sessions to one of them. Its `url` stays empty.
  postgres_config sessions{};
  /// `primary_read_sessions` is taken from `sessions.readers`.
  routing_config routing{};
};

/// Opens sessions to all nodes: writes go to the primary, reads to replicas that are fresh enough for them, see `session_options.token`,
/// `max_staleness` and `on_primary`.
///
///     auto db = open_postgres_cluster({.nodes = {{primary_url}, {replica_url}, {other_url}}}).value();
///     consistency_token seen;
///     session_options options;
///     options.token = &seen;
///     db.write(insert_order, options);       // `seen` is the place of that commit now
///     db.read(list_orders, options);         // on a replica that has it, or on the primary
///
/// Every node is asked many times a second who it is and how far; a change of primary is noticed within `failover_interval` and the time it takes to
/// ask. Until there is one, writes wait, within `buffer_for` and their own deadlines. A write is never given to a node that is known to have been a standby
/// since, and what a node that was declared down still works on is given up: db_errc::connection_lost, which `run_read`, `run_tx` and `query` run again
/// on another.
///
/// The role of the sessions needs no rights of its own. With pg_read_all_stats (or pg_monitor) a replica is known to follow a new primary
/// at once; without, its reads with demands go to the primary until its next restart point.
///
/// Freshness holds for what was committed with synchronous_commit on; a token of anything less is served by the primary alone.
///
/// Waits for a primary for up to `sessions.connect_timeout`; a replica that is down holds nothing up.
///
/// Errors: throws std::invalid_argument naming a field that is out of range, or what is wrong with a url. db_errc::cannot_open or
///         authentication_failed if no node answers; not_primary if none of those that do is one; foreign_node if one belongs to another system.
[[nodiscard]] SPILLWAY_EXPORT result<database, db_error> open_postgres_cluster(const postgres_cluster_config& config);

/// What the router of a database knows. Errors: db_errc::not_supported if it has none.
[[nodiscard]] SPILLWAY_EXPORT result<routing_stats, db_error> routing_of(const database& db);
/// A `routing_of` that may be kept longer than the database.
[[nodiscard]] SPILLWAY_EXPORT std::function<result<routing_stats, db_error>()> routing_reporter(const database& db);
/// Each node, with the reason why a read with these options would go there or not, in a line each.
[[nodiscard]] SPILLWAY_EXPORT std::string explain_routing(const database& db, const session_options& options = {});

}  // namespace spillway
