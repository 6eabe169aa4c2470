// SPDX-License-Identifier: Apache-2.0
// Every limit and the status that goes with it.
#include "support/requests.hpp"
#include "support/test_server.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

using namespace spillway;
using namespace spillway::testing;
using namespace std::chrono_literals;

namespace {

http_router limited_routes() {
  http_router router;
  router.get("/", [](const http_request&) { return http_response::text("root"); });
  router.post("/echo", [](const http_request& r) { return http_response::text(std::string{r.body()}); });
  http_route_options large;
  large.max_body_bytes = 5'000;
  router.post("/large", [](const http_request& r) { return http_response::text(std::to_string(r.body().size())); }, large);
  return router;
}

/// The server ends the connection after this answer, and says so.
void check_refused(raw_client& client, int status, const std::string& request) {
  const auto response = client.ask(request);
  REQUIRE(response);
  CHECK(response->status == status);
  CHECK(response->header("Connection") == "close");
  CHECK(response->header("Content-Type") == "application/problem+json");
  CHECK(response->body.find(response->header("X-Request-Id")) != std::string::npos);
  client.finish_sending();
  CHECK(client.closes_silently());
}

}  // namespace

TEST_CASE("http_limits.a_target_that_is_too_long_is_a_414") {
  http_server_config config;
  config.max_target_bytes = 100;
  test_server server{limited_routes(), config};
  auto fits = server.connect();
  CHECK(fits.ask("GET /?" + std::string(98, 'q') + " HTTP/1.1\r\nHost: a\r\n\r\n")->status == 200);
  auto over = server.connect();
  check_refused(over, 414, "GET /?" + std::string(99, 'q') + " HTTP/1.1\r\nHost: a\r\n\r\n");
  auto endless = server.connect();
  check_refused(endless, 414, "GET /" + std::string(500, 'q'));  // answered without waiting for the line's end
}

