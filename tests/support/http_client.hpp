// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace spillway::tests {

struct http_answer {
  int status{0};
  std::map<std::string, std::string> headers;  ///< Names in lower case.
  std::string body;
};

/// A blocking HTTP/1.1 client over one loopback connection, plain enough to send what no client should.
class http_client {
 public:
  explicit http_client(std::uint16_t port) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ::close(fd_);
      throw std::runtime_error{"connect failed"};
    }
  }
  ~http_client() { ::close(fd_); }
  http_client(const http_client&) = delete;
  http_client& operator=(const http_client&) = delete;

  /// False if the connection is broken.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// The next response, or nothing if the connection ended first. `head` says that it has no body whatever its length.
  std::optional<http_answer> receive(bool head = false) {
    std::size_t end{0};
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!fill()) return std::nullopt;
    }
    http_answer answer;
    std::string_view lines{buffer_.data(), end};
    answer.status = std::stoi(std::string{lines.substr(9, 3)});
    lines.remove_prefix(std::min(lines.find("\r\n"), lines.size()));
    while (lines.size() > 2) {
      lines.remove_prefix(2);
      const auto line = lines.substr(0, lines.find("\r\n"));
      const auto colon = line.find(':');
      std::string name{line.substr(0, colon)};
      std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
      answer.headers[name] = line.substr(colon + 2);
      lines.remove_prefix(line.size());
    }
    buffer_.erase(0, end + 4);
    const auto length = answer.headers.find("content-length");
    const auto size = length == answer.headers.end() || head ? 0 : static_cast<std::size_t>(std::stoull(length->second));
    while (buffer_.size() < size) {
      if (!fill()) return std::nullopt;
    }
    answer.body = buffer_.substr(0, size);
    buffer_.erase(0, size);
    return answer;
  }

  std::optional<http_answer> request(std::string_view method, std::string_view target, std::string_view body = {}, std::string_view headers = {}) {
    std::string text;
    text.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: localhost\r\n").append(headers);
    if (!body.empty() || method == "POST") text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
    text.append("\r\n").append(body);
    if (!send(text)) return std::nullopt;
    return receive(method == "HEAD");
  }

 private:
  bool fill() {
    char chunk[16384];
    const auto got = ::recv(fd_, chunk, sizeof chunk, 0);
    if (got <= 0) return false;
    buffer_.append(chunk, static_cast<std::size_t>(got));
    return true;
  }

  int fd_{-1};
  std::string buffer_;
};

}  // namespace spillway::tests
