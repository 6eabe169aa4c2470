// SPDX-License-Identifier: Apache-2.0
#include "layers/source_text.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace spillway::testing {
namespace {

void blank(std::string& text, std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < std::min(to, text.size()); ++i) {
    if (text[i] != '\n') text[i] = ' ';
  }
}

/// Offset just behind the quoted literal that opens at `from`.
std::size_t behind_literal(std::string_view source, std::size_t from) {
  const char quote = source[from];
  std::size_t i = from + 1;
  while (i < source.size() && source[i] != quote && source[i] != '\n') i += source[i] == '\\' ? 2U : 1U;
  return std::min(i + 1, source.size());
}

/// Offset just behind the raw string whose quote stands at `quote`.
std::size_t behind_raw_string(std::string_view source, std::size_t quote) {
  const auto open = source.find('(', quote);
  if (open == std::string_view::npos) return source.size();
  const std::string close = ")" + std::string{source.substr(quote + 1, open - quote - 1)} + "\"";
  const auto end = source.find(close, open);
  return end == std::string_view::npos ? source.size() : end + close.size();
}

}  // namespace

std::string to_string(const finding& found) {
  return found.file + ":" + std::to_string(found.line) + ": " + found.text + ": " + found.why;
}

std::string read_text(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  if (!in) throw std::runtime_error{"cannot read " + file.string()};
  return {std::istreambuf_iterator<char>{in}, {}};
}

std::vector<std::filesystem::path> files_below(const std::filesystem::path& root,
                                               std::initializer_list<std::string_view> folders) {
  std::vector<std::filesystem::path> files;
  for (const auto folder : folders) {
    if (!std::filesystem::is_directory(root / folder)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator{root / folder}) {
      if (entry.is_regular_file()) files.push_back(entry.path().lexically_relative(root));
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string code_only(std::string_view source) {
  std::string code{source};
  for (std::size_t i = 0; i < source.size();) {
    const auto rest = source.substr(i);
    std::size_t end = i + 1;
    if (rest.starts_with("//")) {
      end = std::min(source.find('\n', i), source.size());
      blank(code, i, end);
    } else if (rest.starts_with("/*")) {
      const auto close = source.find("*/", i + 2);
      end = close == std::string_view::npos ? source.size() : close + 2;
      blank(code, i, end);
    } else if (rest.front() == '"') {
      const bool raw = i > 0 && source[i - 1] == 'R';
      end = raw ? behind_raw_string(source, i) : behind_literal(source, i);
      blank(code, i + 1, end - 1);
    } else if (rest.front() == '\'' && (i == 0 || !is_word(source[i - 1]))) {  // not the separator in 1'000
      end = behind_literal(source, i);
      blank(code, i + 1, end - 1);
    }
    i = end;
  }
  return code;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view space = " \t\r\n";
  const auto first = text.find_first_not_of(space);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(space) - first + 1);
}

std::size_t line_at(std::string_view text, std::size_t offset) {
  return 1 + static_cast<std::size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
}

}  // namespace spillway::testing
