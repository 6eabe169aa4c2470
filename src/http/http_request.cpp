// SPDX-License-Identifier: Apache-2.0
#include <spillway/http/http_request.hpp>

#include "character_class.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace spillway {

std::string_view to_string(http_method method) noexcept {
  switch (method) {
    case http_method::get: return "GET";
    case http_method::head: return "HEAD";
    case http_method::post: return "POST";
    case http_method::put: return "PUT";
    case http_method::patch: return "PATCH";
    case http_method::del: return "DELETE";
    case http_method::options: return "OPTIONS";
    case http_method::connect: return "CONNECT";
    case http_method::trace: return "TRACE";
    case http_method::other: break;
  }
  return "_OTHER";
}

std::string_view http_request::parameter(std::string_view name) const {
  for (const auto& parameter : parameters_) {
    if (parameter.name == name) return parameter.value;
  }
  throw std::out_of_range(fmt::format("http_request: the route '{}' has no parameter '{}'", route_, name));
}

std::optional<std::string_view> http_request::query(std::string_view name) const noexcept {
  for (const auto& parameter : query_) {
    if (parameter.name == name) return parameter.value;
  }
  return std::nullopt;
}

std::optional<std::string_view> http_request::header(std::string_view name) const noexcept {
  for (const auto& header : headers_) {
    if (detail::same_text(header.name, name)) return header.value;
  }
  return std::nullopt;
}

void http_request::keep(std::type_index type, std::shared_ptr<void> value) {
  const auto found = std::find_if(attachments_.begin(), attachments_.end(), [type](const auto& one) { return one.first == type; });
  if (found != attachments_.end()) {
    found->second = std::move(value);
  } else {
    attachments_.emplace_back(type, std::move(value));
  }
}

void* http_request::find(std::type_index type) const noexcept {
  for (const auto& [kept, value] : attachments_) {
    if (kept == type) return value.get();
  }
  return nullptr;
}

}  // namespace spillway
