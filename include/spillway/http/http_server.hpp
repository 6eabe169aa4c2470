// SPDX-License-Identifier: Apache-2.0
/// @file
/// An HTTP/1.1 server with limits, metrics and a drain.
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/core/deadline.hpp>
#include <spillway/core/export.hpp>
#include <spillway/core/log.hpp>
#include <spillway/core/metric_writer.hpp>
#include <spillway/http/http_access_record.hpp>
#include <spillway/http/http_router.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

class io_runner;

namespace detail {
class server_body;
}

/// Where to listen, and what a client may ask for. The defaults are usable as they stand; beyond a limit the client gets the status named there.
struct http_server_config {
  http_server_config() {}  // not an aggregate: may be a temporary in a co_await expression

  std::string address{"127.0.0.1"};  ///< IPv4 or IPv6 in digits; "::" listens on both.
  std::uint16_t port{0};             ///< 0 takes a free one, see `local_endpoint`.
  int backlog{4096};                 ///< Connections the system holds until they are accepted. In [1, 65535].

  std::size_t max_connections{10'000};         ///< 503, at once; while 256 are being told so, more are closed without it. In [1, 1'000'000].
  std::size_t max_target_bytes{8 * 1024};      ///< Path and query: 414. In [16, 64 KiB].
  std::size_t max_head_bytes{32 * 1024};       ///< Request line and headers: 431. In [256, 1 MiB].
  std::size_t max_headers{100};                ///< 431. In [1, 1000].
  std::uint64_t max_body_bytes{1024 * 1024};   ///< 413, before it is read if its length was told. At most 1 TiB.
  std::uint64_t max_requests_per_connection{100'000};  ///< Then `Connection: close`. At least 1.
  std::size_t max_pipelined{32};  ///< Requests of one connection answered with one write; more wait their turn. In [1, 1024].

  std::chrono::milliseconds idle_timeout{60'000};     ///< Between two requests; then closed without a word. In [1 ms, 1 day], as all below.
  std::chrono::milliseconds head_timeout{10'000};     ///< From a request's first byte, or the connection's begin, to its head: 408.
  std::chrono::milliseconds body_timeout{30'000};     ///< From the head to the end of the body: 408.
  std::chrono::milliseconds write_timeout{30'000};    ///< Without progress in sending the response; then closed.
  std::chrono::milliseconds request_timeout{30'000};  ///< `http_request::until`. The server itself does not end the handler by it.
  std::chrono::milliseconds sweep_interval{250};      ///< How often timeouts are looked at, so how late they may be. In [1 ms, 1 min].
  /// In a drain, how long a connection whose last answer is younger than this is left open for one more request, so that a client in full
  /// swing loses none. In [0 ms, 1 min].
  std::chrono::milliseconds drain_grace{250};
  std::chrono::seconds retry_after{1};  ///< Told with a 503 for too many connections. In [0 s, 1 day].

  /// On a caller's executor: how many connections may be worked on at one moment. In [0, 1024]; 0 means one for each processor.
  std::size_t strands{0};
  http_access_sink access;  ///< Empty: no access log.
  log_sink log;             ///< Handlers that threw, accepts that failed. Empty: dropped.
};

struct http_endpoint {
  std::string address;
  std::uint16_t port{0};
};

/// A request that was still being answered when the drain deadline passed.
struct http_unfinished_request {
  std::string method;
  std::string route;  ///< The pattern.
  std::string request_id;
  std::string peer;
  std::chrono::milliseconds age{0};
};

struct http_drain_report {
  std::uint64_t answered{0};  ///< Requests answered since the drain began.
  std::vector<http_unfinished_request> unfinished;  ///< Oldest first, at most 100.
  std::uint64_t unfinished_count{0};
};

struct http_server_stats {
  std::uint64_t connections_open{0};
  std::uint64_t connections_accepted{0};
  std::uint64_t requests_active{0};  ///< Being answered now.
  std::uint64_t requests_answered{0};
  std::uint64_t requests_rejected{0};  ///< For any reason, connections beyond the limit too.
};

/// Serves a router over TCP.
///
///     io_runner runner;
///     http_server server{config, std::move(router), runner};
///     server.start();
///     runner.start();
///     ...
///     const auto report = server.drain(deadline::after(clock.now(), 20s));
///
/// Threads:      every member may be called from any thread; handlers run on the threads of the runner or executor.
/// Lifetime:     destroyed before the runner or the executor's context; `clock` and what handlers refer to outlive those. The destructor stops.
/// Errors:       the constructor throws std::invalid_argument naming the field; `start` throws boost::system::system_error if it cannot listen.
/// Time:         `clock` for all timeouts, looked at once a request and once a sweep.
/// Cancellation: `stop` cancels coroutine handlers; `async_drain` itself cannot be cancelled.
/// Cost:         in steady state a plain handler's request allocates only what the handler does.
class SPILLWAY_EXPORT http_server {
 public:
  http_server(const http_server_config& config, http_router router, io_runner& runner,
              const clock_source& clock = system_clock_source());
  http_server(const http_server_config& config, http_router router, boost::asio::any_io_executor executor,
              const clock_source& clock = system_clock_source());
  ~http_server();
  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  /// Listens and accepts from now on. Once; if it could not listen, again.
  void start();

  /// Where it listens; valid once started.
  [[nodiscard]] http_endpoint local_endpoint() const;

  /// Stops accepting, lets the requests in flight finish with `Connection: close`, closes idle connections, and reports at `until` at the
  /// latest what had not finished; that is then cut off. Turn readiness off before. Signature: void(http_drain_report).
  template <boost::asio::completion_token_for<void(http_drain_report)> Token>
  auto async_drain(deadline until, Token&& token) {
    return boost::asio::async_initiate<Token, void(http_drain_report)>(
        [this, until](auto handler) { begin_drain(until, std::move(handler)); }, token);
  }

  /// The same, blocking. Throws std::logic_error on a thread of the server, where it might wait for itself: one of the runner, or of the
  /// io_context or thread_pool whose executor was given. With any other executor only a handler is told.
  http_drain_report drain(deadline until);

  /// Closes everything at once; safe to call again. Handlers may still be on their way out when it returns.
  void stop() noexcept;

  [[nodiscard]] http_server_stats stats() const noexcept;

 private:
  friend SPILLWAY_EXPORT void write_metrics(const http_server& server, std::string_view name, metric_writer& out);

  void begin_drain(deadline until, boost::asio::any_completion_handler<void(http_drain_report)> done);

  std::unique_ptr<detail::server_body> body_;
};

/// Rate, errors and duration by route pattern, method and status; active requests, connections and rejections by reason. All carry `server=name`.
SPILLWAY_EXPORT void write_metrics(const http_server& server, std::string_view name, metric_writer& out);

}  // namespace spillway
