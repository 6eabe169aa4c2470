// SPDX-License-Identifier: Apache-2.0
#include <spillway/http/http_response.hpp>

#include <spillway/http/http_request.hpp>
#include <spillway/http/json_escape.hpp>

#include "character_class.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

namespace spillway {

namespace {

int checked_status(int status) {
  if (status < 200 || status > 599) throw std::invalid_argument(fmt::format("http_response: the status {} is not in [200, 599]", status));
  return status;
}

void check_header(std::string_view name, std::string_view value) {
  if (name.empty() || !detail::all_of_class(name, detail::token_characters)) {
    throw std::invalid_argument(fmt::format("http_response: '{}' is not a header name", name));
  }
  static constexpr std::array<std::string_view, 5> set_by_server{"content-length", "transfer-encoding", "connection", "date",
                                                                 "x-request-id"};
  for (const auto reserved : set_by_server) {
    if (detail::same_text(name, reserved)) {
      throw std::invalid_argument(fmt::format("http_response: the header '{}' is set by the server", name));
    }
  }
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7F) {
      throw std::invalid_argument(fmt::format("http_response: the value of the header '{}' has a control character", name));
    }
  }
}

}  // namespace

std::string_view http_reason(int status) noexcept {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 423: return "Locked";
    case 424: return "Failed Dependency";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Unknown";
  }
}

int http_status_of(const error_code& code) noexcept {
  if (code == errc::overloaded || code == errc::unavailable || code == errc::shutting_down || code == errc::cancelled) return 503;
  if (code == errc::timed_out) return 504;
  if (code == errc::invalid) return 400;
  if (code == errc::not_found) return 404;
  if (code == errc::conflict) return 409;
  if (code == errc::permission_denied) return 403;
  return 500;
}

http_response::http_response(int status) : status_{checked_status(status)} {}

http_response http_response::text(std::string body, int status) {
  http_response response{status};
  response.headers_.push_back({"Content-Type", "text/plain; charset=utf-8"});
  response.body_ = std::move(body);
  return response;
}

http_response http_response::json(std::string body, int status) {
  http_response response{status};
  response.headers_.push_back({"Content-Type", "application/json"});
  response.body_ = std::move(body);
  return response;
}

http_response http_response::shared(std::string content_type, std::shared_ptr<const std::string> body, int status) {
  http_response response{status};
  response.set("Content-Type", content_type);
  response.body_ = std::move(body);
  return response;
}

http_response http_response::problem(const http_request& request, int status, std::string_view detail) {
  http_response response{status};
  response.headers_.push_back({"Content-Type", "application/problem+json"});
  std::string body{R"({"type":"about:blank","title":)"};
  append_json_string(body, http_reason(status));
  body += fmt::format(R"(,"status":{})", status);
  if (!detail.empty()) {
    body += R"(,"detail":)";
    append_json_string(body, detail);
  }
  body += R"(,"request_id":)";
  append_json_string(body, request.request_id());
  body += '}';
  response.body_ = std::move(body);
  return response;
}

http_response http_response::problem(const http_request& request, const error_code& code, std::string_view detail) {
  auto response = problem(request, http_status_of(code), detail);
  if (response.status_ == 503) response.set("Retry-After", "1");
  return response;
}

http_response& http_response::status(int status) {
  status_ = checked_status(status);
  return *this;
}

http_response& http_response::set(std::string_view name, std::string_view value) & {
  check_header(name, value);
  http_header header{std::string{name}, std::string{value}};  // first: both may be views of what is removed
  remove(header.name);
  headers_.push_back(std::move(header));
  return *this;
}

http_response& http_response::add(std::string_view name, std::string_view value) & {
  check_header(name, value);
  headers_.push_back({std::string{name}, std::string{value}});
  return *this;
}

void http_response::remove(std::string_view name) noexcept {
  std::erase_if(headers_, [name](const http_header& header) { return detail::same_text(header.name, name); });
}

std::optional<std::string_view> http_response::header(std::string_view name) const noexcept {
  for (const auto& header : headers_) {
    if (detail::same_text(header.name, name)) return header.value;
  }
  return std::nullopt;
}

std::string_view http_response::body() const noexcept {
  if (const auto* own = std::get_if<std::string>(&body_)) return *own;
  const auto& shared = std::get<std::shared_ptr<const std::string>>(body_);
  return shared ? std::string_view{*shared} : std::string_view{};
}

}  // namespace spillway
