// SPDX-License-Identifier: Apache-2.0
// The server's side of http_request.
#pragma once

#include "character_class.hpp"
#include "request_parser.hpp"
#include "target.hpp"

#include <spillway/http/http_request.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::detail {

/// Fills a request in the order in which a connection learns of it. The request is used again and again, so its memory is.
class request_builder {
 public:
  [[nodiscard]] http_request& request() noexcept { return *request_; }
  [[nodiscard]] const http_request& request() const noexcept { return *request_; }

  /// Forgets the last request; `made_id` holds until `identify` finds a better one.
  void begin(time_point now, std::string_view peer, std::string_view made_id) {
    auto& r = *request_;
    r.method_ = http_method::other;
    r.allowed_ = 0;
    r.method_name_ = r.target_ = r.path_ = r.host_ = r.route_ = {};
    r.peer_ = peer;
    r.started_ = now;
    r.until_ = deadline::never();
    r.headers_.clear();
    r.parameters_.clear();
    r.query_.clear();
    r.decoded_.clear();
    set_id(made_id);
  }

  /// The request has its answer: lets go of what may be large. What statistics and log are still to be told stays.
  void end() noexcept {
    auto& r = *request_;
    r.body_ = {};
    r.body_storage_.clear();
    if (r.body_storage_.capacity() > kept_body_bytes) std::string{}.swap(r.body_storage_);
    r.attachments_.clear();
  }

  /// For the parser to fill.
  [[nodiscard]] std::vector<http_header_view>& headers() noexcept { return request_->headers_; }
  [[nodiscard]] std::string& body_storage() noexcept { return request_->body_storage_; }

  /// Of a head that is refused too, as far as it was understood: the refusal and the log go by it.
  void identify(const request_head& head) noexcept {
    auto& r = *request_;
    r.method_ = head.method;
    r.method_name_ = head.method_name;
    r.target_ = head.target;
    r.host_ = head.host;
    if (!head.request_id.empty() && head.request_id.size() <= r.request_id_.size() &&
        all_of_class(head.request_id, request_id_characters)) {
      set_id(head.request_id);
    }
  }

  /// After `identify`. Answers what is wrong with the target, or an empty text.
  [[nodiscard]] std::string_view target(decoded_path& path) {
    auto& r = *request_;
    parsed_target parts;
    if (const auto wrong = split_target(r.method_, r.target_, parts); !wrong.empty()) return wrong;
    if (!parts.authority.empty()) r.host_ = parts.authority;
    r.decoded_.reserve(r.target_.size());  // decoding never makes longer, so nothing moves under the views
    if (const auto wrong = decode_path(parts.path, r.decoded_, path); !wrong.empty()) return wrong;
    r.path_ = path.whole;
    return decode_query(parts.query, r.decoded_, r.query_);
  }

  [[nodiscard]] std::vector<http_parameter>& parameters() noexcept { return request_->parameters_; }
  void route(std::string_view pattern, std::uint16_t allowed, deadline until) noexcept {
    request_->route_ = pattern;
    request_->allowed_ = allowed;
    request_->until_ = until;
  }
  void body(std::string_view whole) noexcept { request_->body_ = whole.empty() ? std::string_view{request_->body_storage_} : whole; }

  [[nodiscard]] static std::uint16_t allowed(const http_request& request) noexcept { return request.allowed_; }

 private:
  static constexpr std::size_t kept_body_bytes{64 * 1024};

  void set_id(std::string_view id) noexcept {
    std::copy(id.begin(), id.end(), request_->request_id_.begin());
    request_->request_id_size_ = static_cast<std::uint8_t>(id.size());
  }

  std::unique_ptr<http_request> request_{new http_request};  // its constructor is private
};

}  // namespace spillway::detail
