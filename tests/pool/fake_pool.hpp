// SPDX-License-Identifier: Apache-2.0
// A pool of fakes under a clock that stands still.
#pragma once

#include <spillway/pool/pool.hpp>
#include <spillway/testing/fake_connector.hpp>
#include <spillway/testing/manual_clock.hpp>

#include <boost/asio/io_context.hpp>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace spillway::tests {

using fake_lease = pool_lease<testing::fake_resource>;

struct fake_pool {
  explicit fake_pool(pool_config given = {}) {
    given.clock = &clock;
    given.log = [this](const log_event& event) {
      std::string line{event.message};
      for (const auto& field : event.fields) line += " " + std::string{field.name} + "=" + std::string{field.value};
      const std::scoped_lock lock{mutex};
      lines.push_back(line);
    };
    pool = std::make_unique<spillway::pool<testing::fake_resource>>(given, connector, context.get_executor());
  }

  void advance(std::chrono::nanoseconds by) {
    clock.advance(by);
    pool->tick();
  }
  [[nodiscard]] bool logged(std::string_view part) const {
    const std::scoped_lock lock{mutex};
    for (const auto& line : lines) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }

  testing::manual_clock clock;
  boost::asio::io_context context;
  std::shared_ptr<testing::fake_connector> connector{std::make_shared<testing::fake_connector>()};
  mutable std::mutex mutex;
  std::vector<std::string> lines;
  std::unique_ptr<spillway::pool<testing::fake_resource>> pool;
};

inline pool_config at_most(std::size_t max) {
  pool_config config;
  config.max = max;
  return config;
}

}  // namespace spillway::tests
