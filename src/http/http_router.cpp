// SPDX-License-Identifier: Apache-2.0
#include <spillway/http/http_router.hpp>

#include "route_table.hpp"

namespace spillway {

http_router::http_router() : table_{std::make_unique<detail::route_table>()} {}
http_router::http_router(http_router&&) noexcept = default;
http_router& http_router::operator=(http_router&&) noexcept = default;
http_router::~http_router() = default;

void http_router::use(http_middleware middleware) { table_->use(std::move(middleware)); }

void http_router::route(http_method method, std::string_view pattern, http_handler handler, http_route_options options) {
  table_->add(method, pattern, std::move(handler), std::move(options));
}

http_match http_router::match(http_method method, std::string_view path) const {
  http_match match;
  std::string storage;
  storage.reserve(path.size());
  detail::decoded_path decoded;
  if (!path.starts_with('/') || !detail::decode_path(path, storage, decoded).empty()) {
    match.status = 400;
    return match;
  }
  std::vector<http_parameter> parameters;
  const auto found = table_->find(method, decoded, parameters);
  if (found.entry != nullptr) {
    match.status = 200;
    match.pattern = found.entry->pattern;
    for (const auto& one : parameters) match.parameters.emplace_back(one.name, one.value);
  } else if (found.allowed != 0) {
    match.status = 405;
    match.allow = detail::allow_text(found.allowed);
  }
  return match;
}

}  // namespace spillway
