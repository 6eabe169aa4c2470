// SPDX-License-Identifier: Apache-2.0
// A request from bytes to bytes without a socket, and its parts.
#include "http/connection_core.hpp"

#include <spillway/http/json_escape.hpp>

#include <benchmark/benchmark.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>

using namespace spillway;
using namespace spillway::detail;

namespace {

constexpr core_limits limits{.head = {.target_bytes = 8192, .head_bytes = 32768, .headers = 100},
                             .body_bytes = 1 << 20,
                             .requests = UINT64_MAX,
                             .pipelined = 32,
                             .request_timeout = std::chrono::seconds{30},
                             .retry_after = std::chrono::seconds{1}};

std::unique_ptr<route_table> make_table() {
  auto table = std::make_unique<route_table>();
  table->add(http_method::get, "/plain", [body = std::string(100, 'x')](const http_request&) { return http_response::text(body); }, {});
  for (int i = 0; i < 100; ++i) {
    const auto pattern = "/v1/things" + std::to_string(i) + "/{id}/parts/{part}";
    table->add(http_method::get, pattern, [](const http_request&) { return http_response{204}; }, {});
  }
  static const log_sink nothing;
  table->freeze(nothing);
  return table;
}

void play(benchmark::State& state, std::string_view request) {
  const auto table = make_table();
  core_services services{.limits = limits, .table = *table, .clock = system_clock_source(), .date = {}, .ids = {}};
  connection_core core{services, "127.0.0.1", services.clock.now()};
  for (auto _ : state) {
    const auto now = services.clock.now();
    for (bool answered = false; !answered;) {
      switch (core.advance()) {
        case connection_core::step::read: {
          const auto space = core.space();
          std::memcpy(space.data(), request.data(), request.size());
          core.received(request.size(), now);
          break;
        }
        case connection_core::step::handle: core.answer(core.chain().run(core.request()), false, now); break;
        case connection_core::step::write:
          benchmark::DoNotOptimize(core.output());
          core.flushed(now);
          answered = true;
          break;
        case connection_core::step::close: state.SkipWithError("closed"); return;
      }
    }
  }
  state.SetItemsProcessed(state.iterations());
}

void short_request(benchmark::State& state) { play(state, "GET /plain HTTP/1.1\r\nHost: localhost:8080\r\n\r\n"); }
BENCHMARK(short_request);

void browser_request(benchmark::State& state) {
  play(state,
       "GET /v1/things42/17/parts/9?sort=name&page=2 HTTP/1.1\r\nHost: localhost:8080\r\n"
       "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
       "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n"
       "Accept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n"
       "Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n\r\n");
}
BENCHMARK(browser_request);

void find_route_among_101(benchmark::State& state) {
  const auto table = make_table();
  std::vector<http_parameter> parameters;
  std::string storage;
  decoded_path path;
  for (auto _ : state) {
    parameters.clear();
    benchmark::DoNotOptimize(decode_path("/v1/things42/17/parts/9", storage, path));
    benchmark::DoNotOptimize(table->find(http_method::get, path, parameters));
  }
}
BENCHMARK(find_route_among_101);

void escape_100_plain_bytes(benchmark::State& state) {
  const std::string text(100, 'a');
  std::string out;
  for (auto _ : state) {
    out.clear();
    append_json_string(out, text);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(escape_100_plain_bytes);

}  // namespace

BENCHMARK_MAIN();
