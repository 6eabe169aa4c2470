// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a client gets.
#pragma once

#include <spillway/core/error.hpp>
#include <spillway/core/export.hpp>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace spillway {

class http_request;

struct http_header {
  std::string name;
  std::string value;
};

/// The standard phrase of a status, "Not Found"; "Unknown" for a number that has none.
[[nodiscard]] SPILLWAY_EXPORT std::string_view http_reason(int status) noexcept;

/// The status that tells a client what `code` means for it, by its condition: 503 overloaded, unavailable, shutting_down or cancelled;
/// 504 timed_out; 400 invalid; 404 not_found; 409 conflict; 403 permission_denied; 500 everything else.
[[nodiscard]] SPILLWAY_EXPORT int http_status_of(const error_code& code) noexcept;

/// A status, headers and a body. The server adds Content-Length, Connection, Date and X-Request-Id, and leaves the body out where HTTP has none
/// (HEAD, 204, 304).
///
///     return http_response::json(R"({"state":"done"})").set("Cache-Control", "no-store");
///
/// Threads: a value, one at a time; a shared body may be sent by any number of threads.
/// Errors:  members that take a header throw std::invalid_argument if name or value would break the message, or if the server sets it itself.
class SPILLWAY_EXPORT http_response {
 public:
  /// No body. `status` in [200, 599], else std::invalid_argument.
  explicit http_response(int status = 200);

  /// text/plain in UTF-8.
  [[nodiscard]] static http_response text(std::string body, int status = 200);
  /// application/json; the text is sent as it is.
  [[nodiscard]] static http_response json(std::string body, int status = 200);
  /// Bytes that several responses share, sent without a copy.
  [[nodiscard]] static http_response shared(std::string content_type, std::shared_ptr<const std::string> body, int status = 200);

  /// An error as application/problem+json (RFC 9457): status, title, the detail if not empty, and the request's id.
  [[nodiscard]] static http_response problem(const http_request& request, int status, std::string_view detail = {});
  /// The same with the status of `http_status_of`; a 503 carries `Retry-After: 1`.
  [[nodiscard]] static http_response problem(const http_request& request, const error_code& code, std::string_view detail = {});

  [[nodiscard]] int status() const noexcept { return status_; }
  http_response& status(int status);

  /// Replaces every header of that name.
  http_response& set(std::string_view name, std::string_view value) &;
  http_response&& set(std::string_view name, std::string_view value) && { return std::move(set(name, value)); }
  /// One more header of that name, such as Set-Cookie.
  http_response& add(std::string_view name, std::string_view value) &;
  http_response&& add(std::string_view name, std::string_view value) && { return std::move(add(name, value)); }
  void remove(std::string_view name) noexcept;
  /// The first of that name, in any case of letters.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept;
  [[nodiscard]] std::span<const http_header> headers() const noexcept { return headers_; }

  [[nodiscard]] std::string_view body() const noexcept;
  void body(std::string bytes) noexcept { body_ = std::move(bytes); }
  void body(std::shared_ptr<const std::string> bytes) noexcept { body_ = std::move(bytes); }

 private:
  int status_;
  std::vector<http_header> headers_;
  std::variant<std::string, std::shared_ptr<const std::string>> body_;
};

}  // namespace spillway
