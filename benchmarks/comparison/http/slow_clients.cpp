// SPDX-License-Identifier: Apache-2.0
// Opens connections that each send one byte of a request every so often, and opens a new one for each that is closed. Ends on SIGTERM, and then
// prints how many were held and how often one had to be opened again.
#include <arpa/inet.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <vector>

namespace {

volatile std::sig_atomic_t ended{0};

struct client {
  int socket{-1};
  std::size_t sent{0};
};

constexpr std::string_view request{"GET /plain HTTP/1.1\r\nHost: localhost\r\nX-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

/// False if the connection has gone.
bool dribble(client& one) {
  char answer[512];
  const auto got = ::recv(one.socket, answer, sizeof answer, MSG_DONTWAIT);
  if (got == 0) return false;
  const char byte = one.sent < request.size() ? request[one.sent] : 'a';
  if (::send(one.socket, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) return false;
  ++one.sent;
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s PORT CLIENTS MILLISECONDS\n", argv[0]);
    return 2;
  }
  std::signal(SIGTERM, [](int) { ended = 1; });
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(argv[1])));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

  std::vector<client> clients(static_cast<std::size_t>(std::atoi(argv[2])));
  const long pause_ns = std::atol(argv[3]) * 1'000'000 / static_cast<long>(clients.size());  // they take turns
  const timespec pause{pause_ns / 1'000'000'000, pause_ns % 1'000'000'000};
  std::size_t opened{0};
  while (ended == 0) {
    for (auto& one : clients) {
      if (ended != 0) break;
      if (one.socket >= 0 && !dribble(one)) {
        ::close(one.socket);
        one.socket = -1;
      }
      if (one.socket < 0) {
        one = {::socket(AF_INET, SOCK_STREAM, 0), 0};
        const void* raw = &address;
        if (::connect(one.socket, static_cast<const sockaddr*>(raw), sizeof address) != 0) {
          ::close(one.socket);
          one.socket = -1;
        } else {
          ++opened;
        }
      }
      ::nanosleep(&pause, nullptr);
    }
  }
  std::size_t open{0};
  for (const auto& one : clients) open += one.socket >= 0 ? 1U : 0U;
  std::printf("%zu held, %zu opened\n", open, opened);
}
