// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <list>
#include <memory>
#include <stdexcept>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace spillway::tests {

/// Speaks TLS with PostgreSQL's clients on behalf of a server on this machine, as a proxy does: what the server says goes on in records as large as can be.
class tls_relay {
 public:
  explicit tls_relay(int server_port) : server_port_{server_port}, context_{SSL_CTX_new(TLS_server_method()), &SSL_CTX_free} {
    const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key{EVP_EC_gen("P-256"), &EVP_PKEY_free};
    const std::unique_ptr<X509, void (*)(X509*)> own{X509_new(), &X509_free};
    X509_gmtime_adj(X509_getm_notBefore(own.get()), 0);
    X509_gmtime_adj(X509_getm_notAfter(own.get()), 86'400);
    X509_set_pubkey(own.get(), key.get());
    X509_sign(own.get(), key.get(), EVP_sha256());
    if (SSL_CTX_use_certificate(context_.get(), own.get()) != 1 || SSL_CTX_use_PrivateKey(context_.get(), key.get()) != 1) {
      throw std::runtime_error{"cannot make a certificate"};
    }
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
  ~tls_relay() {
    stopped_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (auto& talk : talks_) talk.join();
    ::close(listener_);
  }
  tls_relay(const tls_relay&) = delete;
  tls_relay& operator=(const tls_relay&) = delete;

  [[nodiscard]] int port() const noexcept { return port_; }

 private:
  static constexpr std::size_t largest_record{16'384};

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
    const int on{1};
    ::setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    std::array<char, 8> asks_for_tls{};
    if (::connect(server, reinterpret_cast<const sockaddr*>(&there), sizeof there) == 0 &&
        ::recv(client, asks_for_tls.data(), asks_for_tls.size(), MSG_WAITALL) == 8 && ::send(client, "S", 1, MSG_NOSIGNAL) == 1) {
      const std::unique_ptr<SSL, void (*)(SSL*)> cipher{SSL_new(context_.get()), &SSL_free};
      SSL_set_fd(cipher.get(), client);
      if (SSL_accept(cipher.get()) == 1) pass(*cipher, client, server);
    }
    ::close(client);
    ::close(server);
  }

  void pass(SSL& cipher, int client, int server) {
    std::array<char, largest_record> chunk{};
    while (!stopped_) {
      std::array<pollfd, 2> ends{pollfd{client, POLLIN, 0}, pollfd{server, POLLIN, 0}};
      if (::poll(ends.data(), ends.size(), 20) < 0 && errno != EINTR) return;
      if (ends[0].revents != 0) {
        do {
          const int got = SSL_read(&cipher, chunk.data(), static_cast<int>(chunk.size()));
          if (got <= 0 || ::send(server, chunk.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL) != got) return;
        } while (SSL_pending(&cipher) > 0);
      }
      if (ends[1].revents != 0) {
        const auto got = fill(server, chunk);
        if (got == 0 || SSL_write(&cipher, chunk.data(), static_cast<int>(got)) <= 0) return;
      }
    }
  }

  /// What the server says without a pause, as far as it goes into a record.
  static std::size_t fill(int server, std::array<char, largest_record>& chunk) {
    std::size_t length{0};
    while (length < chunk.size()) {
      pollfd more{server, POLLIN, 0};
      if (length > 0 && ::poll(&more, 1, 2) <= 0) break;
      const auto got = ::recv(server, chunk.data() + length, chunk.size() - length, 0);
      if (got <= 0) break;
      length += static_cast<std::size_t>(got);
    }
    return length;
  }

  int server_port_;
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
  int listener_{-1};
  int port_{0};
  std::atomic<bool> stopped_{false};
  std::list<std::thread> talks_;
  std::thread acceptor_;
};

}  // namespace spillway::tests
