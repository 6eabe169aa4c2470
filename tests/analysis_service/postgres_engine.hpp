// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "db/support/postgres_cluster.hpp"

#include <string>

namespace analysis::tests {

/// A primary and two replicas, which all cases of this program share.
spillway::tests::postgres_cluster& postgres_nodes();

/// The URLs of the replicas for that database, with commas between them.
std::string replica_urls(const std::string& database);

}  // namespace analysis::tests
