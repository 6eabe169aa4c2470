// SPDX-License-Identifier: Apache-2.0
/// @file
/// Source files as the checks of this folder read them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::testing {

/// One broken rule. Printed as `file:line: text: why`.
struct finding {
  std::string file;  ///< Relative to the root, with slashes.
  std::size_t line;
  std::string text;  ///< What stands there.
  std::string why;
};

std::string to_string(const finding& found);

/// Throws std::runtime_error naming the file if it cannot be read.
std::string read_text(const std::filesystem::path& file);

/// Files below `root`/`folders`, relative to `root`, sorted; a folder that is missing holds none.
std::vector<std::filesystem::path> files_below(const std::filesystem::path& root, std::initializer_list<std::string_view> folders);

/// The same text, of the same length, with comments and the inside of literals replaced by spaces. Lines stay where they are.
std::string code_only(std::string_view source);

/// Lines without their ends.
std::vector<std::string> lines_of(std::string_view text);

/// Part of a name.
bool is_word(char c);

std::string_view trimmed(std::string_view text);

/// Number of the line that holds `offset`, from 1.
std::size_t line_at(std::string_view text, std::size_t offset);

}  // namespace spillway::testing
