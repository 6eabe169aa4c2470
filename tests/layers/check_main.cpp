// SPDX-License-Identifier: Apache-2.0
// house_check <layers|co_await|licence|snippets> <root>: prints what breaks the rule; exit 1 if anything does.
#include "docs/snippet_rule.hpp"
#include "layers/co_await_rule.hpp"
#include "layers/layer_rule.hpp"
#include "layers/licence_rule.hpp"

#include <cstdio>
#include <exception>
#include <stdexcept>

namespace {

std::vector<spillway::testing::finding> check(std::string_view rule, const std::filesystem::path& root) {
  using namespace spillway::testing;
  if (!std::filesystem::exists(root / "include/spillway/core")) throw std::runtime_error{root.string() + " is not this project's root"};
  if (rule == "layers") return check_layers(root);
  if (rule == "co_await") return check_co_await_below(root);
  if (rule == "licence") return check_licence_lines(root);
  if (rule == "snippets") return check_snippets(root);
  throw std::runtime_error{"no rule '" + std::string{rule} + "'; there are layers, co_await, licence, snippets"};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: house_check <layers|co_await|licence|snippets> <root>\n", stderr);
    return 2;
  }
  try {
    const auto findings = check(argv[1], argv[2]);
    for (const auto& found : findings) std::printf("%s\n", to_string(found).c_str());
    std::printf("%s: %zu found\n", argv[1], findings.size());
    return findings.empty() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "house_check: %s\n", error.what());
    return 2;
  }
}
