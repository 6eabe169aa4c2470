// SPDX-License-Identifier: Apache-2.0
#include "counting.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using namespace analysis;

namespace {

/// Marks of all languages, in an order that makes unlikely neighbours.
constexpr std::array<std::string_view, 78> tokens{
    "\n", "\n", "\n", "\r\n", " ", "\t", "a", "R", "u8", "1", "_", "\\", "\\\n", "\"", "'", "`", "/*", "*/", "//", "#", "\"\"\"",
    "'''", "R\"(", ")\"", "R\"xy(", ")xy\"", "r#\"", "\"#", "#\"", "${", "{", "}", "--", "--[[", "]]", "--[==[", "]==]", "[[",
    "<!--", "-->", "\n=begin\n", "\n=end\n", "\n=pod\n", "\n=cut\n", "\n__END__\n", "<<<EOT\n", "EOT", "<<<'Q'\n", "Q;", "<?php",
    "?>", "/+", "+/", "{-", "-}", "(*", "*)", "#|", "|#", "#=", "=#", "@\"", "/[", "]/", "= /", ";", "%", "\n.. x\n", "\n   y",
    "#include <x.h>\n", "import x", "from 'y'", "require(", ")", "import (\n", "use z;\n", "\xE2\x82\xAC", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};

std::string random_text(std::mt19937_64& random) {
  const std::size_t count = random() % 120;
  std::string text = random() % 8 == 0 ? "\xEF\xBB\xBF" : "";
  if (random() % 8 == 0) text += "#!/bin/x\n";
  for (std::size_t i = 0; i < count; ++i) text += tokens[random() % tokens.size()];
  return text;
}

std::vector<std::size_t> random_sizes(std::mt19937_64& random) {
  std::vector<std::size_t> sizes;
  const std::size_t largest = random() % 3 == 0 ? 3 : 300;
  for (int i = 0; i < 16; ++i) sizes.push_back(1 + random() % largest);
  return sizes;
}

/// C, read with the whole text at hand: what line_counter must agree with.
line_counts naive_c(std::string_view text) {
  line_counts counts;
  enum { code, line_comment, block, string, character } where = code;
  bool has_code = false;
  bool has_comment = false;
  bool spliced_code = false;
  std::uint64_t number = 1;
  std::size_t start = 0;
  const auto end_of_line = [&](std::size_t at, bool terminated) {
    if (has_code || spliced_code) {
      ++counts.code;
    } else if (has_comment) {
      ++counts.comment;
    } else {
      ++counts.blank;
    }
    std::size_t length = at - start;
    if (terminated && length != 0 && text[at - 1] == '\r') --length;
    if (length > counts.longest_line_bytes || counts.longest_line_number == 0) {
      counts.longest_line_bytes = length;
      counts.longest_line_number = number;
    }
    std::size_t last = at;
    if (last > start && text[last - 1] == '\r') --last;
    const bool spliced = last > start && text[last - 1] == '\\';
    spliced_code = spliced && has_code && where != line_comment && where != block;
    if (where == line_comment && !spliced) where = code;
    if ((where == string || where == character) && !spliced) where = code;
    has_code = has_comment = false;
    ++number;
    start = at + 1;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const std::string_view two = text.substr(i, 2);
    if (c == '\n') {
      end_of_line(i, true);
      continue;
    }
    const bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
    switch (where) {
      case code:
        if (two == "//") {
          where = line_comment;
          has_comment = true;
          ++i;
        } else if (two == "/*") {
          where = block;
          has_comment = true;
          ++i;
        } else if (c == '"') {
          where = string;
          has_code = true;
        } else if (c == '\'') {
          const auto digit = [&](std::size_t at) {
            return at < text.size() && std::string_view("0123456789abcdefABCDEF").find(text[at]) != std::string_view::npos;
          };
          const bool separator = i > 0 && digit(i - 1) && digit(i + 1) && !(i + 2 < text.size() && text[i + 2] == '\'');
          if (!separator) where = character;
          has_code = true;
        } else if (!blank) {
          has_code = true;
        }
        break;
      case line_comment: has_comment = has_comment || !blank; break;
      case block:
        has_comment = has_comment || !blank;
        if (two == "*/") {
          where = code;
          ++i;
        }
        break;
      case string:
      case character:
        has_code = has_code || !blank;
        if (c == '\\' && i + 1 < text.size() && text[i + 1] != '\n' && text[i + 1] != '\r') {
          ++i;
        } else if (c == (where == string ? '"' : '\'')) {
          where = code;
        }
        break;
    }
  }
  if (start < text.size()) end_of_line(text.size(), false);
  return counts;
}

}  // namespace

TEST_CASE("line_counter.does_not_depend_on_how_the_text_is_split") {
  const std::uint64_t seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 60; ++round) {
    const std::string text = random_text(random);
    const std::vector<std::size_t> sizes = random_sizes(random);
    for (const language_info& info : all_languages()) {
      const line_counts whole = tests::count(info.id, text);
      const std::vector<import_edge> edges = tests::imports(info.id, text);
      CAPTURE(info.name);
      CAPTURE(text);
      REQUIRE(tests::count(info.id, text, sizes) == whole);
      REQUIRE(tests::imports(info.id, text, sizes) == edges);
      if (cloc_counter::covers(info.id)) {
        REQUIRE(tests::count_like_cloc(info.id, text, sizes) == tests::count_like_cloc(info.id, text));
        REQUIRE(tests::count_like_cloc(info.id, text).lines() == whole.lines());
      }
    }
  }
}

TEST_CASE("line_counter.agrees_with_a_naive_reading_of_c") {
  const std::uint64_t seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937_64 random(seed);
  constexpr std::array<std::string_view, 20> marks{"\n", "\n", "\r\n", " ", "\t", "a", "1", "f", "\"", "'", "\\", "\\\n", "\\\r\n", "/",
                                                   "*", "/*", "*/", "//", "\r", "\v"};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    const std::size_t count = random() % 60;
    for (std::size_t i = 0; i < count; ++i) text += marks[random() % marks.size()];
    CAPTURE(text);
    REQUIRE(tests::count(language::c, text, random_sizes(random)) == naive_c(text));
  }
}

TEST_CASE("line_counter.counts_each_line_once") {
  const std::uint64_t seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    const std::string text = random_text(random);
    std::uint64_t lines = 0;
    for (const char c : text) lines += c == '\n' ? 1 : 0;
    if (!text.empty() && text.back() != '\n') ++lines;
    for (const language id : {language::cpp, language::python, language::java_script, language::php, language::lua}) {
      CAPTURE(text);
      REQUIRE(tests::count(id, text).lines() == lines);
    }
  }
}
