// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace spillway::tests {

/// Stands between a client and a server on this machine: counts how often the talk changes direction, and cuts a connection or garbles what it says
/// when it hears a text.
class tcp_relay {
 public:
  explicit tcp_relay(int server_port) : server_port_{server_port} {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto here = loopback(0);
    socklen_t size = sizeof here;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&here), size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&here), &size) != 0) {
      throw std::runtime_error{"cannot listen"};
    }
    port_ = ntohs(here.sin_port);
    acceptor_ = std::thread{[this] { accept_all(); }};
  }
  ~tcp_relay() {
    stopped_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (auto& talk : talks_) talk.join();
    ::close(listener_);
  }
  tcp_relay(const tcp_relay&) = delete;
  tcp_relay& operator=(const tcp_relay&) = delete;

  [[nodiscard]] int port() const noexcept { return port_; }
  /// Times that a client has spoken after the server, or first.
  [[nodiscard]] std::uint64_t turns() const noexcept { return turns_; }
  /// The next client that says this is cut off: before the server has heard it, or after, when the answer is on its way.
  void cut_at(std::string text, bool server_hears) {
    const std::scoped_lock lock{mutex_};
    cut_text_ = std::move(text);
    server_hears_ = server_hears;
  }
  /// The next client that says this is understood to have said `other`, which is as long.
  void mishear(std::string text, std::string other) {
    const std::scoped_lock lock{mutex_};
    misheard_ = std::move(text);
    heard_ = std::move(other);
  }
  /// Connections that are made from now on lead to another server.
  void lead_to(int server_port) noexcept { server_port_ = server_port; }

 private:
  static sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  void accept_all() {
    for (;;) {
      const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) {
        if (errno == EINTR && !stopped_) continue;
        return;
      }
      talks_.emplace_back([this, client] { talk(client); });
    }
  }

  void talk(int client) {
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto there = loopback(server_port_);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&there), sizeof there) == 0) {
      const int on{1};
      ::setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      pass(client, server);
    }
    ::close(client);
    ::close(server);
  }

  void pass(int client, int server) {
    std::array<char, 16'384> chunk{};
    bool client_spoke{false};
    bool answer_is_cut{false};
    for (;;) {
      std::array<pollfd, 2> ends{pollfd{client, POLLIN, 0}, pollfd{server, POLLIN, 0}};
      if (::poll(ends.data(), ends.size(), 20) < 0 && errno != EINTR) return;
      if (stopped_) return;
      for (int i = 0; i < 2; ++i) {
        if (ends[static_cast<std::size_t>(i)].revents == 0) continue;
        const auto got = ::recv(ends[static_cast<std::size_t>(i)].fd, chunk.data(), chunk.size(), 0);
        if (got <= 0) return;
        const bool from_client = i == 0;
        if (from_client && !client_spoke) ++turns_;
        client_spoke = from_client;
        if (!from_client && answer_is_cut) return;
        if (from_client && must_cut({chunk.data(), static_cast<std::size_t>(got)}, answer_is_cut)) return;
        if (from_client) garble(chunk.data(), static_cast<std::size_t>(got));
        for (ssize_t sent = 0; sent < got;) {
          const auto put = ::send(from_client ? server : client, chunk.data() + sent, static_cast<std::size_t>(got - sent), MSG_NOSIGNAL);
          if (put <= 0) return;
          sent += put;
        }
      }
    }
  }

  bool must_cut(std::string_view said, bool& answer_is_cut) {
    const std::scoped_lock lock{mutex_};
    if (cut_text_.empty() || said.find(cut_text_) == std::string_view::npos) return false;
    cut_text_.clear();
    answer_is_cut = server_hears_;
    return !server_hears_;
  }

  void garble(char* said, std::size_t length) {
    const std::scoped_lock lock{mutex_};
    const auto at = misheard_.empty() ? std::string_view::npos : std::string_view{said, length}.find(misheard_);
    if (at == std::string_view::npos) return;
    heard_.copy(said + at, heard_.size());
    misheard_.clear();
  }

  std::atomic<int> server_port_;
  int listener_{-1};
  int port_{0};
  std::atomic<bool> stopped_{false};
  std::atomic<std::uint64_t> turns_{0};
  std::mutex mutex_;  // guards the four below
  std::string cut_text_;
  bool server_hears_{false};
  std::string misheard_;
  std::string heard_;
  std::list<std::thread> talks_;
  std::thread acceptor_;
};

}  // namespace spillway::tests
