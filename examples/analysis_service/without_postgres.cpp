// SPDX-License-Identifier: Apache-2.0
// Stands in for postgres_database.cpp and file_partitions.cpp where the library was built without its PostgreSQL module.
#include "analysis_service/file_partitions.hpp"
#include "analysis_service/postgres_database.hpp"

#include <spillway/core/config_reader.hpp>

#include <stdexcept>
#include <string>
#include <vector>

namespace analysis {

spillway::database open_postgres_database(const service_config&, const spillway::log_sink&) {
  throw spillway::config_error{std::vector{std::string{"SPILLWAY_DATABASE_URL is given, but this program was built without PostgreSQL; allowed: none"}}};
}

std::optional<std::uint64_t> token_system(const spillway::database&) { return std::nullopt; }
spillway::blocking_health_check primary_check(const spillway::database&) { return {}; }
spillway::async_health_check replica_check(const spillway::database&, std::chrono::milliseconds) { return {}; }

struct file_partitions::impl {};
file_partitions::file_partitions(spillway::database&, unsigned, spillway::log_sink, spillway::metrics_registry&) {
  throw std::logic_error{"there are no partitions without PostgreSQL"};
}
file_partitions::~file_partitions() = default;

}  // namespace analysis
