// SPDX-License-Identifier: Apache-2.0
// Fuzz target: the first byte chooses the language, the second how the rest is split. Whatever the bytes, the counts
// and imports must not depend on the split, and every line must be counted once.
#include "counting.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz_line_counter: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  using namespace analysis;
  const auto languages = all_languages();
  const language id = languages[data[0] % languages.size()].id;
  const std::vector<std::size_t> sizes{std::size_t{1} + data[1] % 5, std::size_t{1} + data[1], std::size_t{1} + data[1] / 3};
  const std::string_view text(reinterpret_cast<const char*>(data + 2), size - 2);

  const line_counts whole = tests::count(id, text);
  require(tests::count(id, text, sizes) == whole, "counts depend on the split");
  require(tests::imports(id, text, sizes) == tests::imports(id, text), "imports depend on the split");
  if (cloc_counter::covers(id)) {
    const line_counts like_cloc = tests::count_like_cloc(id, text);
    require(tests::count_like_cloc(id, text, sizes) == like_cloc, "counts like cloc's depend on the split");
  }
  std::uint64_t lines = 0;
  for (const char c : text) lines += c == '\n' ? 1U : 0U;
  const bool unfinished = !text.empty() && text.back() != '\n';
  require(whole.lines() == lines + (unfinished ? 1 : 0), "a line was not counted once");
  return 0;
}
