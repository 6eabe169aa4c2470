// SPDX-License-Identifier: Apache-2.0
// Requests made to be read differently by two parsers, or to break one. Each must be refused, and the connection with it: what follows on it
// must never be taken for a request.
#include "support/test_server.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

using namespace spillway;
using namespace spillway::testing;

namespace {

struct hostile_request {
  std::string name;
  std::string bytes;
  int status;
};

const std::string smuggled{"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"};

std::string post(const std::string& headers, const std::string& body) { return "POST /echo HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n" + body; }
std::string chunked(const std::string& body) { return post("Transfer-Encoding: chunked\r\n", body); }
std::string get(const std::string& line, const std::string& headers = "Host: a\r\n") { return line + "\r\n" + headers + "\r\n"; }
std::string text(std::string_view with_nul) { return std::string{with_nul}; }

std::vector<hostile_request> table() {
  using namespace std::string_view_literals;
  return {
      // Two lengths, or one that two parsers read differently.
      {"Content-Length then Transfer-Encoding", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + smuggled), 400},
      {"Transfer-Encoding then Content-Length", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n" + smuggled), 400},
      {"two different Content-Lengths", post("Content-Length: 4\r\nContent-Length: 5\r\n", "abcde"), 400},
      {"two equal Content-Lengths", post("Content-Length: 4\r\nContent-Length: 4\r\n", "abcd"), 400},
      {"Content-Length list", post("Content-Length: 4, 5\r\n", "abcde"), 400},
      {"Content-Length list of equals", post("Content-Length: 4, 4\r\n", "abcd"), 400},
      {"Content-Length list without a space", post("Content-Length: 4,4\r\n", "abcd"), 400},
      {"Content-Length with a sign", post("Content-Length: +4\r\n", "abcd"), 400},
      {"negative Content-Length", post("Content-Length: -4\r\n", "abcd"), 400},
      {"hexadecimal Content-Length", post("Content-Length: 0x4\r\n", "abcd"), 400},
      {"Content-Length beyond 64 bits", post("Content-Length: 18446744073709551616\r\n", ""), 400},
      {"empty Content-Length", post("Content-Length: \r\n", smuggled), 400},
      {"Content-Length with a NUL", post(text("Content-Length: 4\0\r\n"sv), "abcd"), 400},
      // Transfer codings that hide the length.
      {"unknown transfer coding", post("Transfer-Encoding: gzip\r\n", smuggled), 501},
      {"coding before chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501},
      {"chunked is not last", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), 501},
      {"chunked twice", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 501},
      {"two Transfer-Encodings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"), 400},
      {"almost chunked", post("Transfer-Encoding: xchunked\r\n", smuggled), 501},
      {"quoted chunked", post("Transfer-Encoding: \"chunked\"\r\n", smuggled), 501},
      {"chunked with a vertical tab", post("Transfer-Encoding: \x0b" "chunked\r\n", smuggled), 400},
      {"empty Transfer-Encoding", post("Transfer-Encoding:\r\n", smuggled), 501},
      {"Transfer-Encoding in HTTP/1.0", "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      // Chunks.
      {"chunk size is no number", chunked("z\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk size is empty", chunked("\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk size with a sign", chunked("+3\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk size with 0x", chunked("0x3\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk size beyond 64 bits", chunked("10000000000000003\r\nabc\r\n0\r\n\r\n"), 400},
      {"negative chunk size", chunked("-1\r\nabc\r\n0\r\n\r\n"), 400},
      {"white space before the chunk size", chunked(" 3\r\nabc\r\n0\r\n\r\n"), 400},
      {"white space behind the chunk size", chunked("3 \r\nabc\r\n0\r\n\r\n"), 400},
      {"bare LF behind the chunk size", chunked("3\nabc\r\n0\r\n\r\n"), 400},
      {"bare CR behind the chunk size", chunked("3\rabc\r\n0\r\n\r\n"), 400},
      {"chunk longer than told", chunked("3\r\nabcd\r\n0\r\n\r\n"), 400},
      {"chunk shorter than told", chunked("5\r\nabc\r\n0\r\n\r\n"), 400},
      {"bare LF behind the chunk", chunked("3\r\nabc\n0\r\n\r\n"), 400},
      {"broken chunk extension", chunked("3;=\r\nabc\r\n0\r\n\r\n"), 400},
      {"LF in a quoted chunk extension", chunked("3;a=\"\n\"\r\nabc\r\n0\r\n\r\n"), 400},
      {"endless chunk extension", chunked("3;" + std::string(100'000, 'a')), 400},
      {"bare LF in a trailer", chunked("0\r\nA: b\nC: d\r\n\r\n"), 400},
      {"folded trailer", chunked("0\r\nA: b\r\n c\r\n\r\n"), 400},
      {"trailer folded before its value", chunked("0\r\nA:\r\n b\r\n\r\n"), 400},
      {"trailer folded into nothing", chunked("0\r\nA: b\r\n \r\n\r\n"), 400},
      {"NUL in a trailer", chunked(text("0\r\nA: \0\r\n\r\n"sv)), 400},
      {"Content-Length in a trailer", chunked("0\r\nContent-Length: 5\r\n\r\n"), 400},
      // Lines.
      {"folded header", get("GET / HTTP/1.1", "Host: a\r\nX: b\r\n c\r\n"), 400},
      {"header folded with a tab", get("GET / HTTP/1.1", "Host: a\r\nX: b\r\n\tc\r\n"), 400},
      {"folded request line", get("GET /\r\n HTTP/1.1"), 400},
      {"first header begins with a space", get("GET / HTTP/1.1", " Host: a\r\n"), 400},
      {"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
      {"bare LF after a header", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400},
      {"bare LF at the end of the head", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
      {"only bare LFs", "GET / HTTP/1.1\nHost: a\n\n", 400},
      {"bare CR in a header", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400},
      {"CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400},
      {"space before the colon", get("GET / HTTP/1.1", "Host : a\r\n"), 400},
      {"tab before the colon", get("GET / HTTP/1.1", "Host\t: a\r\n"), 400},
      {"header without a colon", get("GET / HTTP/1.1", "Host: a\r\nX\r\n"), 400},
      {"header without a name", get("GET / HTTP/1.1", "Host: a\r\n: x\r\n"), 400},
      {"NUL in a header name", get("GET / HTTP/1.1", text("Host: a\r\nX\0Y: b\r\n"sv)), 400},
      {"NUL in a header value", get("GET / HTTP/1.1", text("Host: a\r\nX: \0\r\n"sv)), 400},
      {"control character in a header value", get("GET / HTTP/1.1", "Host: a\r\nX: \x01\r\n"), 400},
      {"DEL in a header value", get("GET / HTTP/1.1", "Host: a\r\nX: \x7f\r\n"), 400},
      // Host.
      {"no Host", get("GET / HTTP/1.1", ""), 400},
      {"two Hosts", get("GET / HTTP/1.1", "Host: a\r\nHost: b\r\n"), 400},
      {"two equal Hosts", get("GET / HTTP/1.1", "Host: a\r\nHost: a\r\n"), 400},
      {"Host with a slash", get("GET / HTTP/1.1", "Host: a/b\r\n"), 400},
      {"Host with a user", get("GET / HTTP/1.1", "Host: user@a\r\n"), 400},
      {"Host list", get("GET / HTTP/1.1", "Host: a, b\r\n"), 400},
      // Request lines.
      {"lower-case version", get("GET / http/1.1"), 400},
      {"version 2.0", get("GET / HTTP/2.0"), 505},
      {"version 1.2", get("GET / HTTP/1.2"), 505},
      {"version 0.9", "GET /\r\n\r\n", 400},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"version with three parts", get("GET / HTTP/1.1.1"), 400},
      {"two spaces in the request line", get("GET  / HTTP/1.1"), 400},
      {"space at the end of the request line", get("GET / HTTP/1.1 "), 400},
      {"tab in the request line", get("GET\t/ HTTP/1.1"), 400},
      {"method with a control character", get("G\x01T / HTTP/1.1"), 400},
      {"NUL in the target", get(text("GET /\0 HTTP/1.1"sv)), 400},
      {"encoded NUL in the path", get("GET /%00 HTTP/1.1"), 400},
      {"broken escape in the path", get("GET /%4 HTTP/1.1"), 400},
      {"broken escape in the query", get("GET /?a=%G1 HTTP/1.1"), 400},
      {"dot segment", get("GET /../etc/passwd HTTP/1.1"), 400},
      {"encoded dot segment", get("GET /a/%2e./b HTTP/1.1"), 400},
      {"dot segments behind encoded slashes", get("GET /a/..%2F..%2Fetc%2Fpasswd HTTP/1.1"), 400},
      {"dot segment between encoded slashes", get("GET /a/b%2f%2E%2fc HTTP/1.1"), 400},
      {"fragment", get("GET /#x HTTP/1.1"), 400},
      {"target without a slash", get("GET smuggled HTTP/1.1"), 400},
      {"asterisk for GET", get("GET * HTTP/1.1"), 400},
      {"authority for GET", get("GET a:80 HTTP/1.1"), 400},
      {"CONNECT", get("CONNECT a:80 HTTP/1.1"), 501},
      {"absolute target of another scheme", get("GET ftp://a/ HTTP/1.1"), 400},
      {"absolute target without a host", get("GET http:///x HTTP/1.1"), 400},
      {"absolute target with a user", get("GET http://user@a/ HTTP/1.1"), 400},
      {"more query parameters than anyone needs", get("GET /?" + [] {
         std::string all;
         for (int i = 0; i < 257; ++i) all += "a&";
         return all;
       }() + " HTTP/1.1"), 400},
      // Not HTTP at all.
      {"TLS", text("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"sv), 400},
      {"NULs", std::string(20, '\0'), 400},
      {"two empty lines", "\r\n\r\n" + smuggled, 400},
  };
}

}  // namespace

TEST_CASE("hostile_requests.are_refused_with_their_connection") {
  std::atomic<int> reached{0};
  http_router router;
  const auto count = [&reached](const http_request&) {
    ++reached;
    return http_response::text("reached");
  };
  router.get("/", count);
  router.get("/smuggled", count);
  router.post("/echo", count);
  test_server server{std::move(router)};
  for (const auto& one : table()) {
    CAPTURE(one.name);
    auto client = server.connect();
    const auto response = client.ask(one.bytes + smuggled);
    REQUIRE(response);
    CHECK(response->status == one.status);
    CHECK(response->header("Connection") == "close");
    CHECK(response->header("Content-Type") == "application/problem+json");
    client.finish_sending();
    CHECK(client.closes_silently());
  }
  CHECK(reached.load() == 0);
  CHECK(server.server.stats().requests_rejected == table().size());
}

TEST_CASE("hostile_requests.are_refused_however_they_are_cut") {
  http_router router;
  router.get("/", [](const http_request&) { return http_response::text("reached"); });
  router.post("/echo", [](const http_request&) { return http_response::text("reached"); });
  test_server server{std::move(router)};
  for (const auto& one : table()) {
    if (one.bytes.size() > 1'000) continue;
    CAPTURE(one.name);
    auto client = server.connect();
    for (const char c : one.bytes) {
      if (!client.send({&c, 1})) break;  // it may have been refused before its end
    }
    const auto response = client.read();
    REQUIRE(response);
    CHECK(response->status == one.status);
  }
}

TEST_CASE("hostile_requests.what_only_looks_hostile_is_served") {
  http_router router;
  router.get("/", [](const http_request&) { return http_response::text("reached"); });
  router.get("/{rest*}", [](const http_request&) { return http_response::text("reached"); });
  router.post("/echo", [](const http_request& r) { return http_response::text(std::string{r.body()}); });
  test_server server{std::move(router)};
  auto client = server.connect();
  for (const auto& request : std::vector<std::string>{
           "\r\n" + get("GET / HTTP/1.1"),                                         // one empty line is forgiven
           get("GET / HTTP/1.1", "Host:a\r\n"),
           get("GET / HTTP/1.1", "Host: [::1]:80\r\n"),
           get("GET / HTTP/1.1", "Host:\r\n"),
           get("GET / HTTP/1.1", "hOST: a\r\nX:\r\nY:  b c\t \r\n"),
           get("GET / HTTP/1.1", "Host: a\r\nX: \xC3\xA4\xFF\r\n"),
           get("GET /...;a=b/%2F|{}[]\"<> HTTP/1.1"),
           get("GET /?filter[name]={a}|b&=&c HTTP/1.1"),
           post("Content-Length: 0004\r\n", "abcd"),
           chunked("000003;ext;a=\"q\\\"q\" ; b=c\r\nabc\r\n00\r\nTrailer: x\r\n\r\n")}) {
    CAPTURE(request);
    const auto response = client.ask(request);
    REQUIRE(response);
    CHECK(response->status == 200);
  }
}
