// SPDX-License-Identifier: Apache-2.0
#include "request_parser.hpp"

#include "character_class.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <utility>

namespace spillway::detail {

namespace {

namespace http = boost::beast::http;

[[nodiscard]] http_method method_of(std::string_view name) noexcept {
  static constexpr std::array<std::pair<std::string_view, http_method>, 9> known{{{"GET", http_method::get},
                                                                                   {"POST", http_method::post},
                                                                                   {"PUT", http_method::put},
                                                                                   {"DELETE", http_method::del},
                                                                                   {"PATCH", http_method::patch},
                                                                                   {"HEAD", http_method::head},
                                                                                   {"OPTIONS", http_method::options},
                                                                                   {"CONNECT", http_method::connect},
                                                                                   {"TRACE", http_method::trace}}};
  for (const auto& [text, method] : known) {
    if (text == name) return method;
  }
  return http_method::other;
}

/// True for a well-formed HTTP-version at the end of the request line: then the request is not malformed, only not for us.
[[nodiscard]] bool names_other_version(std::string_view head) noexcept {
  const auto line = head.substr(0, head.find('\r'));
  const auto space = line.rfind(' ');
  if (space == std::string_view::npos) return false;
  const auto version = line.substr(space + 1);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return version.size() == 8 && version.starts_with("HTTP/") && is_digit(version[5]) && version[6] == '.' && is_digit(version[7]);
}

}  // namespace

std::optional<refusal> request_parser::parse_head(std::string_view text) {
  header_limit(std::numeric_limits<std::uint32_t>::max());  // head_scanner has looked at the size
  body_limit(boost::none);                                  // see limit_body
  error ec;
  const auto used = put(boost::asio::const_buffer{text.data(), text.size()}, ec);
  if (ec) return explain(ec, text);
  if (used != text.size()) return refusal{rejection::malformed, "The head is malformed."};
  return check_framing();
}

std::optional<refusal> request_parser::check_framing() const noexcept {
  if (hosts_ > 1) return refusal{rejection::malformed, "There is more than one Host header."};
  if (hosts_ == 0 && head_.version_11) return refusal{rejection::malformed, "The Host header is missing."};
  if (!all_of_class(head_.host, host_characters)) return refusal{rejection::malformed, "The Host header is malformed."};
  if (lengths_ > 1) return refusal{rejection::malformed, "There is more than one Content-Length."};
  if (codings_ > 0) {
    if (!head_.version_11) return refusal{rejection::malformed, "HTTP/1.0 has no Transfer-Encoding."};
    if (lengths_ > 0) return refusal{rejection::malformed, "There are both a Content-Length and a Transfer-Encoding."};
    if (codings_ > 1) return refusal{rejection::malformed, "There is more than one Transfer-Encoding."};
    if (!same_text(transfer_encoding_, "chunked")) {
      return refusal{rejection::transfer_coding, "The only transfer coding taken is chunked."};
    }
  }
  if (!expect_.empty() && head_.version_11 && !head_.expects_continue) {
    return refusal{rejection::expectation, "The only expectation met is 100-continue."};
  }
  return std::nullopt;
}

std::optional<std::uint64_t> request_parser::content_length() const {
  const auto length = base::content_length();
  return length ? std::optional<std::uint64_t>{*length} : std::nullopt;
}

std::optional<refusal> request_parser::limit_body(std::uint64_t bytes) {
  body_limit(bytes);
  if (content_length().value_or(0) > bytes) return refusal{rejection::body_too_large, "The body is too large."};
  return std::nullopt;
}

std::optional<refusal> request_parser::parse_body(std::string_view text, std::size_t& used) {
  // Beast asserts that a last chunk which it saw in part comes back as at least "0 CR LF CR LF". A chunked body never ends in less, so nothing
  // is lost by waiting for that much.
  const std::size_t least{codings_ > 0 ? 5U : 1U};
  while (!is_done()) {
    error ec;
    const auto rest = parsing_ = text.substr(used);
    if (rest.size() < least) return std::nullopt;
    const auto taken = put(boost::asio::const_buffer{rest.data(), rest.size()}, ec);
    used += taken;
    if (ec == http::error::need_more) return std::nullopt;
    if (ec) return explain(ec, {});
  }
  return std::nullopt;
}

refusal request_parser::explain(const error& ec, std::string_view text) const noexcept {
  if (ec == http::error::body_limit) return {rejection::body_too_large, "The body is too large."};
  if (ec == http::error::header_limit) return {rejection::head_too_large, "The head is too large."};
  if (ec == http::error::bad_version) {
    if (names_other_version(text)) return {rejection::version, "The versions spoken are HTTP/1.1 and HTTP/1.0."};
    return {rejection::malformed, "The request line is malformed."};
  }
  if (ec == http::error::bad_method || ec == http::error::bad_target) return {rejection::malformed, "The request line is malformed."};
  if (ec == http::error::bad_field) return {rejection::malformed, "The name of a header is malformed."};
  if (ec == http::error::bad_value) return {rejection::malformed, "The value of a header is malformed."};
  if (ec == http::error::bad_content_length) return {rejection::malformed, "The Content-Length is malformed or contradicted."};
  if (ec == http::error::multiple_content_length) return {rejection::malformed, "There is more than one Content-Length."};
  if (ec == http::error::bad_transfer_encoding) return {rejection::malformed, "The Transfer-Encoding is malformed or contradicted."};
  if (ec == http::error::bad_chunk || ec == http::error::bad_chunk_extension) return {rejection::malformed, "The chunked body is malformed."};
  if (ec == http::error::bad_line_ending) return {rejection::malformed, "A line does not end with CR LF."};
  return {rejection::malformed, "The request is malformed."};
}

void request_parser::on_request_impl(http::verb, text_view method, text_view target, int version, error&) {
  head_.method_name = to_std(method);
  head_.method = method_of(head_.method_name);
  head_.target = to_std(target);
  head_.version_11 = version >= 11;
}

void request_parser::on_field_impl(field name, text_view text, text_view value, error& ec) {
  const http_header_view header{to_std(text), to_std(value)};
  if (!in_head_) {
    check_trailer(header.name, header.value, ec);
    return;
  }
  headers_.push_back(header);
  switch (name) {
    case field::host:
      ++hosts_;
      head_.host = header.value;
      break;
    case field::content_length:
      ++lengths_;
      // Beast takes a list of equal numbers, which not every parser does.
      if (header.value.find_first_not_of("0123456789") != std::string_view::npos) ec = http::error::bad_content_length;
      break;
    case field::transfer_encoding:
      ++codings_;
      transfer_encoding_ = header.value;
      break;
    case field::expect:
      expect_ = header.value;
      head_.expects_continue = head_.version_11 && same_text(header.value, "100-continue");  // HTTP/1.0 knows no interim answers
      break;
    case field::user_agent: head_.user_agent = header.value; break;
    default:
      if (head_.request_id.empty() && same_text(header.name, "x-request-id")) head_.request_id = header.value;
      break;
  }
}

void request_parser::check_trailer(std::string_view name, std::string_view value, error& ec) const noexcept {
  // Beast unfolds a folded line into a buffer of its own, or leaves the fold in front of the value.
  const std::less<> before;
  const auto* line = name.data();
  const auto* end = value.data() + value.size();
  const bool in_place = !before(value.data(), line) && !before(parsing_.data() + parsing_.size(), end);
  if (!in_place || std::string_view{line, static_cast<std::size_t>(end - line)}.find('\n') != std::string_view::npos) {
    ec = http::error::bad_field;
  }
}

void request_parser::on_chunk_header_impl(std::uint64_t, text_view extensions, error& ec) {
  // Beast takes any byte inside quotes, a line feed too.
  for (const char c : extensions) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F) ec = http::error::bad_chunk_extension;
  }
}

std::size_t request_parser::on_body_impl(text_view bytes, error&) {
  if (body_bytes_ == 0 && content_length() == bytes.size()) {
    whole_body_ = to_std(bytes);
  } else {
    body_.append(bytes.data(), bytes.size());
  }
  body_bytes_ += bytes.size();
  return bytes.size();
}

std::size_t request_parser::on_chunk_body_impl(std::uint64_t, text_view bytes, error&) {
  body_.append(bytes.data(), bytes.size());
  body_bytes_ += bytes.size();
  return bytes.size();
}

}  // namespace spillway::detail
