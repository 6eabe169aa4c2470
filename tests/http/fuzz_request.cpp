// SPDX-License-Identifier: Apache-2.0
// The whole way of a request, from bytes on a socket to bytes on a socket, with whatever bytes come.
//
// Under clang this is a libFuzzer target. Under other compilers it is a program that plays a fixed number of mutated requests; then a crash is
// repeated by the same seed, and `http_fuzz_request FILE` plays one input.
#include "http/lane.hpp"
#include "http/server_shared.hpp"

#include <spillway/testing/manual_clock.hpp>

#include <boost/asio/io_context.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using namespace spillway;
using executor_type = boost::asio::io_context::executor_type;

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz_request: %s\n", what);
  std::abort();
}

std::unique_ptr<detail::route_table> make_table() {
  auto table = std::make_unique<detail::route_table>();
  const auto show = [](const http_request& r) {
    std::string text{r.path()};
    for (const auto& one : r.query_parameters()) text.append(one.name).append("=").append(one.value);
    for (const auto& one : r.headers()) text.append(one.name).append(one.value);
    return http_response::text(text.append(r.host()).append(r.body()));
  };
  table->add(http_method::get, "/", show, {});
  table->add(http_method::get, "/a/{id}", show, {});
  table->add(http_method::get, "/a/fixed", show, {});
  table->add(http_method::post, "/a/{id}/b", show, {});
  table->add(http_method::put, "/rest/{rest*}", show, {});
  table->add(http_method::get, "/later", [show](http_request& r) -> boost::asio::awaitable<http_response> { co_return show(r); }, {});
  return table;
}

http_server_config small_limits(std::uint64_t& records) {
  http_server_config config;
  config.max_target_bytes = 200;
  config.max_head_bytes = 2000;
  config.max_headers = 20;
  config.max_body_bytes = 5000;
  config.max_pipelined = 3;
  config.access = [&records](const http_access_record& record) {
    require(record.target.size() <= 1024 && !record.request_id.empty(), "a record is out of bounds");
    ++records;
  };
  return config;
}

/// A server of one lane without a listener, in this thread.
struct harness {
  std::uint64_t records{0};
  testing::manual_clock clock;
  boost::asio::io_context context{1};
  std::shared_ptr<detail::server_shared> shared{
      std::make_shared<detail::server_shared>(small_limits(records), make_table(), clock, context.get_executor())};
  std::shared_ptr<detail::lane<executor_type>> lane{std::make_shared<detail::lane<executor_type>>(context.get_executor(), shared)};

  void settle() {
    context.restart();
    context.poll();
  }
};

