// SPDX-License-Identifier: Apache-2.0
// Counts allocations, so it is a program of its own.
#include "http/connection_core.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>

using namespace spillway;
using namespace spillway::detail;

namespace {
std::atomic<std::size_t> allocations{0};
}

void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc{};
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
