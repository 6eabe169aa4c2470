// SPDX-License-Identifier: Apache-2.0
/// @file
/// The facts behind `language.hpp`: names, endings and interpreters, each table sorted by key.
#pragma once

#include "analyzer/language.hpp"

#include <span>
#include <string_view>

namespace analysis::detail {

struct language_key {
  std::string_view key;
  language id;
};

std::span<const language_info> language_table() noexcept;
std::span<const language_key> extension_table() noexcept;
std::span<const language_key> file_name_table() noexcept;
std::span<const language_key> interpreter_table() noexcept;
std::span<const std::string_view> not_code_extension_table() noexcept;
std::span<const std::string_view> not_code_name_table() noexcept;

}  // namespace analysis::detail
