// SPDX-License-Identifier: Apache-2.0
/// @file
/// Which handler answers which request.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/http/http_handler.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway {

namespace detail {
class route_table;
}

/// What one route does differently from the others. The defaults change nothing.
struct http_route_options {
  http_route_options() {}  // not an aggregate: may be a temporary in a co_await expression

  std::vector<http_middleware> middleware;          ///< Run inside the router's own, in this order.
  std::optional<std::uint64_t> max_body_bytes;      ///< Instead of http_server_config::max_body_bytes. At most 1 TiB.
  std::optional<std::chrono::milliseconds> timeout; ///< Instead of http_server_config::request_timeout. Above zero.
};

/// What `http_router::match` found.
struct http_match {
  int status{404};      ///< 200 if a route answers; else 404, 405, or 400 for a path that is malformed.
  std::string pattern;  ///< Of the route, if there is one.
  std::vector<std::pair<std::string, std::string>> parameters;
  std::string allow;    ///< At 405: the methods that the path answers, as in an Allow header.
};

/// Maps methods and path patterns to handlers.
///
///     http_router router;
///     router.get("/v1/projects/{id}", show_project);
///     router.post("/v1/projects/{id}/analyses", start_analysis);
///     router.get("/files/{path*}", send_file);            // takes the rest of the path, slashes included
///
/// A pattern is matched segment by segment; text beats a parameter, a parameter beats a rest, whatever the order of registration. A parameter is
/// never empty, a rest may be. Paths are compared exactly: case and a slash at the end count. HEAD is answered by the GET route, OPTIONS
/// with the list of methods, unless a route of its own says otherwise.
///
/// Threads:  one at a time; once given to a server it is not changed.
/// Errors:   `route` and its kin throw std::invalid_argument naming both patterns if two would answer the same request, and if a pattern or an
///           option is malformed.
class SPILLWAY_EXPORT http_router {
 public:
  http_router();
  http_router(http_router&&) noexcept;
  http_router& operator=(http_router&&) noexcept;
  ~http_router();

  /// Puts middleware around every route, those of this router registered earlier too, and around its answers 404, 405 and OPTIONS.
  void use(http_middleware middleware);

  void route(http_method method, std::string_view pattern, http_handler handler, http_route_options options = {});

  void get(std::string_view pattern, http_handler handler, http_route_options options = {}) {
    route(http_method::get, pattern, std::move(handler), std::move(options));
  }
  void post(std::string_view pattern, http_handler handler, http_route_options options = {}) {
    route(http_method::post, pattern, std::move(handler), std::move(options));
  }
  void put(std::string_view pattern, http_handler handler, http_route_options options = {}) {
    route(http_method::put, pattern, std::move(handler), std::move(options));
  }
  void patch(std::string_view pattern, http_handler handler, http_route_options options = {}) {
    route(http_method::patch, pattern, std::move(handler), std::move(options));
  }
  void del(std::string_view pattern, http_handler handler, http_route_options options = {}) {
    route(http_method::del, pattern, std::move(handler), std::move(options));
  }

  /// The route that a request for `path`, percent-encoded as sent, would meet. What a server answers by itself is none: the list of methods for
  /// OPTIONS and 501 for `http_method::other` are 405 or 404 here. For tests and tools.
  [[nodiscard]] http_match match(http_method method, std::string_view path) const;

 private:
  friend class http_server;
  std::unique_ptr<detail::route_table> table_;
};

}  // namespace spillway
