// SPDX-License-Identifier: Apache-2.0
// The code of docs/guide/core.md, compiled and run.
#include <spillway/core/config_reader.hpp>
#include <spillway/core/deadline.hpp>
#include <spillway/core/error.hpp>
#include <spillway/core/latency_histogram.hpp>
#include <spillway/core/result.hpp>
#include <spillway/testing/manual_clock.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace std::chrono_literals;

namespace {

// [conditions]
int http_status_of(spillway::error_code failure) {
  using spillway::errc;
  if (failure == errc::overloaded || failure == errc::unavailable) return 503;
  if (failure == errc::timed_out) return 504;
  return 500;
}
// [conditions]

// [configuration]
struct server_config {
  int port{8080};
  std::chrono::milliseconds idle_timeout{30'000};
};

server_config load(const spillway::config_sources& sources) {
  server_config config;
  spillway::config_reader read{sources};
  read("http.port", config.port, 0, 65'535);              // SPILLWAY_HTTP_PORT
  read("http.idle_timeout", config.idle_timeout, 1s, 1h);  // SPILLWAY_HTTP_IDLE_TIMEOUT=45s
  read.finish();  // throws config_error: every mistake, and every name that nobody asked for
  return config;
}
// [configuration]

// [deadline]
std::string forward(const spillway::clock_source& clock, std::string_view header) {
  // From the caller's header; nobody may keep us busy for longer than ten seconds.
  const auto until = spillway::decode_deadline(header, clock.now(), 10s).value();
  // The next hop gets what is left, less a margin to answer in.
  const auto theirs = spillway::deadline::after(clock.now(), until.remaining(clock.now()) - 50ms);
  return spillway::encode_deadline(theirs, clock.now());
}
// [deadline]

}  // namespace

TEST_CASE("guide.core_conditions") {
  static constexpr spillway::error_entry entries[]{{1, "queue full", spillway::errc::overloaded}, {2, "too late", spillway::errc::timed_out}};
  static const auto& category = spillway::make_error_category("guide", 0x4775'6964'6500'0001U, entries);
  CHECK(http_status_of({1, category}) == 503);
  CHECK(http_status_of({2, category}) == 504);
  CHECK(http_status_of({3, category}) == 500);
}

TEST_CASE("guide.core_configuration") {
  spillway::config_sources sources;
  sources.environment = {"SPILLWAY_HTTP_PORT=9000"};
  CHECK(load(sources).port == 9000);
  sources.environment = {"SPILLWAY_HTTP_PROT=9000"};
  CHECK_THROWS_WITH_AS(load(sources), "configuration: SPILLWAY_HTTP_PROT is unknown; did you mean SPILLWAY_HTTP_PORT?", spillway::config_error);
}

TEST_CASE("guide.core_deadline") {
  const spillway::testing::manual_clock clock;
  CHECK(forward(clock, "2000") == "1950");
  CHECK(forward(clock, "3600000") == "9950");
}

TEST_CASE("guide.core_time_in_tests") {
  // [manual_clock]
  spillway::testing::manual_clock clock;
  const auto until = spillway::deadline::after(clock.now(), 500ms);
  clock.advance(499ms);
  CHECK_FALSE(until.passed(clock.now()));
  clock.advance(1ms);
  CHECK(until.passed(clock.now()));
  // [manual_clock]
}

TEST_CASE("guide.core_histogram") {
  // [histogram]
  spillway::latency_histogram latencies;
  latencies.record(3ms);
  latencies.record(5ms);
  const auto taken = latencies.snapshot();
  CHECK(taken.count == 2);
  CHECK(taken.quantile(0.5) < 4ms);  // at most 12.5 % above the exact 3 ms
  // [histogram]
}
