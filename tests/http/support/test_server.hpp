// SPDX-License-Identifier: Apache-2.0
// A server on a free port whose time stands still until the test moves it.
#pragma once

#include "raw_client.hpp"

#include <spillway/core/io_runner.hpp>
#include <spillway/http/http_server.hpp>
#include <spillway/testing/manual_clock.hpp>

#include <chrono>
#include <cstddef>
#include <thread>
#include <utility>

namespace spillway::testing {

inline io_runner_config runner_with(std::size_t threads, runner_shape shape = runner_shape::context_per_thread) {
  io_runner_config config;
  config.threads = threads;
  config.shape = shape;
  return config;
}

class test_server {
 public:
  explicit test_server(http_router router, http_server_config config = {}, std::size_t threads = 1,
                       runner_shape shape = runner_shape::context_per_thread)
      : runner{runner_with(threads, shape)}, server{with_quick_sweeps(std::move(config)), std::move(router), runner, clock} {
    server.start();
    runner.start();
  }

  [[nodiscard]] std::uint16_t port() const { return server.local_endpoint().port; }
  [[nodiscard]] raw_client connect() const { return raw_client{port()}; }

  manual_clock clock;
  io_runner runner;
  http_server server;

 private:
  static http_server_config with_quick_sweeps(http_server_config config) {
    config.sweep_interval = std::chrono::milliseconds{2};
    return config;
  }
};

/// Waits until `condition` holds; false if it does not within twenty seconds.
template <class Condition>
[[nodiscard]] bool eventually(const Condition& condition) {
  for (int i = 0; i < 20'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return condition();
}

}  // namespace spillway::testing
