// SPDX-License-Identifier: Apache-2.0
// Runs a handler inside its middleware.
#pragma once

#include <spillway/core/log.hpp>
#include <spillway/http/http_handler.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <exception>
#include <optional>
#include <vector>

namespace spillway::detail {

/// A handler with all middleware around it, outermost first. Made once, used by all threads.
///
/// Lifetime: handler, middleware and log outlive it.
class call_chain {
 public:
  call_chain(const http_handler& handler, std::vector<const http_middleware*> around, const log_sink& log);

  /// True if it must be awaited.
  [[nodiscard]] bool waits() const noexcept { return waits_; }

  /// Only if it does not wait. Throws nothing but std::bad_alloc.
  [[nodiscard]] http_response run(http_request& request) const;

  /// The part of the chain from `position` on.
  [[nodiscard]] boost::asio::awaitable<http_response> async_run(http_request& request, std::size_t position) const;

 private:
  /// Runs `before`s from `position` on, until one answers or an `around` or the end is reached; answers where it stopped.
  std::size_t enter(http_request& request, std::size_t position, std::optional<http_response>& response) const;
  /// Runs the `after`s in front of `position`, innermost first, down to `first`.
  void leave(const http_request& request, std::size_t position, std::size_t first, http_response& response) const;
  /// What the client gets for the exception being handled.
  [[nodiscard]] http_response failure(const http_request& request) const;

  const http_handler& handler_;
  std::vector<const http_middleware*> around_;
  const log_sink& log_;
  bool waits_;
};

}  // namespace spillway::detail
