// SPDX-License-Identifier: Apache-2.0
/// @file
/// The code that answers a request, and the code around it.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/http/http_request.hpp>
#include <spillway/http/http_response.hpp>

#include <boost/asio/awaitable.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace spillway {

/// Answers requests of one route: a function that must not block, or a coroutine that may wait.
///
///     http_response hello(const http_request& request);
///     asio::awaitable<http_response> report(http_request& request);
///
/// Threads:      called from every thread of the server at once.
/// Errors:       an exception becomes a 500, a boost::system::system_error the status of `http_status_of` if that is 503 or 504; both are
///               reported to the server's log.
/// Cancellation: a coroutine gets a terminal cancellation when the server stops, and at the deadline of its drain.
class http_handler {
 public:
  using function = std::function<http_response(http_request&)>;
  using coroutine = std::function<boost::asio::awaitable<http_response>(http_request&)>;

  template <class F>
    requires std::same_as<std::invoke_result_t<F&, http_request&>, http_response>
  http_handler(F handler) : handler_{function{std::move(handler)}} {}  // NOLINT: a handler is passed as itself

  template <class F>
    requires std::same_as<std::invoke_result_t<F&, http_request&>, boost::asio::awaitable<http_response>>
  http_handler(F handler) : handler_{coroutine{std::move(handler)}} {}  // NOLINT: a handler is passed as itself

  [[nodiscard]] const std::variant<function, coroutine>& get() const noexcept { return handler_; }

 private:
  std::variant<function, coroutine> handler_;
};

namespace detail {
class call_chain;
}

/// The rest of the chain, as a wrapping middleware sees it.
///
/// Lifetime: as long as the call that got it.
class SPILLWAY_EXPORT http_next {
 public:
  /// Runs the rest and gives its response. Does not throw what the handler threw: that is a 500 by now. At most once a request.
  [[nodiscard]] boost::asio::awaitable<http_response> operator()(http_request& request) const;

 private:
  friend class detail::call_chain;
  http_next(const detail::call_chain& chain, std::size_t position) noexcept : chain_{&chain}, position_{position} {}

  const detail::call_chain* chain_;
  std::size_t position_;
};

/// Something done around handlers: at one point before and one after, or wrapped around the call.
///
///     auto no_store = http_middleware::after([](const http_request&, http_response& r) { r.set("Cache-Control", "no-store"); });
///     auto limited = http_middleware::around(
///         [&](http_request& request, const http_next& next) -> asio::awaitable<http_response> {
///           auto permit = co_await bulkhead.async_acquire(request.until(), asio::use_awaitable);
///           co_return co_await next(request);
///         });
///
/// The first in the chain is the outermost. `before` may answer itself: then nothing further in is run, and the `after` of those further out
/// still is. A chain without `around` costs no coroutine.
///
/// Threads: called from every thread of the server at once.
/// Errors:  an exception becomes a 500, as that of a handler.
class http_middleware {
 public:
  using before_function = std::function<std::optional<http_response>(http_request&)>;
  using after_function = std::function<void(const http_request&, http_response&)>;
  using around_function = std::function<boost::asio::awaitable<http_response>(http_request&, const http_next&)>;

  [[nodiscard]] static http_middleware before(before_function run) { return http_middleware{std::move(run)}; }
  [[nodiscard]] static http_middleware after(after_function run) { return http_middleware{std::move(run)}; }
  [[nodiscard]] static http_middleware around(around_function run) { return http_middleware{std::move(run)}; }

  [[nodiscard]] const std::variant<before_function, after_function, around_function>& get() const noexcept { return run_; }

 private:
  template <class F>
  explicit http_middleware(F run) : run_{std::move(run)} {}

  std::variant<before_function, after_function, around_function> run_;
};

}  // namespace spillway
