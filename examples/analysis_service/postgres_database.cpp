// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/postgres_database.hpp"

#include <spillway/core/config_reader.hpp>
#include <spillway/db/postgres_cluster.hpp>

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace analysis {

namespace {

/// The library's complaint about a node, in the words of this program's configuration.
std::string in_our_words(std::string_view complaint, std::size_t nodes) {
  for (std::size_t i = 0; i < nodes; ++i) {
    const auto field = fmt::format("postgres_cluster_config.nodes[{}].url", i);
    if (!complaint.starts_with(field)) continue;
    const auto name = i == 0 ? std::string{"SPILLWAY_DATABASE_URL"} : fmt::format("SPILLWAY_REPLICA_URLS: number {}", i);
    return fmt::format("{} is no URL of a PostgreSQL server{}", name, complaint.substr(field.size()));
  }
  return fmt::format("SPILLWAY_DATABASE_URL and SPILLWAY_REPLICA_URLS: {}", complaint);
}

}  // namespace

spillway::database open_postgres_database(const service_config& config, const spillway::log_sink& log) {
  spillway::postgres_cluster_config cluster;
  cluster.nodes.push_back({config.database_url});
  for (const auto& url : config.replica_urls) cluster.nodes.push_back({url});
  cluster.sessions.application_name = "analysis_service";
  cluster.sessions.database.name = "service";
  cluster.sessions.database.log = log;
  try {
    auto opened = spillway::open_postgres_cluster(cluster);
    if (!opened) throw std::runtime_error{fmt::format("the database of SPILLWAY_DATABASE_URL cannot be opened: {}", opened.error().what())};
    return std::move(*opened);
  } catch (const std::invalid_argument& wrong) {
    throw spillway::config_error{std::vector{in_our_words(wrong.what(), cluster.nodes.size())}};
  }
}

std::optional<std::uint64_t> token_system(const spillway::database& database) {
  const auto routing = spillway::routing_of(database);
  if (!routing || routing->system == 0) return std::nullopt;
  return routing->system;
}

spillway::blocking_health_check primary_check(const spillway::database& database) {
  return [ping = database.pinger()](const spillway::health_check_context& context) {
    spillway::session_options options{context.until};
    options.on_primary = true;
    const auto answered = ping(options);
    return answered ? spillway::health_result::ok() : spillway::health_result::failed(answered.error().what());
  };
}

spillway::async_health_check replica_check(const spillway::database& database, std::chrono::milliseconds most) {
  return [&database, most](const spillway::health_check_context&, const spillway::health_completion& done) {
    const auto routing = spillway::routing_of(database);
    if (!routing) return done(spillway::health_result::unknown(routing.error().what()));
    std::string trouble;
    for (std::size_t i = 0; i < routing->nodes.size(); ++i) {
      if (routing->primary == i) continue;
      const auto& node = routing->nodes[i];
      const auto add = [&](std::string what) { trouble.append(trouble.empty() ? "" : "; ").append(node.name).append(what); };
      if (node.state != spillway::db_node_state::usable) {
        add(fmt::format(" is {}", to_string(node.state)));
      } else if (!node.lag) {
        add(" is behind by an unknown time");
      } else if (*node.lag > most) {
        add(fmt::format(" is {} ms behind, more than {} ms", std::chrono::duration_cast<std::chrono::milliseconds>(*node.lag).count(), most.count()));
      }
    }
    done(trouble.empty() ? spillway::health_result::ok() : spillway::health_result::degraded(trouble));
  };
}

}  // namespace analysis
