// SPDX-License-Identifier: Apache-2.0
#include "docs/snippet_rule.hpp"

#include <algorithm>
#include <utility>

namespace spillway::testing {
namespace {

using lines = std::vector<std::string>;

struct region {
  std::string name;  ///< Where it stands: `file [name]`.
  lines text;
};

/// Without the indentation shared by all lines, blanks at line ends, and empty lines around.
lines normalised(lines text) {
  std::size_t indent = std::string::npos;
  for (auto& line : text) {
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (!line.empty()) indent = std::min(indent, line.find_first_not_of(' '));
  }
  for (auto& line : text) line.erase(0, line.empty() ? 0 : indent);
  while (!text.empty() && text.back().empty()) text.pop_back();
  text.erase(text.begin(), std::find_if(text.begin(), text.end(), [](const auto& line) { return !line.empty(); }));
  return text;
}

/// The name in `// [name]`, empty for other lines.
std::string_view marker(std::string_view line) {
  line = trimmed(line);
  if (!line.starts_with("// [") || !line.ends_with(']')) return {};
  return line.substr(4, line.size() - 5);
}

void add_regions(const std::string& file, const lines& source, std::vector<region>& regions) {
  for (std::size_t i = 0; i < source.size(); ++i) {
    const auto name = marker(source[i]);
    if (name.empty()) continue;
    const auto first = source.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    const auto last = std::find_if(first, source.end(), [&](const auto& line) { return marker(line) == name; });
    if (last == source.end()) continue;
    regions.push_back({file + " [" + std::string{name} + "]", normalised({first, last})});
    i = static_cast<std::size_t>(last - source.begin());
  }
  lines whole = source;
  if (!whole.empty() && whole.front().find("SPDX-License-Identifier") != std::string::npos) whole.erase(whole.begin());
  whole.erase(std::remove_if(whole.begin(), whole.end(), [](const auto& line) { return !marker(line).empty(); }), whole.end());
  regions.push_back({file, normalised(std::move(whole))});
}

std::vector<region> compiled_regions(const std::filesystem::path& root) {
  std::vector<region> regions;
  for (const auto& path : files_below(root, {"tests", "examples"})) {
    const bool is_example = path.extension() == ".cpp" && path.generic_string().starts_with("examples/");
    if (is_example || path.filename() == "guide_test.cpp") add_regions(path.generic_string(), lines_of(read_text(root / path)), regions);
  }
  return regions;
}

std::string why_not(const lines& block, const std::vector<region>& regions) {
  std::size_t best = 0;
  const region* nearest = nullptr;
  for (const auto& each : regions) {
    const auto same = std::mismatch(block.begin(), block.end(), each.text.begin(), each.text.end());
    if (same.first == block.end() && same.second == each.text.end()) return {};
    if (const auto count = static_cast<std::size_t>(same.first - block.begin()); count > best) {
      best = count;
      nearest = &each;
    }
  }
  if (nearest == nullptr) return "stands in no guide_test.cpp and no example";
  return "differs from " + nearest->name + " behind its line " + std::to_string(best);
}

}  // namespace

std::vector<finding> check_snippets(const std::filesystem::path& root) {
  auto pages = files_below(root, {"docs/guide"});
  if (std::filesystem::exists(root / "README.md")) pages.emplace_back("README.md");
  const auto regions = compiled_regions(root);
  std::vector<finding> findings;
  for (const auto& page : pages) {
    if (page.extension() != ".md") continue;
    const auto text = lines_of(read_text(root / page));
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (trimmed(text[i]) != "```cpp") continue;
      const auto begin = i + 1;
      while (++i < text.size() && trimmed(text[i]) != "```") {
      }
      const auto block = normalised({text.begin() + static_cast<std::ptrdiff_t>(begin), text.begin() + static_cast<std::ptrdiff_t>(i)});
      if (block.empty()) continue;
      if (auto why = why_not(block, regions); !why.empty()) findings.push_back({page.generic_string(), begin + 1, block.front(), std::move(why)});
    }
  }
  return findings;
}

}  // namespace spillway::testing
