// SPDX-License-Identifier: Apache-2.0
// Beast's parser with our rules on top, keeping views instead of copies.
#pragma once

#include "rejection.hpp"

#include <spillway/http/http_request.hpp>

#include <boost/beast/http/basic_parser.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::detail {

/// What the head said, beside the headers themselves.
struct request_head {
  http_method method{http_method::other};
  std::string_view method_name;
  std::string_view target;
  std::string_view host;
  std::string_view user_agent;
  std::string_view request_id;
  bool version_11{false};
  bool expects_continue{false};
};

/// Parses one request. Made anew for the next.
class request_parser final : private boost::beast::http::basic_parser<true> {
 public:
  /// `headers` and `body` outlive the parser.
  request_parser(std::vector<http_header_view>& headers, std::string& body) noexcept : headers_{headers}, body_{body} {}

  /// `text` is what head_scanner found complete, and stays where it is.
  [[nodiscard]] std::optional<refusal> parse_head(std::string_view text);

  [[nodiscard]] const request_head& head() const noexcept { return head_; }
  [[nodiscard]] std::optional<std::uint64_t> content_length() const;

  /// Between parse_head and parse_body. Checks the length that was told.
  [[nodiscard]] std::optional<refusal> limit_body(std::uint64_t bytes);

  /// Takes in what it can of `text` and adds to `used`; what is left is to be given again with more behind it.
  [[nodiscard]] std::optional<refusal> parse_body(std::string_view text, std::size_t& used);

  [[nodiscard]] bool complete() const { return is_done(); }
  [[nodiscard]] bool wants_keep_alive() const { return keep_alive(); }
  [[nodiscard]] std::uint64_t body_bytes() const noexcept { return body_bytes_; }
  /// The body where it was given, if that was in one piece; it was then not copied.
  [[nodiscard]] std::string_view whole_body() const noexcept { return whole_body_; }

 private:
  using base = boost::beast::http::basic_parser<true>;
  using field = boost::beast::http::field;
  using text_view = boost::beast::string_view;
  using error = boost::beast::error_code;

  [[nodiscard]] refusal explain(const error& ec, std::string_view text) const noexcept;
  [[nodiscard]] std::optional<refusal> check_framing() const noexcept;

  void on_request_impl(boost::beast::http::verb, text_view method, text_view target, int version, error& ec) override;
  void on_response_impl(int, text_view, int, error&) override {}
  void on_field_impl(field name, text_view text, text_view value, error& ec) override;
  void on_header_impl(error&) override { in_head_ = false; }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error&) override {}
  std::size_t on_body_impl(text_view bytes, error& ec) override;
  void on_chunk_header_impl(std::uint64_t, text_view extensions, error& ec) override;
  std::size_t on_chunk_body_impl(std::uint64_t, text_view bytes, error& ec) override;
  void on_finish_impl(error&) override {}
  // Boost 1.84 and later call this for trailers, earlier ones on_field_impl.
  virtual void on_trailer_field_impl(field, text_view name, text_view value, error& ec) { check_trailer(to_std(name), to_std(value), ec); }

  /// Trailers are dropped: nobody may add to a head that was acted upon. They still have to be well-formed.
  void check_trailer(std::string_view name, std::string_view value, error& ec) const noexcept;
  [[nodiscard]] static std::string_view to_std(text_view text) noexcept { return {text.data(), text.size()}; }

  std::vector<http_header_view>& headers_;
  std::string& body_;
  request_head head_;
  std::string_view transfer_encoding_;
  std::string_view expect_;
  std::string_view whole_body_;
  std::string_view parsing_;  // what parse_body was given
  std::uint64_t body_bytes_{0};
  std::uint32_t hosts_{0};
  std::uint32_t lengths_{0};
  std::uint32_t codings_{0};
  bool in_head_{true};
};

}  // namespace spillway::detail
