// SPDX-License-Identifier: Apache-2.0
/// @file
/// What clients send, checked.
#pragma once

#include <spillway/core/result.hpp>
#include <spillway/db/consistency_token.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace analysis {

/// In requests: what the answer must at least show. In answers: what was written.
inline constexpr std::string_view token_header{"X-Consistency-Token"};

struct project_input {
  std::string name;  ///< Empty: named after its directory.
  std::string path;
};

/// What is wrong with a request, for the one who sent it.
struct input_refusal {
  int status;  ///< 400, 415 or 422.
  std::string detail;
};

/// Reads `{"path": "...", "name": "..."}`. `content_type` is the header, if there was one.
[[nodiscard]] spillway::result<project_input, input_refusal> parse_project(std::string_view body, std::optional<std::string_view> content_type);

/// The token of a request, for the database system of that number. Without a header, or a system, it asks for nothing.
[[nodiscard]] spillway::result<spillway::consistency_token, input_refusal> parse_token(std::optional<std::string_view> header,
                                                                                       std::optional<std::uint64_t> system);

/// What is said of a token that belongs to another database system.
[[nodiscard]] std::string foreign_token_detail();

/// A positive number, as in /v1/projects/{id}.
[[nodiscard]] std::optional<std::int64_t> parse_id(std::string_view text) noexcept;

}  // namespace analysis
