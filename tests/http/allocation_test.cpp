// SPDX-License-Identifier: Apache-2.0
// Counts allocations, so it is a program of its own.
#include "http/connection_core.hpp"
#include "http/lane.hpp"
#include "http/listener.hpp"
#include "http/server_shared.hpp"
#include "support/raw_client.hpp"

#include <spillway/testing/manual_clock.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

using namespace spillway;
using namespace spillway::detail;

namespace {
std::atomic<std::size_t> allocations{0};
std::size_t failing{std::numeric_limits<std::size_t>::max()};  // the one with this number is refused
}

void* operator new(std::size_t size) {
  if (++allocations == failing) throw std::bad_alloc{};
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc{};
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return ++allocations == failing ? nullptr : std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

TEST_CASE("connection_core.allocates_nothing_for_a_request_in_steady_state") {
  constexpr core_limits limits{.head = {.target_bytes = 1000, .head_bytes = 4000, .headers = 50},
                               .body_bytes = 1000,
                               .requests = UINT64_MAX,
                               .pipelined = 4,
                               .request_timeout = std::chrono::seconds{30},
                               .retry_after = std::chrono::seconds{1}};
  const auto nothing_allocated = [](const http_request& request) { return http_response{request.body().size() == 3 ? 204 : 400}; };
  route_table table;
  table.add(http_method::post, "/a/{b}", nothing_allocated, {});
  const log_sink no_log;
  table.freeze(no_log);
  core_services services{.limits = limits, .table = table, .clock = system_clock_source(), .date = {}, .ids = {}};
  connection_core core{services, "127.0.0.1", services.clock.now()};
  constexpr std::string_view two{
      "POST /a/%62?x=1&y=%20 HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nContent-Length: 3\r\n\r\nabc"
      "POST /a/2 HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\nContent-Length: 3\r\n\r\nabc"};
  std::size_t answered{0};
  std::size_t before{0};
  while (answered < 2'000) {
    if (answered == 100) before = allocations;
    switch (core.advance()) {
      case connection_core::step::read: {
        const auto space = core.space();
        std::memcpy(space.data(), two.data(), two.size());
        core.received(two.size(), services.clock.now());
        break;
      }
      case connection_core::step::handle: core.answer(core.chain().run(core.request()), false, services.clock.now()); break;
      case connection_core::step::write:
        for (const auto& one : core.answered()) REQUIRE(one.status == 204);
        answered += core.answered().size();
        core.flushed(services.clock.now());
        break;
      case connection_core::step::close: FAIL("the connection was closed"); return;
    }
  }
  CHECK(allocations - before == 0);
}

TEST_CASE("listener.memory_that_runs_out_at_any_step_costs_one_connection_alone") {
  using namespace std::chrono_literals;
  using executor_type = boost::asio::io_context::executor_type;
  std::size_t lost{0};
  for (std::size_t step = 1; step <= 20; ++step) {
    CAPTURE(step);
    http_server_config config;
    config.sweep_interval = 1min;
    config.drain_grace = 0ms;
    config.log = [&lost](const log_event& event) {
      if (event.message == "a connection could not be accepted") ++lost;
    };
    auto table = std::make_unique<route_table>();
    table->add(http_method::get, "/", [](const http_request&) { return http_response::text("root"); }, {});
    const testing::manual_clock clock;
    boost::asio::io_context context{1};
    const auto shared = std::make_shared<server_shared>(config, std::move(table), clock, context.get_executor());
    const auto only = std::make_shared<lane<executor_type>>(context.get_executor(), shared);
    const auto listening = std::make_shared<listener<executor_type>>(shared, std::vector{only});
    const auto port = listening->listen().port();
    boost::asio::co_spawn(context, listener<executor_type>::run(listening), boost::asio::detached);
    const auto run_until = [&context](const auto& condition) {
      for (int i = 0; i < 50 && !condition(); ++i) context.run_one_for(100ms);
      return condition();
    };
    // Asio makes what it needs inside an accept once, and would itself not survive to be refused that.
    { const testing::raw_client first{port}; }
    REQUIRE(run_until([&shared] { return shared->counters.accepted.value() == 1 && shared->open == 0; }));

    const testing::raw_client unlucky{port};
    failing = allocations + step;
    CHECK_NOTHROW(context.poll());
    failing = std::numeric_limits<std::size_t>::max();

    testing::raw_client next{port};
    next.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE(run_until([&shared] { return shared->counters.answered.value() == 1; }));
    CHECK(next.read()->body == "root");
    bool drained{false};
    shared->board.wait([&drained](const http_drain_report&) { drained = true; }, 1, 0);
    listening->drain(deadline::never());
    CHECK(run_until([&drained] { return drained; }));
  }
  CHECK(lost > 0);
}
