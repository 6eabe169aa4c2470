// SPDX-License-Identifier: Apache-2.0
// The code of docs/guide/health.md.
#include <spillway/core/io_runner.hpp>
#include <spillway/health/health_monitor.hpp>
#include <spillway/health/resource_checks.hpp>
#include <spillway/health/system_monitor.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <doctest/doctest.h>

#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

struct connection {
  bool ping(deadline) { return true; }
};

asio::awaitable<health_result> ask_billing() { co_return health_result::ok("answered"); }

}  // namespace

TEST_CASE("guide.health_checks") {
  io_runner runner;
  runner.start();
  auto shared_connection = std::make_shared<connection>();
  std::vector<std::string> told;
  // [monitor]
  health_monitor_config monitor_config;
  monitor_config.on_change = [&told](const health_change& change) {  // one call at a time, outside locks
    told.push_back(std::string{change.check} + " is " + std::string{to_string(change.to)});
  };
  health_monitor health{monitor_config};
  // [monitor]
  // [blocking]
  health.add({.name = "orders-database", .interval = 5s, .timeout = 1s},
             [shared_connection](const health_check_context& context) {
               return shared_connection->ping(context.until) ? health_result::ok() : health_result::failed("no answer to ping");
             });
  // [blocking]
  // [async]
  const auto executor = runner.executor();
  health.add_async({.name = "billing", .criticality = health_criticality::non_critical, .degraded_weight_ratio = 0.8},
                   [executor](const health_check_context&, health_completion done) {
                     asio::co_spawn(executor, ask_billing(), [done](std::exception_ptr thrown, health_result result) {
                       done(thrown ? health_result::failed("billing threw") : std::move(result));
                     });
                   });
  // [async]
  // [push]
  health_reporter consumer = health.add_reporter({.name = "queue-consumer", .interval = 10s, .stale_after = 1min});
  consumer.report(health_result::ok("offset 4711"));  // after each batch; silence for a minute makes it unknown
  // [push]
  // [machine]
  system_monitor machine{{.memory_warning_ratio = 0.85, .disk_paths = {"/", "/tmp"}}};
  health.add({.name = "machine", .criticality = health_criticality::non_critical}, machine.check());
  health.add({.name = "disk"}, disk_space_check({.path = "/tmp", .failed_above_ratio = 1.0}));
  // [machine]
  // [start]
  health.watch_loop("http", runner.executor());
  health.start(runner.executor());
  // [start]
  while (health.report(health_probe::startup).http_status != 200) std::this_thread::yield();
  // [answer]
  health_report ready = health.report(health_probe::readiness);
  std::string for_everybody = to_json(ready);                      // {"status":"ok","weight":1}
  std::string for_operators = to_json(ready, health_detail::full);  // with every check
  int status = ready.http_status;                                   // 200 or 503
  // [answer]
  CHECK((status == 200 || status == 503));
  CHECK(for_everybody.starts_with("{\"status\":\""));
  CHECK(for_operators.find("\"name\":\"billing\"") != std::string::npos);
  // [drain]
  health.set_draining();  // readiness 503 with reason "draining", at once; liveness stays 200
  // [drain]
  CHECK(health.report(health_probe::readiness).reason == "draining");
  health.stop();
  runner.stop();
}

TEST_CASE("guide.health_liveness_rule") {
  asio::io_context loop;
  health_monitor health;
  // [rule]
  constexpr liveness_rule patient{[](loop_heartbeat beat) noexcept { return beat.age < 3 * beat.allowed_age; }};
  health.watch_loop("batch", loop.get_executor(), patient);
  // [rule]
  CHECK(health.report(health_probe::liveness).http_status == 200);
}
