// SPDX-License-Identifier: Apache-2.0
// What the server tells about itself: metrics, access records, statistics.
#include "support/test_server.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

using namespace spillway;
using namespace spillway::testing;
using namespace std::chrono_literals;

namespace {

class collected final : public metric_writer {
 public:
  void counter(std::string_view name, std::string_view, metric_labels labels, double value) override { values[key(name, labels)] = value; }
  void gauge(std::string_view name, std::string_view, metric_labels labels, double value) override { values[key(name, labels)] = value; }
  void histogram(std::string_view name, std::string_view, metric_labels labels, const latency_snapshot& durations,
                 std::span<const std::chrono::nanoseconds>) override {
    values[key(name, labels)] = static_cast<double>(durations.count);
    sums[key(name, labels)] = durations.sum;
  }

  std::map<std::string, double> values;
  std::map<std::string, std::chrono::nanoseconds> sums;

 private:
  static std::string key(std::string_view name, metric_labels labels) {
    std::string text{name};
    for (const auto& label : labels) text.append(" ").append(label.name).append("=").append(label.value);
    return text;
  }
};

collected collect(const http_server& server) {
  collected all;
  write_metrics(server, "api", all);
  return all;
}

struct kept_record {
  http_outcome outcome;
  int status;
  std::string method_name, route, target, reason, request_id, peer, user_agent;
  std::uint64_t request_bytes, response_bytes;
  std::chrono::nanoseconds duration;
  wall_time_point at;
};

class record_keeper {
 public:
  http_access_sink sink() {
    return [this](const http_access_record& r) {
      const std::scoped_lock lock{mutex_};
      records_.push_back({r.outcome, r.status, std::string{r.method_name}, std::string{r.route}, std::string{r.target}, std::string{r.reason},
                          std::string{r.request_id}, std::string{r.peer}, std::string{r.user_agent}, r.request_bytes, r.response_bytes,
                          r.duration, r.at});
    };
  }
  /// Waits for the first `count`.
  std::vector<kept_record> take(std::size_t count) {
    REQUIRE(eventually([&] {
      const std::scoped_lock lock{mutex_};
      return records_.size() >= count;
    }));
    const std::scoped_lock lock{mutex_};
    return records_;
  }

 private:
  std::mutex mutex_;
  std::vector<kept_record> records_;
};

http_router thing_routes() {
  http_router router;
  router.get("/things/{id}", [](const http_request& r) { return http_response::text("thing", r.parameter("id") == "0" ? 404 : 200); });
  router.post("/things", [](const http_request&) { return http_response{201}; });
  return router;
}

}  // namespace

TEST_CASE("http_metrics.count_by_pattern_method_and_status") {
  test_server server{thing_routes()};
  auto client = server.connect();
  const auto ask = [&client](const std::string& line) { CHECK(client.ask(line + " HTTP/1.1\r\nHost: a\r\n\r\n")); };
  for (int i = 0; i < 5; ++i) ask("GET /things/" + std::to_string(i));
  ask("POST /things");
  ask("GET /a/path/of/a/scanner");
  ask("GET /another");
  ask("BREW /things");
  client.send("HEAD /things/1 HTTP/1.1\r\nHost: a\r\n\r\n");
  (void)client.read(true);
  ask("GET /things/9");  // answers come one by one, so all before are counted
  CHECK(eventually([&] { return server.server.stats().requests_answered == 11; }));

  const auto all = collect(server.server).values;
  const auto duration = [&all](const std::string& method, const std::string& route, const std::string& status) {
    const auto found = all.find("http_server_request_duration_seconds server=api http_request_method=" + method + " http_route=" + route +
                                " http_response_status_code=" + status);
    return found == all.end() ? -1.0 : found->second;
  };
  CHECK(duration("GET", "/things/{id}", "200") == 5);
  CHECK(duration("GET", "/things/{id}", "404") == 1);
  CHECK(duration("HEAD", "/things/{id}", "200") == 1);
  CHECK(duration("POST", "/things", "201") == 1);
  CHECK(duration("GET", "_unmatched", "404") == 2);
  CHECK(duration("_OTHER", "_unmatched", "501") == 1);
  CHECK(duration("PUT", "_unmatched", "404") == -1);  // never happened
  CHECK(all.at("http_server_active_requests server=api") == 0);
  CHECK(all.at("spillway_http_connections server=api") == 1);
  CHECK(all.at("spillway_http_connections_accepted_total server=api") == 1);
  CHECK(all.at("spillway_http_abandoned_total server=api outcome=client_gone") == 0);
}

TEST_CASE("http_metrics.durations_are_those_of_the_clock") {
  http_router router;
  manual_clock* clock{nullptr};
  router.get("/slow", [&clock](const http_request&) {
    clock->advance(1500ms);
    return http_response::text("done");
  });
  record_keeper keeper;
  http_server_config config;
  config.access = keeper.sink();
  test_server server{std::move(router), config};
  clock = &server.clock;
  CHECK(server.connect().ask("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"));
  CHECK(keeper.take(1)[0].duration == 1500ms);
  const auto sums = collect(server.server).sums;
  CHECK(sums.at("http_server_request_duration_seconds server=api http_request_method=GET http_route=/slow http_response_status_code=200") ==
        1500ms);
}

