// SPDX-License-Identifier: Apache-2.0
#include "support/requests.hpp"
#include "support/test_server.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace spillway;
using namespace spillway::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

/// A handler that waits until it is let go, and notes if it is cancelled.
struct gate {
  std::atomic<bool> open{false};
  std::atomic<int> inside{0};
  std::atomic<int> cancelled{0};

  asio::awaitable<http_response> pass(http_request&) {
    ++inside;
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer{executor};
    while (!open) {
      timer.expires_after(1ms);
      try {
        co_await timer.async_wait(asio::use_awaitable);
      } catch (const boost::system::system_error&) {
        ++cancelled;
        throw;
      }
    }
    co_return http_response::text("passed");
  }
};

http_router with_gate(gate& at) {
  http_router router;
  router.get("/", [](const http_request&) { return http_response::text("root"); });
  router.get("/gate/{n}", [&at](http_request& request) { return at.pass(request); });
  return router;
}

std::future<http_drain_report> begin_drain(test_server& server, std::chrono::nanoseconds timeout) {
  return server.server.async_drain(deadline::after(server.clock.now(), timeout), asio::use_future);
}

bool refuses_connections(const test_server& server) {
  try {
    (void)server.connect();
    return false;
  } catch (const std::runtime_error&) {
    return true;
  }
}

}  // namespace

