// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/api_input.hpp"

#include <boost/json.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace analysis {

namespace {

constexpr std::size_t longest_name_bytes{200};

/// `application/json`, with or without parameters, in any case.
bool is_json(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  constexpr std::string_view json{"application/json"};
  return std::ranges::equal(type, json, {}, [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
}

}  // namespace

spillway::result<project_input, input_refusal> parse_project(std::string_view body, std::optional<std::string_view> content_type) {
  if (!content_type || !is_json(*content_type)) {
    return input_refusal{415, "the body must be application/json"};
  }
  boost::json::parse_options options;
  options.max_depth = 8;
  boost::system::error_code failure;
  const auto document = boost::json::parse(boost::json::string_view{body.data(), body.size()}, failure, {}, options);
  if (failure) return input_refusal{400, fmt::format("the body is not valid JSON: {}", failure.message())};
  const auto* object = document.if_object();
  if (object == nullptr) return input_refusal{422, R"(the body must be a JSON object such as {"path": "my/project"})"};

  project_input input;
  bool has_path{false};
  for (const auto& member : *object) {
    const std::string_view key{member.key().data(), member.key().size()};
    if (key != "path" && key != "name") {
      return input_refusal{422, fmt::format("'{}' is unknown; allowed: path, name", key.substr(0, 64))};
    }
    const auto* text = member.value().if_string();
    if (text == nullptr) return input_refusal{422, fmt::format("'{}' must be text", key)};
    (key == "path" ? input.path : input.name) = std::string{text->data(), text->size()};
    has_path |= key == "path";
  }
  if (!has_path) return input_refusal{422, "'path' is missing: the directory to analyse, below the configured root"};
  if (object->contains("name") && input.name.empty()) return input_refusal{422, "'name' is empty; leave it out to use the directory's name"};
  if (input.name.size() > longest_name_bytes) {
    return input_refusal{422, fmt::format("'name' is {} bytes long; at most {} are allowed", input.name.size(), longest_name_bytes)};
  }
  if (std::ranges::any_of(input.name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
    return input_refusal{422, "'name' contains control characters"};
  }
  return input;
}

spillway::result<spillway::consistency_token, input_refusal> parse_token(std::optional<std::string_view> header, std::optional<std::uint64_t> system) {
  if (!header) return spillway::consistency_token{};
  const auto token = spillway::consistency_token::parse(*header);
  if (!token) return input_refusal{400, fmt::format("header '{}': {}; send what an answer of this server had in it", token_header, token.error().message())};
  if (!system) return spillway::consistency_token{};  // there are no replicas, so every read shows everything
  if (!token->empty() && token->system() != *system) return input_refusal{400, foreign_token_detail()};
  return *token;
}

std::string foreign_token_detail() { return fmt::format("header '{}': the token belongs to another database system", token_header); }

std::optional<std::int64_t> parse_id(std::string_view text) noexcept {
  std::int64_t id{0};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (text.empty() || failure != std::errc{} || end != text.data() + text.size() || id < 1) return std::nullopt;
  return id;
}

}  // namespace analysis
