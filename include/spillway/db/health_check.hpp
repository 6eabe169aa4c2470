// SPDX-License-Identifier: Apache-2.0
/// @file
/// A check for the health module that asks a database. For programs that use both: link `spillway::health` beside `spillway::db`.
#pragma once

#include <spillway/db/database.hpp>
#include <spillway/health/health_check.hpp>

#include <string>

namespace spillway {

/// Fails when a small read does, saying why; degraded while the queue for sessions is full. Blocking, within the check's deadline. It may
/// outlive the database, and then fails.
[[nodiscard]] inline blocking_health_check database_health_check(const database& db) {
  return [ping = db.pinger()](const health_check_context& context) {
    const auto answered = ping(session_options{context.until});
    if (answered) return health_result::ok();
    if (answered.error() == errc::overloaded) return health_result::degraded(answered.error().what());
    return health_result::failed(answered.error().what());
  };
}

}  // namespace spillway
