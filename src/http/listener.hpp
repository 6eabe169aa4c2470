// SPDX-License-Identifier: Apache-2.0
// Accepts connections and deals them to the lanes in turn.
#pragma once

#include "lane.hpp"
#include "server_shared.hpp"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include <fmt/format.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace spillway::detail {

/// One for the server, on the executor of its first lane. Asked to close, it deals out what the system has accepted already, and then tells the
/// lanes: so a lane that drains gets no further connection.
template <class Executor>
class listener : public std::enable_shared_from_this<listener<Executor>> {
 public:
  using tcp = boost::asio::ip::tcp;
  using lane_type = lane<Executor>;

  listener(std::shared_ptr<server_shared> shared, std::vector<std::shared_ptr<lane_type>> lanes)
      : shared_{std::move(shared)}, lanes_{std::move(lanes)}, acceptor_{lanes_.front()->executor()}, pause_{lanes_.front()->executor()} {}

  /// On the caller's thread, before anything else. Throws if it cannot listen.
  [[nodiscard]] tcp::endpoint listen() {
    const auto& config = shared_->config;
    try {
      const tcp::endpoint wanted{boost::asio::ip::make_address(config.address), config.port};
      acceptor_.open(wanted.protocol());
      acceptor_.set_option(typename acceptor_type::reuse_address{true});
      if (wanted.address().is_v6()) acceptor_.set_option(boost::asio::ip::v6_only{false});
      acceptor_.bind(wanted);
      acceptor_.listen(config.backlog);
      return acceptor_.local_endpoint();
    } catch (const boost::system::system_error& failed) {
      boost::system::error_code ignored;
      acceptor_.close(ignored);  // or a second try would fail for being open
      throw boost::system::system_error{failed.code(), fmt::format("http_server: cannot listen on {} port {}", config.address, config.port)};
    }
  }

  /// On the executor of the first lane, as all below.
  static boost::asio::awaitable<void, Executor> run(std::shared_ptr<listener> self) {
    bool pause{false};
    while (!self->closing_) {
      try {
        if (std::exchange(pause, false)) {
          self->pause_.expires_after(std::chrono::milliseconds{100});
          co_await self->pause_.async_wait(use_tuple);
          continue;
        }
        auto& to = *self->lanes_[self->turn_];
        tcp::endpoint peer;
        auto [ec, socket] = co_await self->acceptor_.async_accept(to.executor(), peer, use_tuple);
        if (!ec) {
          self->deal(std::move(socket), peer);
        } else if (!self->closing_) {
          pause = true;
          self->shared_->accept_failed(ec.message());
        }
      } catch (...) {
        pause = true;
        self->shared_->accept_threw();
      }
    }
    self->close();
  }

  void drain(deadline until) {
    until_ = until_.sooner(until);
    if (closed_) {
      pass_on();
    } else {
      end();
    }
  }

  /// What is still waiting to be accepted is lost.
  void stop() {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    end();
  }

 private:
  using acceptor_type = boost::asio::basic_socket_acceptor<tcp, Executor>;
  static constexpr auto use_tuple = boost::asio::as_tuple(boost::asio::use_awaitable_t<Executor>{});
  static constexpr std::size_t most_refused{256};

  void end() {
    closing_ = true;
    boost::system::error_code ignored;
    acceptor_.cancel(ignored);
    pause_.cancel();
  }

  void close() {
    boost::system::error_code ec;
    acceptor_.non_blocking(true, ec);
    while (!ec) {
      tcp::endpoint peer;
      typename lane_type::socket_type socket{lanes_[turn_]->executor()};
      acceptor_.accept(socket, peer, ec);
      if (!ec) deal(std::move(socket), peer);
    }
    acceptor_.close(ec);
    closed_ = true;
    pass_on();
  }

  void pass_on() {
    for (auto& one : lanes_) {
      boost::asio::post(one->executor(), [one, until = until_] { one->drain(until); });
    }
  }

  void deal(typename lane_type::socket_type socket, const tcp::endpoint& peer) noexcept try {
    shared_->counters.accepted.add();
    auto& to = lanes_[turn_];
    turn_ = (turn_ + 1) % lanes_.size();
    const bool full = shared_->open.load(std::memory_order_relaxed) >= shared_->config.max_connections;
    if (full && shared_->refused.load(std::memory_order_relaxed) >= most_refused) {
      shared_->counters.rejected[static_cast<std::size_t>(rejection::connections)].add();
      return;  // a flood: not even told
    }
    connection_place place{shared_, full ? &server_shared::refused : &server_shared::open};
    auto adopt = [to, socket = std::move(socket), address = text_of(peer.address()), place = std::move(place), full]() mutable {
      to->adopt(std::move(socket), std::move(address), std::move(place), full);
    };
    boost::asio::dispatch(to->executor(), std::move(adopt));
  } catch (...) {
    shared_->accept_threw();  // this connection is lost, the next is not
  }

  /// An IPv4 client of a socket for both is shown as what it is.
  [[nodiscard]] static std::string text_of(const boost::asio::ip::address& address) {
    using namespace boost::asio::ip;
    if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address.to_string();
    return make_address_v4(v4_mapped, address.to_v6()).to_string();
  }

  const std::shared_ptr<server_shared> shared_;
  const std::vector<std::shared_ptr<lane_type>> lanes_;
  acceptor_type acceptor_;
  boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor> pause_;
  std::size_t turn_{0};
  deadline until_;
  bool closing_{false};
  bool closed_{false};
};

}  // namespace spillway::detail