TEST_CASE("http_limits.a_head_that_is_too_large_is_a_431") {
  http_server_config config;
  config.max_head_bytes = 512;
  config.max_headers = 10;
  test_server server{limited_routes(), config};
  const auto padded = [](std::size_t total) {
    std::string head{"GET / HTTP/1.1\r\nHost: a\r\nX: "};
    return head + std::string(total - head.size() - 4, 'x') + "\r\n\r\n";
  };
  auto fits = server.connect();
  CHECK(fits.ask(padded(512))->status == 200);
  auto over = server.connect();
  check_refused(over, 431, padded(513));
  auto endless = server.connect();
  check_refused(endless, 431, "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(600, 'x'));
  std::string ten{"GET / HTTP/1.1\r\nHost: a\r\n"};
  for (int i = 0; i < 9; ++i) ten += "X: y\r\n";
  CHECK(fits.ask(ten + "\r\n")->status == 200);
  auto many = server.connect();
  check_refused(many, 431, ten + "X: y\r\n\r\n");
}

TEST_CASE("http_limits.a_body_that_is_too_large_is_a_413") {
  http_server_config config;
  config.max_body_bytes = 1'000;
  test_server server{limited_routes(), config};
  auto fits = server.connect();
  CHECK(fits.ask("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" + std::string(1'000, 'b'))->status == 200);
  auto told = server.connect();
  check_refused(told, 413, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");  // not one byte of it was sent
  auto chunk = server.connect();
  check_refused(chunk, 413, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n");
  auto chunks = server.connect();
  check_refused(chunks, 413,
                "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + std::string(1'000, 'b') + "\r\n1\r\nb\r\n");
  CHECK(fits.ask("POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + std::string(5'000, 'b'))->body == "5000");
  auto over_route = server.connect();
  check_refused(over_route, 413, "POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 5001\r\n\r\n");
}

TEST_CASE("http_limits.a_refusal_reaches_a_client_that_is_still_sending") {
  http_server_config config;
  config.max_body_bytes = 1'000;
  test_server server{limited_routes(), config};
  auto client = server.connect();
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
  client.send(std::string(500'000, 'b'));
  CHECK(client.read()->status == 413);
}

TEST_CASE("http_limits.expectations_are_met_or_refused") {
  http_server_config config;
  config.max_body_bytes = 1'000;
  test_server server{limited_routes(), config};
  auto client = server.connect();
  const auto ask = [](const std::string& path, const std::string& length, const std::string& expect) {
    return "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + length + "\r\nExpect: " + expect + "\r\n\r\n";
  };
  const auto leave = client.ask(ask("/echo", "5", "100-Continue"));
  CHECK(leave->head == "HTTP/1.1 100 Continue");
  CHECK(client.ask("hello")->body == "hello");
  CHECK(client.ask(ask("/echo", "5", "100-continue") + "hello")->body == "hello");  // did not wait for leave, so needs none

  auto too_large = server.connect();
  check_refused(too_large, 413, ask("/echo", "1001", "100-continue"));
  auto other = server.connect();
  check_refused(other, 417, ask("/echo", "5", "the-unexpected"));
  auto nowhere = server.connect();
  check_refused(nowhere, 404, ask("/nowhere", "5", "100-continue"));  // the body is not asked for
}

TEST_CASE("http_limits.a_connection_too_many_is_a_503") {
  std::atomic<int> refused{0};
  http_server_config config;
  config.max_connections = 2;
  config.retry_after = 7s;
  config.access = [&refused](const http_access_record& record) {
    if (record.outcome == http_outcome::rejected && record.reason == "connections" && record.status == 503) ++refused;
  };
  test_server server{limited_routes(), config};
  auto first = server.connect();
  auto second = server.connect();
  CHECK(first.ask(get_root)->status == 200);
  CHECK(second.ask(get_root)->status == 200);
  auto third = server.connect();
  const auto response = third.ask(get_root);
  REQUIRE(response);
  CHECK(response->status == 503);
  CHECK(response->header("Retry-After") == "7");
  CHECK(response->header("Connection") == "close");
  third.finish_sending();
  CHECK(third.closes_silently());
  CHECK(refused.load() == 1);
  { const auto gone = std::move(first); }
  CHECK(eventually([&] { return server.server.stats().connections_open == 1; }));
  CHECK(server.connect().ask(get_root)->status == 200);
}

TEST_CASE("http_limits.a_connection_ends_after_its_last_request") {
  http_server_config config;
  config.max_requests_per_connection = 3;
  test_server server{limited_routes(), config};
  auto client = server.connect();
  client.send(get_root + get_root + get_root + get_root);
  CHECK(client.read()->header("Connection").empty());
  CHECK(client.read()->header("Connection").empty());
  CHECK(client.read()->header("Connection") == "close");
  client.finish_sending();
  CHECK(client.closes_silently());  // the fourth is not answered
}

TEST_CASE("http_limits.a_head_that_takes_too_long_is_a_408") {
  http_server_config config;
  config.head_timeout = 10s;
  test_server server{limited_routes(), config};
  auto client = server.connect();
  client.send(get_root + "GET / HTTP/1.1\r\nHost:");  // the answer to the first proves that the second was begun
  CHECK(client.read()->status == 200);
  CHECK(eventually([&] { return server.server.stats().requests_answered == 1; }));  // and the time has been looked at
  server.clock.advance(9999ms);
  CHECK_FALSE(client.closed_within_ms(50));
  client.send(" still");  // more bytes do not buy more time
  server.clock.advance(1ms);
  const auto response = client.read();
  REQUIRE(response);
  CHECK(response->status == 408);
  CHECK(response->header("Connection") == "close");
}

TEST_CASE("http_limits.a_body_that_takes_too_long_is_a_408") {
  http_server_config config;
  config.body_timeout = 10s;
  test_server server{limited_routes(), config};
  auto client = server.connect();
  client.send(get_root + "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell");
  CHECK(client.read()->status == 200);
  CHECK(eventually([&] { return server.server.stats().requests_answered == 1; }));  // and the time has been looked at
  server.clock.advance(9999ms);
  CHECK_FALSE(client.closed_within_ms(50));
  server.clock.advance(1ms);
  CHECK(client.read()->status == 408);
}

TEST_CASE("http_limits.a_connection_that_is_silent_for_too_long_is_closed_without_a_word") {
  http_server_config config;
  config.idle_timeout = 60s;
  config.head_timeout = 10s;
  test_server server{limited_routes(), config};
  auto fresh = server.connect();
  auto used = server.connect();
  CHECK(used.ask(get_root)->status == 200);  // so the other, accepted before, is known too
  CHECK(eventually([&] { return server.server.stats().requests_answered == 1; }));
  server.clock.advance(10s);
  CHECK(fresh.closes_silently());
  CHECK_FALSE(used.closed_within_ms(50));
  server.clock.advance(50s);
  CHECK(used.closes_silently());
}

TEST_CASE("http_limits.a_client_that_does_not_take_its_response_is_cut_off") {
  http_server_config config;
  config.write_timeout = 10s;
  std::atomic<int> gone{0};
  config.access = [&gone](const http_access_record& record) {
    if (record.outcome == http_outcome::client_gone && record.status == 200 && record.route == "/endless") ++gone;
  };
  http_router router;
  router.get("/endless", [body = std::make_shared<const std::string>(64'000'000, 'e')](const http_request&) {
    return http_response::shared("text/plain", body);
  });
  test_server server{std::move(router), config};
  raw_client client{server.port(), 4096};
  client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(eventually([&] { return server.server.stats().requests_active == 1; }));
  CHECK(eventually([&] {
    server.clock.advance(1s);
    return server.server.stats().connections_open == 0;
  }));
  CHECK(gone.load() == 1);
  CHECK_FALSE(client.read().has_value());  // cut in the middle
}

TEST_CASE("http_limits.clients_that_leave_in_the_middle_leave_nothing_behind") {
  test_server server{limited_routes(), {}, 2};
  const std::vector<std::string> halves{"", "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n",
                                        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhell",
                                        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", get_root, get_root + get_root};
  for (int round = 0; round < 20; ++round) {
    for (const auto& half : halves) {
      auto polite = server.connect();
      polite.send(half);
      auto rude = server.connect();
      rude.send(half);
      rude.reset();
    }
  }
  CHECK(eventually([&] { return server.server.stats().connections_open == 0; }));
  CHECK(server.connect().ask(get_root)->status == 200);
}
