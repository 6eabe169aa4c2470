// SPDX-License-Identifier: Apache-2.0
// Serves three routes until SIGTERM or Ctrl-C, then answers what it has begun and ends. With --once it asks itself one question first.
#include <spillway/core/io_runner.hpp>
#include <spillway/http/http_server.hpp>
#include <spillway/http/shutdown_signal.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>

namespace asio = boost::asio;
using namespace spillway;
using namespace std::chrono_literals;

asio::awaitable<http_response> later(http_request&) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer{executor, 100ms};
  co_await timer.async_wait(asio::use_awaitable);  // the thread answers others meanwhile
  co_return http_response::text("that took a while\n");
}

void ask_once(std::uint16_t port) {
  asio::io_context context;
  asio::ip::tcp::socket socket{context};
  socket.connect({asio::ip::address_v4::loopback(), port});
  asio::write(socket, asio::buffer(std::string_view{"GET /hello/world HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"}));
  std::string answer(1024, ' ');
  answer.resize(socket.read_some(asio::buffer(answer)));
  std::fputs(answer.c_str(), stdout);
}

int main(int argc, char** argv) {
  http_router router;
  router.use(http_middleware::after([](const http_request&, http_response& response) { response.set("Cache-Control", "no-store"); }));
  router.get("/hello/{name}", [](const http_request& r) { return http_response::text("hello " + std::string{r.parameter("name")} + "\n"); });
  router.post("/echo", [](const http_request& r) { return http_response::text(std::string{r.body()}); });
  router.get("/later", later);

  io_runner runner;
  http_server server{http_server_config{}, std::move(router), runner};
  shutdown_signal signal{runner.executor()};
  server.start();
  runner.start();
  const auto port = server.local_endpoint().port;
  std::printf("http://127.0.0.1:%d/hello/you\n", port);
  if (argc > 1 && std::string_view{argv[1]} == "--once") {
    ask_once(port);
    std::raise(SIGTERM);
  }
  (void)signal.wait();
  const auto report = server.drain(deadline::after(system_clock_source().now(), 10s));
  return report.unfinished_count == 0 ? 0 : 1;
}
