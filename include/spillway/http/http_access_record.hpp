// SPDX-License-Identifier: Apache-2.0
/// @file
/// One line of the access log, before anyone made it a line.
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/http/http_request.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>

namespace spillway {

enum class http_outcome : std::uint8_t {
  completed,    ///< The response was handed to the operating system in full.
  rejected,     ///< No handler ran: the request was malformed, too large or too slow. `reason` says what.
  client_gone,  ///< The connection broke before the response was sent.
  cut_off,      ///< The server stopped, or its drain deadline passed, before the response was sent.
};

/// One request as it ended. Text comes from strangers: any byte may be in it.
///
/// Lifetime: the views live as long as the call of the sink.
struct http_access_record {
  wall_time_point at;                ///< When its first byte was read.
  std::chrono::nanoseconds duration{0};  ///< From then until the response was sent.
  http_outcome outcome{http_outcome::completed};
  http_method method{http_method::other};
  int status{0};                     ///< 0 if no response was made.
  std::uint64_t request_bytes{0};    ///< Of the body.
  std::uint64_t response_bytes{0};   ///< Of the whole response.
  std::string_view method_name;      ///< As sent, at most 32 bytes.
  std::string_view route;            ///< The pattern; empty if none matched.
  std::string_view target;           ///< As sent, at most 1,024 bytes.
  std::string_view reason;           ///< Why it was rejected, as in spillway_http_rejected_total; else empty.
  std::string_view request_id;
  std::string_view peer;
  std::string_view user_agent;       ///< At most 256 bytes.
};

/// Called on the server's threads for each request, so it must be quick, must not throw, and must bear several calls at once.
using http_access_sink = std::function<void(const http_access_record&)>;

}  // namespace spillway