void drain(int socket, std::string& out) {
  std::array<char, 16 * 1024> bytes;
  for (;;) {
    const auto got = ::recv(socket, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got <= 0) return;
    out.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

/// Everything sent must be whole responses, one for each request told to the log, and none behind one that ends the connection.
void check_output(std::string_view out, std::uint64_t records, bool complete) {
  std::uint64_t responses{0};
  bool ended{false};
  while (!out.empty()) {
    require(!ended, "something follows a response that ends the connection");
    require(out.starts_with("HTTP/1.1 "), "a response does not begin as one");
    const auto head_end = out.find("\r\n\r\n");
    require(head_end != std::string_view::npos, "the head of a response has no end");
    const auto head = out.substr(0, head_end + 2);
    out.remove_prefix(head_end + 4);
    if (head.starts_with("HTTP/1.1 100 ")) continue;
    ++responses;
    ended = head.find("\r\nConnection: close\r\n") != std::string_view::npos;
    require(head.find("\r\nX-Request-Id: ") != std::string_view::npos, "a response has no request id");
    for (std::size_t i = 0; i < head.size(); ++i) require(head[i] != '\n' || (i > 0 && head[i - 1] == '\r'), "a head has a bare line feed");
    const auto length_at = head.find("\r\nContent-Length: ");
    if (length_at == std::string_view::npos) continue;
    const auto length = static_cast<std::size_t>(std::atoll(head.data() + length_at + 18));
    if (out.size() >= length && !(length > 0 && out.starts_with("HTTP/1.1 "))) {
      out.remove_prefix(length);
    } else {
      require(out.empty() || out.starts_with("HTTP/1.1 "), "the body of a response is cut short");  // HEAD
    }
  }
  require(!complete || responses == records, "responses and records do not agree");
}

/// The first byte of the input says into pieces of which size the rest is cut.
void play(harness& at, std::string_view input) {
  if (input.empty()) return;
  const auto piece = static_cast<std::size_t>(static_cast<unsigned char>(input.front())) + 1;
  input.remove_prefix(1);
  std::array<int, 2> ends{};
  require(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0, "no sockets");
  boost::asio::basic_stream_socket<boost::asio::ip::tcp, executor_type> socket{at.context};
  socket.assign(boost::asio::ip::tcp::v4(), ends[1]);
  at.records = 0;
  at.lane->adopt(std::move(socket), "peer", detail::connection_place{at.shared, &detail::server_shared::open}, false);
  at.settle();

  std::string out;
  while (!input.empty()) {
    const auto sent = ::send(ends[0], input.data(), std::min(piece, input.size()), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent <= 0) break;
    input.remove_prefix(static_cast<std::size_t>(sent));
    at.settle();
    drain(ends[0], out);
    at.settle();
  }
  drain(ends[0], out);
  ::shutdown(ends[0], SHUT_WR);
  at.settle();
  drain(ends[0], out);
  at.settle();
  ::close(ends[0]);
  at.settle();
  require(at.shared->open.load() == 0, "a connection was left behind");
  check_output(out, at.records, true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static harness at;
  play(at, std::string_view{static_cast<const char*>(static_cast<const void*>(data)), size});
  return 0;
}

#ifndef SPILLWAY_LIBFUZZER

namespace {

const std::array<std::string_view, 12> seeds{
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a/%41b?x=1&y=%20+ HTTP/1.1\r\nHost: a\r\nX-Request-Id: abc\r\n\r\nGET /later HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /a/1/b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n",
    "POST /a/1/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\nT: u\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /a/1/b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "HEAD /a/fixed HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "PUT http://b:80/rest/x/y HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "BREW /a HTTP/1.1\r\nHost: a\r\n\r\nDELETE /a/1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    "POST /a/1/b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n",
    "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"};

class mutator {
 public:
  explicit mutator(std::uint32_t seed) : random_{seed} {}

  std::string next() {
    std::string text{1, static_cast<char>(below(2) == 0 ? 255 : below(40))};
    for (std::size_t i = 0; i <= below(3); ++i) text += seeds[below(seeds.size())];
    for (std::size_t i = below(6); i > 0; --i) change(text);
    return text;
  }

 private:
  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>{0, bound - 1}(random_); }

  void change(std::string& text) {
    static constexpr std::array<std::string_view, 12> pieces{"\r\n", "\n", "\r", " ", "\t", ":", "\r\n\r\n", "0", "%00", "Content-Length: 3\r\n",
                                                             "Transfer-Encoding: chunked\r\n", "Host: b\r\n"};
    const auto at = below(text.size());
    switch (below(5)) {
      case 0: text[at] = static_cast<char>(below(256)); break;
      case 1: text.erase(at, below(5) + 1); break;
      case 2: text.insert(at, pieces[below(pieces.size())]); break;
      case 3: text.insert(at, text.substr(below(text.size()), below(30))); break;
      default: text.insert(at, below(300), static_cast<char>('0' + below(40))); break;
    }
    if (text.empty()) text = "x";
  }

  std::mt19937 random_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view{argv[1]}.find_first_not_of("0123456789") != std::string_view::npos) {
    std::ifstream file{argv[1], std::ios::binary};
    const std::string input{std::istreambuf_iterator<char>{file}, {}};
    harness at;
    play(at, input);
    return 0;
  }
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5'000;
  harness at;
  mutator mutate{20260131};
  for (int i = 0; i < rounds; ++i) play(at, mutate.next());
  std::printf("%d requests played\n", rounds);
}

#endif