TEST_CASE("http_metrics.a_route_with_many_statuses_shares_the_last_histogram") {
  http_router router;
  router.get("/{status}", [](const http_request& r) { return http_response{std::stoi(std::string{r.parameter("status")})}; });
  test_server server{std::move(router)};
  auto client = server.connect();
  for (int status = 400; status < 430; ++status) CHECK(client.ask("GET /" + std::to_string(status) + " HTTP/1.1\r\nHost: a\r\n\r\n"));
  CHECK(eventually([&] { return server.server.stats().requests_answered == 30; }));
  const auto all = collect(server.server).values;
  double sum{0};
  int series{0};
  for (const auto& [key, value] : all) {
    if (!key.starts_with("http_server_request_duration_seconds")) continue;
    sum += value;
    ++series;
    if (key.ends_with("status_code=_OTHER")) CHECK(value == 23);
  }
  CHECK(series == 8);
  CHECK(sum == 30);
}

TEST_CASE("http_metrics.rejections_are_counted_by_reason") {
  http_server_config config;
  config.max_body_bytes = 10;
  test_server server{thing_routes(), config};
  const auto refuse = [&server](const std::string& bytes) { CHECK(server.connect().ask(bytes)); };
  refuse("nonsense\r\n\r\n");
  refuse("GET / HTTP/3.0\r\n\r\n");
  refuse("POST /things HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
  refuse("POST /things HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: zip\r\n\r\n");
  CHECK(eventually([&] { return server.server.stats().requests_rejected == 4; }));
  const auto all = collect(server.server).values;
  const auto rejected = [&all](const std::string& reason) { return all.at("spillway_http_rejected_total server=api reason=" + reason); };
  CHECK(rejected("malformed") == 1);
  CHECK(rejected("version") == 1);
  CHECK(rejected("body_too_large") == 1);
  CHECK(rejected("transfer_coding") == 1);
  CHECK(rejected("head_timeout") == 0);  // initialised, so that a rate can be taken
}

TEST_CASE("http_access_record.says_what_happened") {
  record_keeper keeper;
  http_server_config config;
  config.access = keeper.sink();
  test_server server{thing_routes(), config};
  auto client = server.connect();
  server.clock.advance(1h);
  const auto response =
      client.ask("POST /things?x=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: test/1\r\nX-Request-Id: one\r\nContent-Length: 3\r\n\r\nabc");
  REQUIRE(response);
  const auto first = keeper.take(1)[0];
  CHECK(first.outcome == http_outcome::completed);
  CHECK(first.status == 201);
  CHECK(first.method_name == "POST");
  CHECK(first.route == "/things");
  CHECK(first.target == "/things?x=1");
  CHECK(first.request_id == "one");
  CHECK(first.peer == "127.0.0.1");
  CHECK(first.user_agent == "test/1");
  CHECK(first.reason.empty());
  CHECK(first.request_bytes == 3);
  CHECK(first.response_bytes == response->head.size() + 4 + response->body.size());
  CHECK(first.at == wall_time_point{946'684'800s + 1h});

  CHECK(client.ask("BREW /" + std::string(3000, 'a') + " HTTP/1.1\r\nHost: a\r\nUser-Agent: " + std::string(3000, 'u') + "\r\n\r\n"));
  const auto second = keeper.take(2)[1];
  CHECK(second.route.empty());
  CHECK(second.target.size() == 1024);
  CHECK(second.user_agent.size() == 256);

  CHECK(client.ask("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"));
  const auto third = keeper.take(3)[2];
  CHECK(third.outcome == http_outcome::rejected);
  CHECK(third.reason == "malformed");
  CHECK(third.status == 400);
  CHECK(third.target == "/%zz");
}

TEST_CASE("http_access_record.at_is_right_for_a_request_that_was_cut_off") {
  record_keeper keeper;
  http_server_config config;
  config.access = keeper.sink();
  std::atomic<int> inside{0};
  http_router router;
  router.get("/never", [&inside](http_request&) -> boost::asio::awaitable<http_response> {
    const auto executor = co_await boost::asio::this_coro::executor;
    boost::asio::steady_timer timer{executor, boost::asio::steady_timer::time_point::max()};
    ++inside;
    co_await timer.async_wait(boost::asio::use_awaitable);
    co_return http_response{};
  });
  test_server server{std::move(router), config};
  auto client = server.connect();
  server.clock.advance(1h);
  client.send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(eventually([&] { return inside == 1; }));
  server.clock.advance(10s);
  server.server.stop();
  const auto record = keeper.take(1)[0];
  CHECK(record.outcome == http_outcome::cut_off);
  CHECK(record.at == wall_time_point{946'684'800s + 1h});
  CHECK(record.duration == 10s);
}
