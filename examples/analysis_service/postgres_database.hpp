// SPDX-License-Identifier: Apache-2.0
/// @file
/// What only a server on PostgreSQL needs. In a program built without PostgreSQL, `open_postgres_database` says so and nothing else is called.
#pragma once

#include "analysis_service/service_config.hpp"

#include <spillway/core/log.hpp>
#include <spillway/db/database.hpp>
#include <spillway/health/health_check.hpp>

#include <chrono>
#include <cstdint>
#include <optional>

namespace analysis {

/// Opens the servers of `database_url` and `replica_urls` as one database.
///
/// Errors: throws spillway::config_error for a URL that is none, std::runtime_error if no primary can be reached; neither tells a password.
[[nodiscard]] spillway::database open_postgres_database(const service_config& config, const spillway::log_sink& log);

/// The system of which the database's consistency tokens are; none if its tokens are empty.
[[nodiscard]] std::optional<std::uint64_t> token_system(const spillway::database& database);

/// Fails if the primary does not answer, whatever the replicas do.
[[nodiscard]] spillway::blocking_health_check primary_check(const spillway::database& database);

/// Degraded, never failed, while a replica is down or further behind than `most`. The database outlives it.
[[nodiscard]] spillway::async_health_check replica_check(const spillway::database& database, std::chrono::milliseconds most);

}  // namespace analysis
