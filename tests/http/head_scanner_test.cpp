// SPDX-License-Identifier: Apache-2.0
#include "http/head_scanner.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace spillway::detail;

TEST_CASE("head_scanner.finds_the_end_wherever_the_head_is_cut") {
  const std::string head{"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"};
  const std::string text{head + "GET /next"};
  for (std::size_t cut = 0; cut < head.size(); ++cut) {
    head_scanner scanner{{.target_bytes = 100, .head_bytes = 1000, .headers = 10}};
    REQUIRE(scanner.scan(std::string_view{text}.substr(0, cut)) == scan_state::incomplete);
    REQUIRE(scanner.scan(text) == scan_state::complete);
    REQUIRE(scanner.size() == head.size());
  }
}

TEST_CASE("head_scanner.refuses_as_soon_as_it_can_know") {
  const auto scan = [](std::string_view text) {
    head_scanner scanner{{.target_bytes = 20, .head_bytes = 100, .headers = 2}};
    return scanner.scan(text) == scan_state::refused ? entry_of(scanner.why().why).status : 0;
  };
  CHECK(scan("\x16\x03") == 400);
  CHECK(scan("GET / HTTP/1.1\n") == 400);
  CHECK(scan("GET / HTTP/1.1\r\nA: b\r\n ") == 0);
  CHECK(scan("GET / HTTP/1.1\r\nA: b\r\n c\r\n") == 400);
  CHECK(scan("GET /" + std::string(60, 'a')) == 414);
  CHECK(scan("GET / HTTP/1.1\r\nA: " + std::string(100, 'a')) == 431);
  CHECK(scan("GET / HTTP/1.1\r\nA: b\r\nC: d\r\n") == 0);
  CHECK(scan("GET / HTTP/1.1\r\nA: b\r\nC: d\r\nE: f\r\n") == 431);
}
