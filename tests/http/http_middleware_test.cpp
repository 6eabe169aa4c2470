// SPDX-License-Identifier: Apache-2.0
#include "support/test_server.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <optional>
#include <stdexcept>
#include <string>

using namespace spillway;
using namespace spillway::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

struct trail {
  std::string text;
};

/// Each middleware leaves its letter: before the handler in an attachment, after it in the response's header.
std::optional<http_response> note_before(http_request& request, const char* letter) {
  auto* path = request.attachment<trail>();
  if (path == nullptr) path = &request.attach(trail{});
  path->text += letter;
  return std::nullopt;
}
void note_after(http_response& response, const char* letter) {
  response.set("X-After", std::string{response.header("X-After").value_or("")} + letter);
}

http_middleware before(const char* letter) {
  return http_middleware::before([letter](http_request& request) { return note_before(request, letter); });
}
http_middleware after(const char* letter) {
  return http_middleware::after([letter](const http_request&, http_response& response) { note_after(response, letter); });
}
http_middleware around(const char* letter) {
  return http_middleware::around([letter](http_request& request, const http_next& next) -> asio::awaitable<http_response> {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer{executor, 1ms};
    co_await timer.async_wait(asio::use_awaitable);
    (void)note_before(request, letter);
    auto response = co_await next(request);
    note_after(response, letter);
    co_return response;
  });
}

http_response show_trail(const http_request& request) {
  const auto* path = request.attachment<trail>();
  return http_response::text(path == nullptr ? "" : path->text);
}

raw_response ask(const test_server& server, const std::string& path) {
  auto client = server.connect();
  const auto response = client.ask("GET " + path + " HTTP/1.1\r\nHost: a\r\nX-Request-Id: i\r\n\r\n");
  REQUIRE(response);
  return *response;
}

http_route_options with(std::vector<http_middleware> middleware) {
  http_route_options options;
  options.middleware = std::move(middleware);
  return options;
}

}  // namespace

TEST_CASE("http_middleware.runs_around_the_handler_outermost_first") {
  http_router router;
  router.use(before("a"));
  router.use(after("A"));
  router.get("/plain", show_trail, with({before("b"), after("B")}));
  router.get("/waits", show_trail, with({around("w"), before("c"), around("v"), after("C")}));
  router.get("/coroutine", [](http_request& r) -> asio::awaitable<http_response> { co_return show_trail(r); }, with({before("d"), after("D")}));
  router.use(before("z"));  // of the router, so in front of the route's own
  const test_server server{std::move(router)};
  CHECK(ask(server, "/plain").body == "azb");
  CHECK(ask(server, "/plain").header("X-After") == "BA");
  CHECK(ask(server, "/waits").body == "azwcv");
  CHECK(ask(server, "/waits").header("X-After") == "CvwA");
  CHECK(ask(server, "/coroutine").body == "azd");
  CHECK(ask(server, "/coroutine").header("X-After") == "DA");
}

TEST_CASE("http_middleware.covers_what_no_route_answers") {
  http_router router;
  router.use(after("A"));
  router.use(around("w"));
  router.get("/here", show_trail, with({after("B")}));
  const test_server server{std::move(router)};
  const auto missing = ask(server, "/nowhere");
  CHECK(missing.status == 404);
  CHECK(missing.header("X-After") == "wA");
}

TEST_CASE("http_middleware.that_answers_itself_stops_what_is_further_in") {
  http_router router;
  router.use(after("A"));
  router.use(http_middleware::before([](http_request& request) -> std::optional<http_response> {
    if (request.path() == "/open") return std::nullopt;
    return http_response::problem(request, 401, "Who are you?");
  }));
  router.use(after("B"));
  router.get("/open", show_trail);
  router.get("/closed", show_trail, with({around("w")}));
  const test_server server{std::move(router)};
  CHECK(ask(server, "/open").header("X-After") == "BA");
  const auto closed = ask(server, "/closed");
  CHECK(closed.status == 401);
  CHECK(closed.header("X-After") == "A");
  CHECK(closed.body == R"({"type":"about:blank","title":"Unauthorized","status":401,"detail":"Who are you?","request_id":"i"})");
}

TEST_CASE("http_middleware.that_throws_is_a_500_which_those_further_out_still_see") {
  http_router router;
  router.use(after("A"));
  router.get("/before", show_trail, with({http_middleware::before([](http_request&) -> std::optional<http_response> { throw std::runtime_error("x"); })}));
  router.get("/after", show_trail, with({http_middleware::after([](const http_request&, http_response&) { throw std::runtime_error("x"); })}));
  router.get("/around", show_trail, with({http_middleware::around([](http_request&, const http_next&) -> asio::awaitable<http_response> {
    throw std::runtime_error("x");
    co_return http_response{};
  })}));
  router.get("/handler", [](const http_request&) -> http_response { throw std::runtime_error("x"); }, with({around("w")}));
  const test_server server{std::move(router)};
  for (const std::string path : {"/before", "/after", "/around"}) {
    CAPTURE(path);
    CHECK(ask(server, path).status == 500);
    CHECK(ask(server, path).header("X-After") == "A");
  }
  CHECK(ask(server, "/handler").status == 500);
  CHECK(ask(server, "/handler").header("X-After") == "wA");  // the wrapper saw a response, not an exception
}

TEST_CASE("http_middleware.attachments_end_with_the_request") {
  http_router router;
  router.get("/first", show_trail, with({before("a")}));
  router.get("/second", show_trail);
  const test_server server{std::move(router)};
  auto client = server.connect();
  CHECK(client.ask("GET /first HTTP/1.1\r\nHost: a\r\n\r\n")->body == "a");
  CHECK(client.ask("GET /second HTTP/1.1\r\nHost: a\r\n\r\n")->body.empty());
}
