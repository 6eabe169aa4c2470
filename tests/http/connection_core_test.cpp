// SPDX-License-Identifier: Apache-2.0
#include "http/connection_core.hpp"
#include "support/requests.hpp"

#include <spillway/testing/manual_clock.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

using namespace spillway;
using namespace spillway::detail;
using testing::get_root;
using namespace std::chrono_literals;
using step = connection_core::step;

namespace {

constexpr core_limits limits{.head = {.target_bytes = 1000, .head_bytes = 4000, .headers = 50},
                             .body_bytes = 1000,
                             .requests = 100,
                             .pipelined = 4,
                             .request_timeout = 30s,
                             .retry_after = 1s};

/// A core whose handler is the test itself: at `handle` it calls `answer`.
struct fixture {
  fixture() {
    table.add(http_method::get, "/", [](const http_request&) { return http_response{}; }, {});
    table.add(http_method::post, "/", [](const http_request&) { return http_response{}; }, {});
    table.freeze(no_log);
  }

  void receive(std::string_view bytes, std::chrono::seconds at) {
    REQUIRE(core.advance() == step::read);
    std::memcpy(core.space().data(), bytes.data(), bytes.size());
    core.received(bytes.size(), time_point{at});
  }
  void answer(http_response response, std::chrono::seconds at) {
    REQUIRE(core.advance() == step::handle);
    core.answer(std::move(response), false, time_point{at});
  }
  /// What was written.
  std::string flush(std::chrono::seconds at) {
    REQUIRE(core.advance() == step::write);
    const auto pieces = core.output();
    std::string text;
    text.append(pieces[0]).append(pieces[1]);
    core.sent(text.size());
    REQUIRE(core.all_sent());
    core.flushed(time_point{at});
    return text;
  }

  testing::manual_clock clock;
  log_sink no_log;
  route_table table;
  core_services services{.limits = limits, .table = table, .clock = clock, .date = {}, .ids = {}};
  connection_core core{services, "peer", time_point{}};
};

}  // namespace

TEST_CASE("connection_core.time_in_which_the_server_did_not_read_is_not_held_against_the_client") {
  for (const std::string next : {"GET / HTT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"}) {
    CAPTURE(next);
    fixture f;
    f.receive(get_root + next, 1s);
    f.answer(http_response{}, 21s);  // after twenty seconds; all the while the rest may lie with the system
    f.flush(22s);
    CHECK(f.core.advance() == step::read);
    CHECK(f.core.phase() == (next.starts_with("GET") ? connection_phase::head : connection_phase::body));
    CHECK(f.core.since() == time_point{22s});
    CHECK(f.core.request().started() == time_point{1s});
  }
}

TEST_CASE("connection_core.bytes_now_and_then_buy_no_time") {
  fixture f;
  f.receive("GET / HTT", 1s);
  f.receive("P/1.1\r\n", 5s);
  CHECK(f.core.advance() == step::read);
  CHECK(f.core.since() == time_point{1s});
}

TEST_CASE("connection_core.what_was_attached_is_let_go_with_the_answer") {
  fixture f;
  auto attached = std::make_shared<int>(7);
  const std::weak_ptr<int> alive{attached};
  f.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 1s);
  REQUIRE(f.core.advance() == step::handle);
  CHECK(f.core.request().body() == "hello");
  f.core.request().attach(std::move(attached));
  SUBCASE("that was given") { f.core.answer(http_response{}, false, time_point{1s}); }
  SUBCASE("that will not come") { f.core.abandon(); }
  CHECK(alive.expired());
  CHECK(f.core.request().body().empty());
}

TEST_CASE("connection_core.a_refused_head_is_named_by_what_was_understood_of_it") {
  fixture f;
  f.receive("HEAD /a HTTP/1.1\r\nX-Request-Id: mine\r\n\r\n", 1s);  // without a Host
  REQUIRE(f.core.advance() == step::write);
  REQUIRE(f.core.answered().size() == 1);
  const auto record = f.core.answered().front();
  CHECK(record.status == 400);
  CHECK(record.method == http_method::head);
  CHECK(record.method_name == "HEAD");
  CHECK(record.target == "/a");
  CHECK(std::string_view{record.id.data(), record.id_size} == "mine");
  const auto text = f.flush(1s);
  CHECK(text.find("\r\nX-Request-Id: mine\r\n") != std::string::npos);
  CHECK(text.ends_with("\r\n\r\n"));  // HEAD: no body
}

TEST_CASE("connection_core.an_http_1_0_client_gets_no_interim_answer") {
  fixture f;
  f.receive("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", 1s);
  f.receive("hello", 2s);
  f.answer(http_response::text("taken"), 2s);
  CHECK(f.flush(2s).starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("connection_core.a_request_that_timed_out_began_when_it_did_by_the_calendar") {
  fixture f;
  f.clock.advance(1s);
  const auto began = f.clock.wall_now();
  f.receive("GET / HTT", 1s);
  REQUIRE(f.core.advance() == step::read);
  f.clock.advance(10s);
  f.core.time_out(f.clock.now());
  CHECK(f.flush(11s).starts_with("HTTP/1.1 408 "));
  CHECK(f.services.date.wall(f.core.request().started()) == began);
}
