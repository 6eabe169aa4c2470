// SPDX-License-Identifier: Apache-2.0
#include "watched_nodes.hpp"

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

namespace spillway::detail {

std::vector<cluster_watch::watched> watched_nodes(std::span<const postgres_node> nodes, std::string_view application_name,
                                                  const std::function<std::string(std::size_t)>& url_field) {
  std::vector<cluster_watch::watched> made;
  const auto refuse = [&](const std::string& what) { throw std::invalid_argument(fmt::format("{} {}", url_field(made.size()), what)); };
  for (const auto& node : nodes) {
    if (node.url.empty()) refuse("is empty");
    auto info = pg_conninfo::parse(node.url, application_name);
    if (!info) throw std::invalid_argument(fmt::format("{}: {}", url_field(made.size()), info.error()));
    for (std::size_t i = 0; i < made.size(); ++i) {
      if (made[i].info.is_same_server(*info)) refuse(fmt::format("is of the same server as {}: {}", url_field(i), info->where()));
    }
    if (!made.empty() && made.front().info.database() != info->database()) {
      refuse(fmt::format("leads to the database \"{}\", {} to \"{}\"; all nodes must lead to one", info->database(), url_field(0),
                         made.front().info.database()));
    }
    auto name = node.name.empty() ? info->where().substr(0, 64) : node.name;
    made.push_back({{std::move(name), node.weight}, std::move(*info)});
  }
  return made;
}

}  // namespace spillway::detail
