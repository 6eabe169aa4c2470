// SPDX-License-Identifier: Apache-2.0
// Drives a connection_core over a socket.
#pragma once

#include "connection_core.hpp"
#include "server_shared.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace spillway::detail {

template <class Executor>
class lane;

/// Everything but the constructor runs on the lane's executor. The coroutine `run` owns the object; the lane knows of it as long as it lives.
template <class Executor>
class connection {
 public:
  using tcp = boost::asio::ip::tcp;
  using socket_type = boost::asio::basic_stream_socket<tcp, Executor>;

  connection(std::shared_ptr<lane<Executor>> owner, socket_type socket, std::string peer, connection_place place)
      : lane_{std::move(owner)},
        place_{std::move(place)},
        socket_{std::move(socket)},
        peer_{std::move(peer)},
        core_{lane_->services(), peer_, lane_->now()} {
    lane_->enter(*this);
  }
  ~connection() { lane_->leave(*this); }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  static boost::asio::awaitable<void, Executor> run(std::unique_ptr<connection> self, bool refused) {
    try {
      boost::system::error_code ignored;
      self->socket_.non_blocking(true, ignored);
      self->socket_.set_option(tcp::no_delay{true}, ignored);
      if (refused) self->core_.refuse_connection();
      co_await self->serve();
    } catch (...) {
      // Out of memory: this connection ends, the others go on.
    }
    self->core_.abandon();
    self->report(self->cut_ ? http_outcome::cut_off : http_outcome::client_gone);
    auto owner = self->lane_;
    self.reset();
    owner->left();
  }

  /// Ends what has waited too long.
  void look(time_point now) {
    switch (judge(phase(), since(), now, lane_->shared().timeouts)) {
      case timeout_verdict::wait: break;
      case timeout_verdict::close: close(); break;
      case timeout_verdict::tell_client:
        core_.time_out(now);
        wake();
        break;
    }
  }

  /// In a drain: closes a connection that has had time for a further request and sent none.
  void look_idle(time_point now) {
    const auto at = phase();
    if (at != connection_phase::idle && at != connection_phase::fresh) return;
    if (now - since() >= lane_->shared().config.drain_grace && !unread()) close();
  }

  /// Ends it, whatever it does.
  void cut() {
    cut_ = true;
    close();
    handler_cancel_.emit(boost::asio::cancellation_type::terminal);
  }

  [[nodiscard]] connection_phase phase() const noexcept { return own_phase_.value_or(core_.phase()); }
  [[nodiscard]] const http_request& request() const noexcept { return core_.request(); }

  std::size_t index{0};  ///< In the lane's list.

 private:
  static constexpr auto use_tuple = boost::asio::as_tuple(boost::asio::use_awaitable_t<Executor>{});

  [[nodiscard]] time_point since() const noexcept { return own_phase_ ? own_since_ : core_.since(); }

  void enter_phase(connection_phase phase) {
    own_phase_ = phase;
    own_since_ = lane_->now();
  }

  /// True if the system holds bytes for us.
  [[nodiscard]] bool unread() {
    boost::system::error_code ec;
    return socket_.available(ec) != 0 && !ec;
  }

  void close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  void wake() {
    boost::system::error_code ignored;
    socket_.cancel(ignored);
  }

  boost::asio::awaitable<void, Executor> serve() {
    using step = connection_core::step;
    for (;;) {
      switch (core_.advance()) {
        case step::read: {
          const auto space = core_.space();
          const auto [ec, bytes] = co_await socket_.async_read_some(boost::asio::buffer(space.data(), space.size()), use_tuple);
          if (cut_ || !socket_.is_open()) co_return;
          if (core_.ended()) break;  // it took too long; what has come now is too late
          if (ec) co_return;
          core_.received(bytes, lane_->now());
          break;
        }
        case step::handle: {
          auto& counters = lane_->shared().counters;
          counters.started.add();
          const auto& chain = core_.chain();
          if (chain.waits()) {
            auto pending = chain.async_run(core_.request(), 0);
            auto token = boost::asio::bind_cancellation_slot(handler_cancel_.slot(), boost::asio::use_awaitable_t<Executor>{});
            auto response = co_await boost::asio::co_spawn(lane_->executor(), std::move(pending), token);
            if (cut_) co_return;
            core_.answer(std::move(response), ends_here(), lane_->now());
          } else {
            core_.answer(chain.run(core_.request()), ends_here(), core_.received_at());
          }
          break;
        }
        case step::write: {
          while (!core_.all_sent()) {
            boost::system::error_code ec;
            const auto pieces = core_.output();
            const std::array<boost::asio::const_buffer, 2> buffers{boost::asio::buffer(pieces[0]), boost::asio::buffer(pieces[1])};
            const auto bytes = socket_.write_some(buffers, ec);
            core_.sent(bytes);
            if (!ec) continue;
            if (ec != boost::asio::error::would_block && ec != boost::asio::error::try_again) co_return;
            enter_phase(connection_phase::writing);
            const auto [waited] = co_await socket_.async_wait(socket_type::wait_write, use_tuple);
            if (waited || cut_ || !socket_.is_open()) co_return;
          }
          own_phase_.reset();
          report(http_outcome::completed);
          break;
        }
        case step::close:
          if (core_.should_linger() || unread()) co_await linger();
          co_return;
      }
    }
  }

  /// Ends our side and reads on for a while: closing a socket with unread bytes would destroy the response on its way.
  boost::asio::awaitable<void, Executor> linger() {
    constexpr std::size_t most_bytes{1024 * 1024};
    boost::system::error_code ec;
    socket_.shutdown(socket_type::shutdown_send, ec);
    if (ec) co_return;
    enter_phase(connection_phase::lingering);
    std::array<char, 2048> dropped;
    for (std::size_t total = 0; total < most_bytes;) {
      const auto [failed, bytes] = co_await socket_.async_read_some(boost::asio::buffer(dropped), use_tuple);
      if (failed) co_return;
      total += bytes;
    }
  }

  /// In a drain the connection ends with the last request that has reached us.
  [[nodiscard]] bool ends_here() { return lane_->draining() && !core_.has_input_behind() && !unread(); }

  void report(http_outcome outcome) noexcept {
    const auto now = lane_->now();
    for (const auto& one : core_.answered()) lane_->report(one, outcome, peer_, now);
    core_.flushed(now);
  }

  const std::shared_ptr<lane<Executor>> lane_;
  const connection_place place_;
  socket_type socket_;
  const std::string peer_;
  connection_core core_;
  boost::asio::cancellation_signal handler_cancel_;
  std::optional<connection_phase> own_phase_;  // writing and lingering, of which the core knows nothing
  time_point own_since_;
  bool cut_{false};
};

}  // namespace spillway::detail
