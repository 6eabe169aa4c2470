// SPDX-License-Identifier: Apache-2.0
// A readiness probe with 50 checks, of which ten hang for ever, beside a handler that always answers the same, on one server over one
// connection, in alternating rounds. Ends with the median of the paired ratios of the 99th percentiles.
#include <spillway/core/io_runner.hpp>
#include <spillway/health/health_monitor.hpp>
#include <spillway/http/http_server.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/version.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace spillway;
using namespace std::chrono_literals;
namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr int rounds{11};
constexpr int requests_a_round{4'000};  // all rounds on one connection, which the server ends after 100,000
constexpr int checks{50};
constexpr int hanging{10};

void add_checks(health_monitor& health) {
  const auto never = std::make_shared<std::latch>(1);
  for (int i = 0; i < checks; ++i) {
    const bool hangs = i < hanging;
    health.add({.name = "check-" + std::to_string(i),
                .criticality = hangs ? health_criticality::non_critical : health_criticality::critical,
                .interval = 1s,
                .timeout = 100ms},
               [hangs, never](const health_check_context&) {
                 if (hangs) never->wait();
                 return health_result::ok();
               });
  }
}

class client {
 public:
  explicit client(std::uint16_t port) { socket_.connect({asio::ip::address_v4::loopback(), port}); }

  /// The 99th percentile of one round, in microseconds.
  double round(const std::string& path) {
    http::request<http::empty_body> request{http::verb::get, path, 11};
    request.set(http::field::host, "localhost");
    std::vector<double> took;
    for (int i = 0; i < requests_a_round; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      http::write(socket_, request);
      http::response<http::string_body> response;
      http::read(socket_, buffer_, response);
      took.push_back(std::chrono::duration<double, std::micro>{std::chrono::steady_clock::now() - begin}.count());
      if (response.result() != http::status::ok) {
        std::fprintf(stderr, "%s was answered with %u: %s\n", path.c_str(), response.result_int(), response.body().c_str());
        std::exit(2);
      }
    }
    const auto p99 = took.begin() + requests_a_round * 99 / 100;
    std::nth_element(took.begin(), p99, took.end());
    return *p99;
  }

 private:
  asio::io_context io_;
  asio::ip::tcp::socket socket_{io_};
  boost::beast::flat_buffer buffer_;
};

}  // namespace

int main() {
  std::printf("Boost.Beast %s\n", BOOST_BEAST_VERSION_STRING);
  io_runner_config one_thread;
  one_thread.threads = 1;
  io_runner runner{one_thread};
  health_monitor health{{.shutdown_wait = 0ms}};
  add_checks(health);
  http_router router;
  router.get("/constant", [](http_request&) {  // the body that /readyz gives
    return http_response::json(R"({"status":"degraded","reason":"check_degraded","weight":0.5})");
  });
  router.get("/readyz", [&health](http_request&) {
    const auto report = health.report(health_probe::readiness);
    return http_response::json(to_json(report), report.http_status);
  });
  http_server server{http_server_config{}, std::move(router), runner};
  server.start();
  runner.start();
  health.start(runner.executor());
  while (health.stats().hung < hanging || health.report(health_probe::readiness).http_status != 200) std::this_thread::yield();

  client probe{server.local_endpoint().port};
  (void)probe.round("/constant");  // warm
  (void)probe.round("/readyz");
  std::vector<double> ratios;
  for (int i = 0; i < rounds; ++i) {
    const auto constant = probe.round("/constant");
    const auto ready = probe.round("/readyz");
    std::printf("p99 constant %.1f us, readiness %.1f us\n", constant, ready);
    ratios.push_back(ready / constant);
  }
  const auto middle = ratios.begin() + rounds / 2;
  std::nth_element(ratios.begin(), middle, ratios.end());
  constexpr double most{1.2};
  std::printf("goal health-readyz-p99-10-of-50-hang %.2f <= %.2f %s\n", *middle, most, *middle <= most ? "met" : "missed");
  health.stop();
  server.stop();
  runner.stop();
}
