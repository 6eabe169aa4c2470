// SPDX-License-Identifier: Apache-2.0
#include "target.hpp"

#include "character_class.hpp"

#include <algorithm>

namespace spillway::detail {

namespace {

[[nodiscard]] int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// A decoded segment may hold slashes, and whoever names files by it would split it there again.
[[nodiscard]] bool has_dot_part(std::string_view segment) noexcept {
  for (std::size_t at = 0; at <= segment.size();) {
    const auto end = std::min(segment.find('/', at), segment.size());
    const auto part = segment.substr(at, end - at);
    if (part == "." || part == "..") return true;
    at = end + 1;
  }
  return false;
}

}  // namespace

std::string_view split_target(http_method method, std::string_view target, parsed_target& out) noexcept {
  if (target == "*") {
    if (method != http_method::options) return "The target * is for OPTIONS only.";
    out.path = target;
    return {};
  }
  if (target.find('#') != std::string_view::npos) return "The target has a fragment.";
  if (target.front() != '/') {
    const auto scheme_end = target.find("://");
    if (scheme_end == std::string_view::npos) return "The target is neither a path nor a full URL.";
    const auto scheme = target.substr(0, scheme_end);
    if (!same_text(scheme, "http") && !same_text(scheme, "https")) return "The target has a scheme other than http.";
    target.remove_prefix(scheme_end + 3);
    const auto authority_end = std::min(target.find_first_of("/?"), target.size());
    out.authority = target.substr(0, authority_end);
    if (out.authority.empty() || !all_of_class(out.authority, host_characters)) return "The host in the target is malformed.";
    target.remove_prefix(authority_end);
  }
  const auto path_end = std::min(target.find('?'), target.size());
  out.path = path_end == 0 ? std::string_view{"/"} : target.substr(0, path_end);
  if (path_end < target.size()) out.query = target.substr(path_end + 1);
  return {};
}

bool append_decoded(std::string& out, std::string_view text, bool plus_is_space) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      if (i + 2 >= text.size()) return false;
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0 || high + low == 0) return false;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return true;
}

std::string_view decode_path(std::string_view path, std::string& storage, decoded_path& out) {
  out.count = 0;
  const bool escaped = path.find('%') != std::string_view::npos;
  const std::size_t begin = storage.size();
  for (std::size_t at = 1; at <= path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    auto segment = path.substr(at, end - at);
    if (escaped) {
      storage.push_back('/');
      const auto start = storage.size();
      if (!append_decoded(storage, segment, false)) return "The path has a broken percent escape.";
      segment = std::string_view{storage}.substr(start);
    }
    if (has_dot_part(segment)) return "The path has a dot segment.";
    if (out.count == most_segments) return "The path has too many segments.";
    out.segments[out.count++] = segment;
    at = end + 1;
  }
  out.whole = escaped ? std::string_view{storage}.substr(begin) : path;
  return {};
}

std::string_view decode_query(std::string_view query, std::string& storage, std::vector<http_parameter>& out) {
  const auto decoded = [&storage](std::string_view text, std::string_view& into) {
    if (text.find_first_of("%+") == std::string_view::npos) {
      into = text;
      return true;
    }
    const auto start = storage.size();
    if (!append_decoded(storage, text, true)) return false;
    into = std::string_view{storage}.substr(start);
    return true;
  };
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    if (out.size() == most_query_parameters) return "The query has too many parameters.";
    const auto equals = std::min(pair.find('='), pair.size());
    http_parameter parameter;
    if (!decoded(pair.substr(0, equals), parameter.name) ||
        !decoded(pair.substr(std::min(equals + 1, pair.size())), parameter.value)) {
      return "The query has a broken percent escape.";
    }
    out.push_back(parameter);
  }
  return {};
}

}  // namespace spillway::detail
