// SPDX-License-Identifier: Apache-2.0
/// @file
/// What clients send, checked.
#pragma once

#include <spillway/core/result.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace analysis {

struct project_input {
  std::string name;  ///< Empty: named after its directory.
  std::string path;
};

/// What is wrong with a body, for the one who sent it.
struct input_refusal {
  int status;  ///< 400, 415 or 422.
  std::string detail;
};

/// Reads `{"path": "...", "name": "..."}`. `content_type` is the header, if there was one.
[[nodiscard]] spillway::result<project_input, input_refusal> parse_project(std::string_view body, std::optional<std::string_view> content_type);

/// A positive number, as in /v1/projects/{id}.
[[nodiscard]] std::optional<std::int64_t> parse_id(std::string_view text) noexcept;

}  // namespace analysis
