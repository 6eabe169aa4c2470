// SPDX-License-Identifier: Apache-2.0
// A response as bytes.
#pragma once

#include <spillway/http/http_response.hpp>

#include <string>
#include <string_view>

namespace spillway::detail {

/// What the response to this request needs beside itself.
struct response_context {
  std::string_view date;
  std::string_view request_id;
  bool head_only{false};   ///< The request was HEAD.
  bool close{false};       ///< The connection ends after this response.
  bool version_11{true};   ///< A client of HTTP/1.0 must be told that the connection stays open.
};

/// Appends the head to `out`. Answers the body that must follow it, which is a view into `response`.
std::string_view write_head(std::string& out, const http_response& response, const response_context& context);

}  // namespace spillway::detail
