// SPDX-License-Identifier: Apache-2.0
#include "docs/snippet_rule.hpp"

#include "support/temp_dir.hpp"

#include <doctest/doctest.h>

using spillway::testing::check_snippets;
using spillway::tests::temp_dir;

namespace {

constexpr auto guide = "int main() {\n  // [ask]\n  auto answer = ask();\n  if (!answer) {\n    return 1;\n  }\n  // [ask]\n}\n";

std::string block(const std::string& code) { return "# Page\n\nText.\n\n```cpp\n" + code + "```\n"; }

}  // namespace

TEST_CASE("snippets.a_block_cut_from_a_guide_test_is_accepted_whatever_its_indentation") {
  const temp_dir tree;
  tree.write("tests/db/guide_test.cpp", guide);
  tree.write("docs/guide/db.md", block("auto answer = ask();\nif (!answer) {\n  return 1;\n}\n"));
  CHECK(check_snippets(tree.path()).empty());
}

TEST_CASE("snippets.a_whole_example_is_accepted_without_its_licence_line") {
  const temp_dir tree;
  tree.write("examples/1_first.cpp", "// SPDX-License-Identifier: Apache-2.0\nint main() {}\n");
  tree.write("README.md", block("int main() {}\n"));
  CHECK(check_snippets(tree.path()).empty());
}

TEST_CASE("snippets.a_block_that_differs_is_named_with_the_place_it_was_cut_from") {
  const temp_dir tree;
  tree.write("tests/db/guide_test.cpp", guide);
  tree.write("docs/guide/db.md", block("auto answer = ask();\nif (!answer) return 1;\n"));
  const auto findings = check_snippets(tree.path());
  REQUIRE(findings.size() == 1);
  CHECK(to_string(findings.front()) ==
        "docs/guide/db.md:6: auto answer = ask();: differs from tests/db/guide_test.cpp [ask] behind its line 1");
}

TEST_CASE("snippets.a_block_that_stands_nowhere_is_named") {
  const temp_dir tree;
  tree.write("tests/db/guide_test.cpp", guide);
  tree.write("tests/db/other_test.cpp", "// [x]\nint x;\n// [x]\n");
  tree.write("README.md", block("int x;\n") + "```sh\nls\n```\n");
  const auto findings = check_snippets(tree.path());
  REQUIRE(findings.size() == 1);
  CHECK(findings.front().file == "README.md");
  CHECK(findings.front().why == "stands in no guide_test.cpp and no example");
}
