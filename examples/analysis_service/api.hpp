// SPDX-License-Identifier: Apache-2.0
/// @file
/// The HTTP interface to projects and analyses.
#pragma once

#include "analysis_service/analysis_queue.hpp"
#include "analysis_service/project_root.hpp"
#include "analysis_service/store.hpp"

#include <spillway/core/clock.hpp>
#include <spillway/http/http_router.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <functional>
#include <optional>

namespace analysis {

/// What the handlers work with. Everything outlives the server.
struct api_context {
  store& records;
  analysis_queue& queue;
  const project_root& root;
  boost::asio::any_io_executor blocking;  ///< Its threads may block on the database and the file system.
  const spillway::clock_source& clock;    ///< That of the server.
  /// The database system whose consistency tokens are taken and given; none where there are no replicas.
  std::function<std::optional<std::uint64_t>()> token_system{};
};

/// Adds the routes under /v1. README.md describes them.
void add_api_routes(spillway::http_router& router, const api_context& context);

}  // namespace analysis
