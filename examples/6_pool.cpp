// SPDX-License-Identifier: Apache-2.0
// Eight threads share two connections, in the order in which they ask; one keeps its connection for too long, and is named.
#include <spillway/pool/pool.hpp>

#include <atomic>
#include <iostream>
#include <latch>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

struct connection {
  int number;
};

class connector final : public spillway::blocking_connector<connection> {
 public:
  spillway::result<connection, spillway::open_failure> open(spillway::deadline) override {
    std::this_thread::sleep_for(5ms);  // as a real connect would
    return connection{++opened_};
  }

 private:
  std::atomic<int> opened_{0};
};

}  // namespace

int main() {
  spillway::pool_config config;
  config.name = "example";
  config.max = 2;
  spillway::pool<connection> connections{config, std::make_shared<connector>()};

  std::vector<std::jthread> threads;
  std::latch served{8};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      if (const auto lease = connections.acquire(5s)) std::this_thread::sleep_for(1ms);  // the query
      served.count_down();
    });
  }
  served.wait();
  std::cout << "8 callers were served by " << connections.stats().opened << " connections\n";

  spillway::acquire_options slow{1s};
  slow.label = "slow report";
  const auto first = connections.acquire(slow);
  const auto second = connections.acquire(slow);
  const auto refused = connections.acquire(20ms);
  std::cout << refused.error().what() << '\n';
  return refused.has_value() ? 1 : 0;
}
