// SPDX-License-Identifier: Apache-2.0
// What the protocol promises, over real sockets.
#include "support/test_server.hpp"

#include <spillway/core/error.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace spillway;
using namespace spillway::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

http_response echo(const http_request& request) { return http_response::text(std::string{request.body()}); }

http_router basics() {
  http_router router;
  router.get("/hello", [](const http_request&) { return http_response::text("hello"); });
  router.get("/hello/{name}", [](const http_request& r) { return http_response::text("hello " + std::string{r.parameter("name")}); });
  router.post("/echo", echo);
  router.get("/empty", [](const http_request&) { return http_response{204}; });
  router.get("/unchanged", [](const http_request&) { return http_response::text("not sent", 304); });
  router.get("/large", [body = std::make_shared<const std::string>(3'000'000, 'L')](const http_request&) {
    return http_response::shared("text/plain", body);
  });
  router.get("/later", [](http_request& request) -> asio::awaitable<http_response> {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer{executor, 1ms};
    co_await timer.async_wait(asio::use_awaitable);
    co_return http_response::text("later " + std::string{request.query("n").value_or("")});
  });
  return router;
}

}  // namespace

TEST_CASE("http_server.answers_a_request") {
  test_server server{basics()};
  auto client = server.connect();
  const auto response = client.ask("GET /hello/w%C3%B6rld HTTP/1.1\r\nHost: localhost\r\n\r\n");
  REQUIRE(response);
  CHECK(response->head.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(response->body == "hello w\xC3\xB6rld");
  CHECK(response->header("Content-Type") == "text/plain; charset=utf-8");
  CHECK(response->header("Date") == "Sat, 01 Jan 2000 00:00:00 GMT");
  CHECK(response->header("X-Request-Id").size() == 32);
  CHECK(response->header("Connection").empty());
}

TEST_CASE("http_server.the_date_follows_the_clock") {
  test_server server{basics()};
  auto client = server.connect();
  const std::string request{"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"};
  CHECK(client.ask(request)->header("Date") == "Sat, 01 Jan 2000 00:00:00 GMT");
  server.clock.advance(999ms);
  CHECK(client.ask(request)->header("Date") == "Sat, 01 Jan 2000 00:00:00 GMT");
  server.clock.advance(1ms);
  CHECK(client.ask(request)->header("Date") == "Sat, 01 Jan 2000 00:00:01 GMT");
  server.clock.advance(9s);
  CHECK(client.ask(request)->header("Date") == "Sat, 01 Jan 2000 00:00:10 GMT");
}

TEST_CASE("http_server.keeps_the_connection_open_as_the_client_wishes") {
  struct row {
    std::string request_end;
    bool stays;
    std::string told;
  };
  const std::vector<row> table{
      {" HTTP/1.1\r\nHost: a\r\n\r\n", true, ""},
      {" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false, "close"},
      {" HTTP/1.1\r\nHost: a\r\nConnection: TE, CLOSE\r\n\r\n", false, "close"},
      {" HTTP/1.0\r\n\r\n", false, "close"},
      {" HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, "keep-alive"},
  };
  test_server server{basics()};
  for (const auto& row : table) {
    CAPTURE(row.request_end);
    auto client = server.connect();
    const auto response = client.ask("GET /hello" + row.request_end);
    REQUIRE(response);
    CHECK(response->body == "hello");
    CHECK(response->header("Connection") == row.told);
    if (row.stays) {
      CHECK(client.ask("GET /hello" + row.request_end));
    } else {
      CHECK(client.closes_silently());
    }
  }
}

TEST_CASE("http_server.pipelined_requests_are_answered_in_order") {
  http_server_config config;
  config.max_pipelined = 4;  // several batches
  test_server server{basics(), config};
  auto client = server.connect();
  std::string all;
  for (int i = 0; i < 50; ++i) {
    const auto n = std::to_string(i);
    if (i % 7 == 3) {
      all += "GET /later?n=" + n + " HTTP/1.1\r\nHost: a\r\n\r\n";
    } else if (i % 7 == 5) {
      all += "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(n.size()) + "\r\n\r\n" + n;
    } else {
      all += "GET /hello/" + n + " HTTP/1.1\r\nHost: a\r\n\r\n";
    }
  }
  client.send(all);
  for (int i = 0; i < 50; ++i) {
    const auto response = client.read();
    REQUIRE(response);
    const auto n = std::to_string(i);
    CHECK(response->body == (i % 7 == 3 ? "later " + n : i % 7 == 5 ? n : "hello " + n));
  }
}

TEST_CASE("http_server.an_early_answer_does_not_wait_for_a_slow_one_behind_it") {
  auto router = basics();
  std::atomic<bool> go{false};
  router.get("/gate", [&go](http_request&) -> asio::awaitable<http_response> {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer{executor};
    while (!go) {
      timer.expires_after(1ms);
      co_await timer.async_wait(asio::use_awaitable);
    }
    co_return http_response::text("opened");
  });
  test_server server{std::move(router)};
  auto client = server.connect();
  client.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /gate HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(client.read()->body == "hello");  // the gate is still shut
  go = true;
  CHECK(client.read()->body == "opened");
}

TEST_CASE("http_server.requests_cut_into_single_bytes_are_understood") {
  test_server server{basics()};
  auto client = server.connect();
  const std::string request{
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4;x=\"y\"\r\nbyte\r\n3\r\nwis\r\n1\r\ne\r\n0\r\nTrailer: t\r\n\r\n"
      "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"};
  for (const char c : request) REQUIRE(client.send({&c, 1}));
  CHECK(client.read()->body == "bytewise");
  CHECK(client.read()->body == "hello");
}

TEST_CASE("http_server.takes_bodies_of_both_kinds_and_all_sizes") {
  http_server_config config;
  config.max_body_bytes = 10'000'000;
  test_server server{basics(), config};
  auto client = server.connect();
  for (const std::size_t size : {0U, 1U, 100U, 4'000U, 20'000U, 1'000'000U}) {
    CAPTURE(size);
    std::string body(size, ' ');
    for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<char>('a' + i % 26);
    const auto told = client.ask("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" + body);
    REQUIRE(told);
    CHECK(told->body == body);
    std::string chunks;
    for (std::size_t at = 0; at < size; at += 3'333) {
      const auto piece = body.substr(at, 3'333);
      char length[16];
      std::snprintf(length, sizeof length, "%zX\r\n", piece.size());
      chunks += length + piece + "\r\n";
    }
    const auto chunked = client.ask("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n" + chunks + "0\r\n\r\n");
    REQUIRE(chunked);
    CHECK(chunked->body == body);
  }
  CHECK(client.ask("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")->body == "hello");
}

TEST_CASE("http_server.leaves_the_body_out_where_there_must_be_none") {
  test_server server{basics()};
  auto client = server.connect();
  client.send("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /empty HTTP/1.1\r\nHost: a\r\n\r\nGET /unchanged HTTP/1.1\r\nHost: a\r\n\r\n"
              "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto head = client.read(true);
  CHECK(head->status == 200);
  CHECK(head->header("Content-Length") == "5");
  CHECK(client.read()->head.starts_with("HTTP/1.1 204 No Content\r\n"));
  const auto unchanged = client.read();
  CHECK(unchanged->status == 304);
  CHECK(unchanged->header("Content-Length").empty());
  CHECK(client.read()->body == "hello");
  CHECK(client.unread().empty());
}

TEST_CASE("http_server.sends_large_bodies_to_slow_readers") {
  test_server server{basics()};
  raw_client client{server.port(), 4096};
  client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(client.read()->body == std::string(3'000'000, 'L'));
  CHECK(client.read()->body == "hello");
}

TEST_CASE("http_server.understands_every_form_of_target") {
  http_router router;
  router.get("/where", [](const http_request& r) {
    return http_response::text(std::string{r.host()} + "|" + std::string{r.path()} + "|" + std::string{r.query("q").value_or("none")});
  });
  router.get("/", [](const http_request& r) { return http_response::text("root of " + std::string{r.host()}); });
  test_server server{std::move(router)};
  auto client = server.connect();
  const auto ask = [&client](const std::string& line) { return client.ask(line + " HTTP/1.1\r\nHost: from.header\r\n\r\n"); };
  CHECK(ask("GET /where")->body == "from.header|/where|none");
  CHECK(ask("GET /where?q=a+b%26c&q=2")->body == "from.header|/where|a b&c");
  CHECK(ask("GET /where?x=1&&q")->body == "from.header|/where|");
  CHECK(ask("GET http://from.target:8080/where?q=1")->body == "from.target:8080|/where|1");
  CHECK(ask("GET HTTP://from.target")->body == "root of from.target");
  CHECK(ask("GET http://from.target?q=1")->body == "root of from.target");
  const auto options = ask("OPTIONS *");
  CHECK(options->status == 204);
  CHECK(options->header("Allow") == "GET, HEAD, OPTIONS");
}

TEST_CASE("http_server.answers_what_no_route_does") {
  test_server server{basics()};
  auto client = server.connect();
  const auto ask = [&client](const std::string& line) { return client.ask(line + " HTTP/1.1\r\nHost: a\r\nX-Request-Id: id-1\r\n\r\n"); };
  const auto missing = ask("GET /nowhere");
  CHECK(missing->status == 404);
  CHECK(missing->header("Content-Type") == "application/problem+json");
  CHECK(missing->body == R"({"type":"about:blank","title":"Not Found","status":404,"detail":"There is nothing at this path.","request_id":"id-1"})");
  const auto wrong = ask("DELETE /hello");
  CHECK(wrong->status == 405);
  CHECK(wrong->header("Allow") == "GET, HEAD, OPTIONS");
  const auto options = ask("OPTIONS /echo");
  CHECK(options->status == 204);
  CHECK(options->header("Allow") == "POST, OPTIONS");
  CHECK(ask("BREW /hello")->status == 501);
  CHECK(ask("TRACE /hello")->status == 405);
  CHECK(ask("GET /hello")->status == 200);  // all on one connection
}

TEST_CASE("http_server.takes_a_sane_request_id_and_replaces_any_other") {
  test_server server{basics()};
  auto client = server.connect();
  const auto id_for = [&client](const std::string& header) {
    return client.ask("GET /hello HTTP/1.1\r\nHost: a\r\n" + header + "\r\n")->header("X-Request-Id");
  };
  CHECK(id_for("X-Request-Id: abc-123_~.+/=:@\r\n") == "abc-123_~.+/=:@");
  CHECK(id_for("x-request-ID: " + std::string(64, 'a') + "\r\n") == std::string(64, 'a'));
  CHECK(id_for("X-Request-Id: first\r\nX-Request-Id: second\r\n") == "first");
  for (const auto& bad : {std::string{""}, std::string(65, 'a'), std::string{"a b"}, std::string{"a\"b"}, std::string{"\xC3\xA4"}}) {
    const auto made = id_for("X-Request-Id: " + bad + "\r\n");
    CHECK(made.size() == 32);
    CHECK(made != bad);
  }
  CHECK(id_for("") != id_for(""));
}

TEST_CASE("http_server.a_handler_that_throws_is_a_500_and_nothing_else_suffers") {
  std::atomic<int> reported{0};
  http_server_config config;
  config.log = [&reported](const log_event& event) {
    if (event.level == log_level::error && event.fields.size() == 3) ++reported;
  };
  auto router = basics();
  router.get("/throws", [](const http_request&) -> http_response { throw std::runtime_error("secret"); });
  router.get("/throws_int", [](const http_request&) -> http_response { throw 7; });
  router.get("/throws_later", [](http_request&) -> asio::awaitable<http_response> {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer{executor, 1ms};
    co_await timer.async_wait(asio::use_awaitable);
    throw std::runtime_error("secret");
  });
  router.get("/busy", [](const http_request&) -> http_response {
    throw boost::system::system_error{boost::system::errc::make_error_code(boost::system::errc::io_error)};
  });
  router.get("/no_parameter", [](const http_request& r) { return http_response::text(std::string{r.parameter("id")}); });
  test_server server{std::move(router), config};
  auto client = server.connect();
  for (const std::string path : {"/throws", "/throws_int", "/throws_later", "/busy", "/no_parameter"}) {
    CAPTURE(path);
    const auto response = client.ask("GET " + path + " HTTP/1.1\r\nHost: a\r\nX-Request-Id: i\r\n\r\n");
    REQUIRE(response);
    CHECK(response->body == R"({"type":"about:blank","title":"Internal Server Error","status":500,"request_id":"i"})");
  }
  CHECK(reported.load() == 5);
  CHECK(client.ask("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")->body == "hello");
}

TEST_CASE("http_server.a_handler_that_throws_overload_or_time_out_is_a_503_or_504") {
  static constexpr error_entry entries[]{{1, "full", errc::overloaded}, {2, "late", errc::timed_out}, {3, "gone", errc::not_found}};
  static const auto& category = make_error_category("spillway.http_test_throws", 0x7350'696c'ffff'0002u, entries);
  http_router router;
  router.get("/{code}", [](const http_request& r) -> http_response {
    throw boost::system::system_error{boost::system::error_code{std::stoi(std::string{r.parameter("code")}), category}};
  });
  test_server server{std::move(router)};
  auto client = server.connect();
  const auto ask = [&client](const std::string& path) { return client.ask("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n"); };
  const auto full = ask("/1");
  CHECK(full->status == 503);
  CHECK(full->header("Retry-After") == "1");
  CHECK(ask("/2")->status == 504);
  CHECK(ask("/3")->status == 500);  // a defect of the handler, not an answer to the client
}

TEST_CASE("http_server.runs_on_a_callers_executor") {
  asio::thread_pool pool{2};
  http_server_config config;
  config.strands = 3;
  http_server server{config, basics(), pool.get_executor()};
  server.start();
  std::vector<std::thread> threads;
  std::atomic<int> answered{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      raw_client client{server.local_endpoint().port};
      for (int i = 0; i < 50; ++i) {
        if (client.ask("GET /later?n=1 HTTP/1.1\r\nHost: a\r\n\r\n")->body == "later 1") ++answered;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(answered.load() == 200);
  CHECK(server.drain(deadline::after(system_clock_source().now(), 10s)).unfinished_count == 0);
  server.stop();
  pool.join();
}

TEST_CASE("http_server.runs_on_a_runner_whose_threads_share_a_context") {
  test_server server{basics(), {}, 2, runner_shape::shared_context};
  auto client = server.connect();
  for (int i = 0; i < 20; ++i) REQUIRE(client.ask("GET /later HTTP/1.1\r\nHost: a\r\n\r\n"));
}

TEST_CASE("http_server.many_clients_on_several_threads_get_their_own_answers") {
  test_server server{basics(), {}, 2};
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 10; ++round) {
        auto client = server.connect();
        for (int i = 0; i < 25; ++i) {
          const auto name = std::to_string(t) + "-" + std::to_string(i);
          const auto response = client.ask("GET /hello/" + name + " HTTP/1.1\r\nHost: a\r\n\r\n");
          if (!response || response->body != "hello " + name) ++wrong;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong.load() == 0);
  CHECK(eventually([&] { return server.server.stats().connections_open == 0; }));
  CHECK(server.server.stats().requests_answered == 2'000);
  CHECK(server.server.stats().connections_accepted == 80);
  CHECK(server.server.stats().requests_active == 0);
}

TEST_CASE("http_server.listens_on_ipv6") {
  http_server_config config;
  config.address = "::";
  auto router = basics();
  router.get("/peer", [](const http_request& r) { return http_response::text(std::string{r.peer()}); });
  test_server server{std::move(router), config};
  CHECK(server.server.local_endpoint().address == "::");
  CHECK(server.connect().ask("GET /peer HTTP/1.1\r\nHost: a\r\n\r\n")->body == "127.0.0.1");  // and on IPv4 with it
}

TEST_CASE("http_server.an_address_it_cannot_listen_on_is_an_error") {
  std::optional<test_server> first{std::in_place, basics()};
  http_server_config config;
  config.port = first->port();
  io_runner runner{runner_with(1)};
  http_server second{config, basics(), runner};
  CHECK_THROWS_AS(second.start(), boost::system::system_error);
  config.address = "not an address";
  http_server third{config, basics(), runner};
  CHECK_THROWS_AS(third.start(), boost::system::system_error);
  first.reset();
  second.start();  // what was in the way is gone
  runner.start();
  CHECK(raw_client{config.port}.ask("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")->body == "hello");
}

TEST_CASE("http_server.stopped_while_it_starts_it_is_stopped") {
  io_runner runner{runner_with(1)};
  runner.start();
  for (int round = 0; round < 200; ++round) {
    http_server server{{}, basics(), runner};
    std::atomic<bool> go{false};
    bool started{false};
    std::thread starter{[&] {
      while (!go) {
      }
      try {
        server.start();
        started = true;
      } catch (const std::logic_error&) {
        // It was stopped before.
      }
    }};
    go = true;
    // At another moment of the start in each round.
    const auto moment = std::chrono::steady_clock::now() + std::chrono::microseconds{round};
    while (std::chrono::steady_clock::now() < moment) {
    }
    server.stop();
    starter.join();
    if (!started) continue;
    const auto port = server.local_endpoint().port;
    REQUIRE(eventually([port] {
      try {
        const raw_client refused{port};
        return false;
      } catch (const std::runtime_error&) {
        return true;
      }
    }));
  }
}

TEST_CASE("http_server.a_bad_configuration_names_the_field") {
  io_runner runner{runner_with(1)};
  const auto refused = [&runner](const http_server_config& config, const char* message) {
    CHECK_THROWS_WITH_AS((http_server{config, http_router{}, runner}), message, std::invalid_argument);
  };
  http_server_config config;
  config.max_head_bytes = 255;
  refused(config, "http_server_config.max_head_bytes is 255; it must be in [256, 1048576]");
  config = {};
  config.idle_timeout = 0ms;
  refused(config, "http_server_config.idle_timeout is 0 ms; it must be in [1 ms, 86400000 ms]");
  config = {};
  config.backlog = 0;
  refused(config, "http_server_config.backlog is 0; it must be in [1, 65535]");
  config = {};
  config.strands = 1025;
  refused(config, "http_server_config.strands is 1025; it must be in [0, 1024]");
}

TEST_CASE("http_server.is_destroyed_at_any_stage") {
  {
    io_runner runner{runner_with(1)};
    const http_server never_started{{}, basics(), runner};
  }
  {
    io_runner runner{runner_with(1)};
    http_server never_run{{}, basics(), runner};
    never_run.start();
  }
  {
    test_server busy{basics()};
    auto client = busy.connect();
    client.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /hel");
  }
  test_server stopped{basics()};
  auto client = stopped.connect();
  CHECK(client.ask("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
  stopped.server.stop();
  stopped.server.stop();
  CHECK(client.closes_silently());
  CHECK_THROWS_AS(stopped.server.start(), std::logic_error);
}