TEST_CASE("http_drain.requests_in_flight_are_finished_and_told_that_the_connection_ends") {
  gate at;
  test_server server{with_gate(at), {}, 2};
  std::vector<raw_client> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(server.connect());
    clients.back().send("GET /gate/" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  CHECK(eventually([&] { return at.inside == 8; }));
  CHECK(server.server.stats().requests_active == 8);
  auto drained = begin_drain(server, 1h);
  CHECK(eventually([&] { return refuses_connections(server); }));
  CHECK(drained.wait_for(0s) == std::future_status::timeout);
  at.open = true;
  for (auto& client : clients) {
    const auto response = client.read();
    REQUIRE(response);
    CHECK(response->body == "passed");
    CHECK(response->header("Connection") == "close");
    client.finish_sending();
    CHECK(client.closes_silently());
  }
  const auto report = drained.get();
  CHECK(report.answered == 8);
  CHECK(report.unfinished_count == 0);
}

TEST_CASE("http_drain.what_is_not_finished_at_the_deadline_is_named_and_cut_off") {
  gate at;
  http_server_config config;
  std::atomic<int> cut{0};
  config.access = [&cut](const http_access_record& record) {
    if (record.outcome == http_outcome::cut_off && record.status == 0 && record.route == "/gate/{n}") ++cut;
  };
  test_server server{with_gate(at), config};
  auto client = server.connect();
  client.send("GET /gate/7 HTTP/1.1\r\nHost: a\r\nX-Request-Id: the-slow-one\r\n\r\n");
  CHECK(eventually([&] { return at.inside == 1; }));
  auto drained = begin_drain(server, 5s);
  server.clock.advance(4999ms);
  CHECK(drained.wait_for(30ms) == std::future_status::timeout);
  server.clock.advance(1ms);
  const auto report = drained.get();
  REQUIRE(report.unfinished_count == 1);
  REQUIRE(report.unfinished.size() == 1);
  CHECK(report.unfinished[0].method == "GET");
  CHECK(report.unfinished[0].route == "/gate/{n}");
  CHECK(report.unfinished[0].request_id == "the-slow-one");
  CHECK(report.unfinished[0].peer == "127.0.0.1");
  CHECK(report.unfinished[0].age == 5s);
  CHECK(client.closes_silently());
  CHECK(eventually([&] { return at.cancelled == 1 && cut == 1; }));
  CHECK(server.server.stats().requests_active == 0);
}

TEST_CASE("http_drain.idle_connections_are_closed_at_once") {
  gate at;
  http_server_config config;
  config.drain_grace = 250ms;
  test_server server{with_gate(at), config};
  auto idle = server.connect();
  CHECK(idle.ask(get_root)->status == 200);
  CHECK(server.connect().ask(get_root));  // the idle one has been flushed by now
  server.clock.advance(1s);
  auto drained = begin_drain(server, 1h);
  CHECK(idle.closes_silently());
  CHECK(drained.get().unfinished_count == 0);
}

TEST_CASE("http_drain.a_connection_in_full_swing_gets_one_more_request_answered") {
  gate at;
  http_server_config config;
  config.drain_grace = 250ms;
  test_server server{with_gate(at), config};
  auto client = server.connect();
  CHECK(client.ask(get_root)->status == 200);
  CHECK(eventually([&] { return server.server.stats().requests_answered == 1; }));
  auto drained = begin_drain(server, 1h);
  CHECK(eventually([&] { return refuses_connections(server); }));
  const auto last = client.ask(get_root);
  REQUIRE(last);
  CHECK(last->header("Connection") == "close");
  client.finish_sending();
  CHECK(drained.get().answered == 1);
}

TEST_CASE("http_drain.pipelined_requests_that_have_arrived_are_all_answered") {
  gate at;
  test_server server{with_gate(at)};
  auto client = server.connect();
  client.send("GET /gate/1 HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(eventually([&] { return at.inside == 1; }));
  client.send(get_root + get_root + get_root);  // still with the system, the server does not read meanwhile
  auto drained = begin_drain(server, 1h);
  CHECK(eventually([&] { return refuses_connections(server); }));
  at.open = true;
  CHECK(client.read()->header("Connection").empty());
  CHECK(client.read()->header("Connection").empty());
  CHECK(client.read()->header("Connection").empty());
  CHECK(client.read()->header("Connection") == "close");
  client.finish_sending();
  CHECK(drained.get().answered == 4);
}

TEST_CASE("http_drain.under_load_every_request_that_was_sent_is_answered") {
  http_router router;
  router.get("/", [](const http_request&) { return http_response::text("root"); });
  http_server_config config;
  config.drain_grace = 60s;  // of a clock that stands still: no connection is closed for being idle
  test_server server{std::move(router), config, 2};
  std::atomic<int> lost{0};
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  std::vector<raw_client> clients;
  for (int t = 0; t < 6; ++t) {
    clients.push_back(server.connect());
    REQUIRE(clients.back().ask(get_root));
    ++answered;
  }
  for (auto& client : clients) {
    threads.emplace_back([&] {
      for (;;) {
        if (!client.send(get_root)) {
          ++lost;
          return;
        }
        const auto response = client.read();
        if (!response) {
          ++lost;
          return;
        }
        ++answered;
        if (response->header("Connection") == "close") {
          client.finish_sending();
          return;
        }
      }
    });
  }
  CHECK(eventually([&] { return answered > 500; }));
  const auto report = begin_drain(server, 1h).get();
  for (auto& thread : threads) thread.join();
  CHECK(lost.load() == 0);
  CHECK(report.unfinished_count == 0);
  CHECK(server.server.stats().requests_answered == static_cast<std::uint64_t>(answered));
}

TEST_CASE("http_drain.works_blocking_from_a_coroutine_and_again") {
  gate at;
  test_server server{with_gate(at)};
  CHECK(server.connect().ask(get_root));
  CHECK(server.server.drain(deadline::after(server.clock.now(), 1h)).unfinished_count == 0);

  asio::io_context elsewhere;  // has no work but the wait
  bool done{false};
  auto wait = [&]() -> asio::awaitable<void> {
    const auto report = co_await server.server.async_drain(deadline::never(), asio::use_awaitable);
    done = report.unfinished_count == 0;
  };
  asio::co_spawn(elsewhere, wait, asio::detached);
  elsewhere.run();
  CHECK(done);
}

TEST_CASE("http_drain.a_second_deadline_can_only_be_sooner") {
  gate at;
  test_server server{with_gate(at)};
  auto client = server.connect();
  client.send("GET /gate/1 HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(eventually([&] { return at.inside == 1; }));
  auto first = begin_drain(server, 1h);
  auto second = begin_drain(server, 0s);
  CHECK(first.get().unfinished_count == 1);
  CHECK(second.get().unfinished_count == 1);
}

TEST_CASE("http_drain.is_ended_by_stop") {
  gate at;
  test_server server{with_gate(at)};
  auto client = server.connect();
  client.send("GET /gate/1 HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(eventually([&] { return at.inside == 1; }));
  auto drained = begin_drain(server, 1h);
  server.server.stop();
  CHECK(drained.get().unfinished_count == 1);
  CHECK(server.server.drain(deadline::never()).unfinished_count == 1);  // over already
}

TEST_CASE("http_drain.before_start_there_is_nothing_to_drain") {
  gate at;
  io_runner runner{runner_with(1)};
  runner.start();
  http_server server{{}, with_gate(at), runner};
  CHECK(server.drain(deadline::never()).answered == 0);
}

TEST_CASE("http_drain.before_start_leaves_a_later_drain_its_work") {
  gate at;
  io_runner runner{runner_with(1)};
  runner.start();
  http_server server{{}, with_gate(at), runner};
  CHECK(server.drain(deadline::never()).answered == 0);
  server.start();
  raw_client client{server.local_endpoint().port};
  client.send("GET /gate/1 HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(eventually([&] { return at.inside == 1; }));
  auto drained = server.async_drain(deadline::never(), asio::use_future);
  at.open = true;
  CHECK(client.read()->body == "passed");
  client.finish_sending();
  CHECK(drained.get().answered == 1);
}

TEST_CASE("http_drain.on_a_thread_of_a_callers_context_is_an_error") {
  gate at;
  asio::io_context context;
  http_server server{{}, with_gate(at), context.get_executor()};
  server.start();
  std::atomic<bool> refused{false};
  asio::post(context, [&] {  // on the thread of the context, but on no strand of the server
    try {
      (void)server.drain(deadline::never());
    } catch (const std::logic_error&) {
      refused = true;
    }
    server.stop();
  });
  std::thread only{[&] { context.run(); }};
  CHECK(eventually([&] { return refused.load(); }));
  context.run();  // if it was not refused, this helps it out, so that the test fails rather than hangs
  only.join();
}

TEST_CASE("http_drain.on_a_thread_of_a_callers_pool_is_an_error") {
  gate at;
  asio::thread_pool pool{2};
  http_server server{{}, with_gate(at), pool.get_executor()};
  server.start();
  std::promise<bool> refused;
  asio::post(pool, [&] {
    try {
      (void)server.drain(deadline::never());
      refused.set_value(false);
    } catch (const std::logic_error&) {
      refused.set_value(true);
    }
  });
  CHECK(refused.get_future().get());
  server.stop();
  pool.join();
}

TEST_CASE("http_drain.on_a_thread_of_the_server_is_an_error") {
  http_server* itself{nullptr};
  std::atomic<bool> refused{false};
  http_router router;
  router.get("/", [&](const http_request&) {
    try {
      (void)itself->drain(deadline::never());
    } catch (const std::logic_error&) {
      refused = true;
    }
    return http_response{};
  });
  test_server server{std::move(router)};
  itself = &server.server;
  CHECK(server.connect().ask(get_root)->status == 200);
  CHECK(refused.load());
}
