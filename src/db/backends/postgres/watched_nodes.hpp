// SPDX-License-Identifier: Apache-2.0
// The nodes of a cluster, from their URLs.
#pragma once

#include "cluster_watch.hpp"

#include <spillway/db/postgres_cluster.hpp>

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::detail {

/// `url_field` names the place of a URL in the caller's configuration.
/// Errors: throws std::invalid_argument: a URL that cannot be used, a server that is listed twice, two names of databases.
[[nodiscard]] std::vector<cluster_watch::watched> watched_nodes(std::span<const postgres_node> nodes, std::string_view application_name,
                                                                const std::function<std::string(std::size_t)>& url_field);

}  // namespace spillway::detail
