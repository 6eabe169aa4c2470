// SPDX-License-Identifier: Apache-2.0
// The code of docs/guide/http.md, compiled and run.
#include "support/raw_client.hpp"

#include <spillway/core/io_runner.hpp>
#include <spillway/http/http_server.hpp>
#include <spillway/http/shutdown_signal.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <csignal>
#include <optional>
#include <string>

using namespace spillway;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

struct project_store {
  std::optional<std::string> find(std::string_view id) { return id == "7" ? std::optional<std::string>{R"({"id":7})"} : std::nullopt; }
};

struct user {
  std::string name;
};

std::optional<user> user_of(std::string_view token) {
  return token == "Bearer t" ? std::optional<user>{user{"ann"}} : std::nullopt;
}

// [handler]
http_response show_project(project_store& store, const http_request& request) {
  const auto found = store.find(request.parameter("id"));
  if (!found) return http_response::problem(request, 404, "there is no such project");
  return http_response::json(*found).set("Cache-Control", "no-store");
}
// [handler]

// [coroutine]
asio::awaitable<unsigned> sum_of(std::string_view text) {
  unsigned sum{0};
  for (const char c : text) sum = sum * 31 + static_cast<unsigned char>(c);
  co_return sum;
}

asio::awaitable<http_response> checksum(asio::thread_pool& workers, http_request& request) {
  auto work = sum_of(request.body());  // the view is good until this coroutine returns
  const auto sum = co_await asio::co_spawn(workers, std::move(work), asio::use_awaitable);  // long work runs elsewhere
  co_return http_response::text(std::to_string(sum));
}
// [coroutine]

// [middleware]
http_middleware authenticated() {
  return http_middleware::before([](http_request& request) -> std::optional<http_response> {
    const auto found = user_of(request.header("Authorization").value_or(""));
    if (!found) return http_response::problem(request, 401).set("WWW-Authenticate", "Bearer");
    request.attach(*found);  // the handler asks request.attachment<user>()
    return std::nullopt;
  });
}
// [middleware]

http_router make_router(project_store& store, asio::thread_pool& workers) {
  // [router]
  http_router router;
  router.use(http_middleware::after([](const http_request&, http_response& response) { response.set("X-Frame-Options", "DENY"); }));
  router.get("/v1/projects/{id}", [&store](const http_request& request) { return show_project(store, request); });
  router.get("/files/{path*}", [](const http_request& request) { return http_response::text(std::string{request.parameter("path")}); });

  http_route_options upload;
  upload.middleware = {authenticated()};
  upload.max_body_bytes = 64 * 1024 * 1024;
  router.post("/v1/checksum", [&workers](http_request& request) { return checksum(workers, request); }, upload);
  // [router]
  return router;
}

}  // namespace

TEST_CASE("guide.http_serves_and_drains") {
  project_store store;
  asio::thread_pool workers{1};
  auto router = make_router(store, workers);
  std::atomic<int> slow{0};
  std::string named;

  // [server]
  http_server_config config;
  config.port = 0;  // a free one
  config.max_connections = 5'000;
  config.access = [&slow](const http_access_record& record) {
    if (record.duration > 500ms) ++slow;
  };

  io_runner runner;
  http_server server{config, std::move(router), runner};
  shutdown_signal signal{runner.executor()};
  server.start();
  runner.start();
  const auto port = server.local_endpoint().port;
  // [server]

  using spillway::testing::raw_client;
  CHECK(raw_client{port}.ask("GET /v1/projects/7 HTTP/1.1\r\nHost: a\r\n\r\n")->body == R"({"id":7})");
  CHECK(raw_client{port}.ask("GET /v1/projects/8 HTTP/1.1\r\nHost: a\r\n\r\n")->status == 404);
  CHECK(raw_client{port}.ask("GET /files/a/b HTTP/1.1\r\nHost: a\r\n\r\n")->header("X-Frame-Options") == "DENY");
  CHECK(raw_client{port}.ask("POST /v1/checksum HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")->status == 401);
  CHECK(raw_client{port}.ask("POST /v1/checksum HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t\r\nContent-Length: 2\r\n\r\nab")->body == "3105");
  ::raise(SIGTERM);

  // [drain]
  (void)signal.wait();  // and turn readiness off, wait until the balancer has seen it
  const auto report = server.drain(deadline::after(system_clock_source().now(), 20s));
  for (const auto& late : report.unfinished) named += late.method + ' ' + late.route + " after " + std::to_string(late.age.count()) + " ms\n";
  // [drain]
  CHECK(named.empty());
  CHECK(report.unfinished_count == 0);
  workers.join();
}
