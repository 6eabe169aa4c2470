// SPDX-License-Identifier: Apache-2.0
// A client that sends exactly the bytes it is told to, and reads what comes.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace spillway::testing {

struct raw_response {
  int status{0};
  std::string head;  ///< Status line and headers, without the empty line.
  std::string body;

  [[nodiscard]] std::string header(std::string_view name) const {
    std::string wanted{"\r\n"};
    wanted.append(name).append(": ");
    const auto at = head.find(wanted);
    if (at == std::string::npos) return {};
    const auto begin = at + wanted.size();
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

/// Blocking. A read that gets nothing for twenty seconds throws, so that a test fails rather than hangs.
class raw_client {
 public:
  explicit raw_client(std::uint16_t port, int receive_buffer_bytes = 0) : socket_{::socket(AF_INET, SOCK_STREAM, 0)} {
    if (receive_buffer_bytes > 0) ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    wait_at_most(20'000);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const void* raw = &address;
    if (::connect(socket_, static_cast<const sockaddr*>(raw), sizeof address) != 0) {
      ::close(socket_);
      throw std::runtime_error("connection refused");
    }
  }
  ~raw_client() {
    if (socket_ >= 0) ::close(socket_);
  }
  raw_client(raw_client&& other) noexcept : socket_{std::exchange(other.socket_, -1)}, received_{std::move(other.received_)} {}
  raw_client& operator=(raw_client&&) = delete;

  /// False if the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// The next response; nothing if the connection ended before a whole one. `to_head`: the request was HEAD.
  std::optional<raw_response> read(bool to_head = false) {
    std::size_t end{0};
    while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
      if (!receive()) return std::nullopt;
    }
    raw_response response;
    response.head = received_.substr(0, end);
    response.status = std::atoi(response.head.c_str() + std::string_view{"HTTP/1.1 "}.size());
    received_.erase(0, end + 4);
    const auto length = static_cast<std::size_t>(std::atoll(response.header("Content-Length").c_str()));
    if (to_head) return response;
    while (received_.size() < length) {
      if (!receive()) return std::nullopt;
    }
    response.body = received_.substr(0, length);
    received_.erase(0, length);
    return response;
  }

  std::optional<raw_response> ask(std::string_view request) {
    send(request);
    return read();
  }

  /// Reads on to the end of the connection. True if nothing more came; a reset counts as an end.
  bool closes_silently() {
    while (receive()) {
    }
    return received_.empty();
  }

  /// True if the end comes within a moment.
  bool closed_within_ms(int milliseconds) {
    wait_at_most(milliseconds);
    char byte{};
    const auto got = ::recv(socket_, &byte, 1, MSG_PEEK);
    wait_at_most(20'000);
    return got == 0 || (got < 0 && errno == ECONNRESET);
  }

  [[nodiscard]] const std::string& unread() const noexcept { return received_; }
  void finish_sending() { ::shutdown(socket_, SHUT_WR); }

  /// Ends the connection with a reset.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(std::exchange(socket_, -1));
  }

 private:
  void wait_at_most(int milliseconds) {
    const timeval limit{milliseconds / 1000, milliseconds % 1000 * 1000};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }

  bool receive() {
    char bytes[16 * 1024];
    const auto got = ::recv(socket_, bytes, sizeof bytes, 0);
    if (got > 0) {
      received_.append(bytes, static_cast<std::size_t>(got));
      return true;
    }
    if (got < 0 && errno == EAGAIN) throw std::runtime_error("the server sent nothing for twenty seconds");
    return false;
  }

  int socket_;
  std::string received_;
};

}  // namespace spillway::testing
