// SPDX-License-Identifier: Apache-2.0
/// @file
/// The whole server: every module, assembled.
#pragma once

#include "analysis_service/service_config.hpp"

#include <spillway/core/log.hpp>
#include <spillway/http/http_access_record.hpp>
#include <spillway/http/http_server.hpp>

#include <memory>

namespace analysis {

/// Serves projects and analyses until it is stopped.
///
/// Threads:  one at a time.
/// Errors:   the constructor and `start` throw, with a message that tells a person what to mend: a directory that is missing or in use, a
///           database that cannot be opened, a port that is taken.
class service {
 public:
  service(const service_config& config, spillway::http_access_sink access, spillway::log_sink log);
  ~service();
  service(const service&) = delete;
  service& operator=(const service&) = delete;

  void start();
  [[nodiscard]] spillway::http_endpoint endpoint() const;

  /// Readiness off, wait for the balancer, stop accepting, finish what is in flight, put running analyses back into the queue, close the database.
  spillway::http_drain_report stop();

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace analysis
