// SPDX-License-Identifier: Apache-2.0
#include "layers/licence_rule.hpp"

#include <algorithm>
#include <array>

namespace spillway::testing {
namespace {

constexpr std::array<std::string_view, 16> extensions{".hpp", ".cpp", ".h",   ".c",    ".cmake", ".in",  ".sh",  ".py",
                                                      ".js",  ".ts",  ".css", ".html", ".sql",   ".lua", ".awk", ".proto"};

bool is_source(const std::filesystem::path& path, const std::vector<std::string>& lines) {
  if (path.filename() == "CMakeLists.txt") return true;
  if (std::find(extensions.begin(), extensions.end(), path.extension().string()) != extensions.end()) return true;
  return !lines.empty() && lines.front().starts_with("#!");
}

}  // namespace

std::vector<finding> check_licence_lines(const std::filesystem::path& root) {
  auto files = files_below(root, {".ci", "benchmarks", "cmake", "docs", "examples", "include", "scripts", "src", "tests", "packaging"});
  for (const auto* const name : {"CMakeLists.txt", "conanfile.py"}) {
    if (std::filesystem::exists(root / name)) files.emplace_back(name);
  }
  std::vector<finding> findings;
  for (const auto& file : files) {
    const auto lines = lines_of(read_text(root / file));
    if (!is_source(file, lines)) continue;
    const std::size_t at = !lines.empty() && lines.front().starts_with("#!") ? 1 : 0;
    const std::string first = at < lines.size() ? lines[at] : "";
    if (first.find("SPDX-License-Identifier: Apache-2.0") == std::string::npos) {
      findings.push_back({file.generic_string(), at + 1, first, "begins without 'SPDX-License-Identifier: Apache-2.0'"});
    }
  }
  return findings;
}

}  // namespace spillway::testing
