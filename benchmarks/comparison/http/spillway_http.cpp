// SPDX-License-Identifier: Apache-2.0
// The route under test: metrics, access log and request ids on.
#include "access_log.hpp"

#include <spillway/core/io_runner.hpp>
#include <spillway/http/http_server.hpp>
#include <spillway/http/shutdown_signal.hpp>

#include <cstdlib>
#include <string>

int main(int argc, char** argv) {
  using namespace spillway;
  examples::access_log log{{.file = argc > 2 ? argv[2] : "/dev/null"}};

  http_router router;
  router.get("/plain", [body = std::string(100, 'x')](const http_request&) { return http_response::text(body); });

  http_server_config config;
  config.port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 0);
  config.access = log.sink();
  io_runner_config threads;
  threads.threads = 2;
  io_runner runner{threads};
  http_server server{config, std::move(router), runner};
  shutdown_signal signal{runner.executor()};
  server.start();
  runner.start();
  (void)signal.wait();
}
