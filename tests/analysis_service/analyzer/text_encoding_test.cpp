// SPDX-License-Identifier: Apache-2.0
#include "analyzer/text_encoding.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>

using namespace analysis;

namespace {

std::string encode(std::uint32_t point) {
  const auto byte = [](std::uint32_t value) { return static_cast<char>(static_cast<unsigned char>(value)); };
  if (point < 0x80) return {byte(point)};
  if (point < 0x800) return {byte(0xC0U | (point >> 6U)), byte(0x80U | (point & 0x3FU))};
  if (point < 0x10000) return {byte(0xE0U | (point >> 12U)), byte(0x80U | ((point >> 6U) & 0x3FU)), byte(0x80U | (point & 0x3FU))};
  return {byte(0xF0U | (point >> 18U)), byte(0x80U | ((point >> 12U) & 0x3FU)), byte(0x80U | ((point >> 6U) & 0x3FU)), byte(0x80U | (point & 0x3FU))};
}

}  // namespace

TEST_CASE("utf8_checker.accepts_every_character_and_no_surrogate") {
  bool all = true;
  for (std::uint32_t point = 0; point <= 0x110000; ++point) {
    const bool character = point < 0xD800 || (point > 0xDFFF && point < 0x110000);
    all = all && is_utf8(encode(point)) == character;
  }
  CHECK(all);
}

TEST_CASE("utf8_checker.refuses_what_is_not_utf8") {
  using namespace std::string_view_literals;
  for (const std::string_view bytes : {"\x80"sv, "\xC0\x80"sv, "\xC1\xBF"sv, "\xE0\x9F\xBF"sv, "\xF0\x8F\xBF\xBF"sv, "\xF5\x80\x80\x80"sv,
                                       "\xFF"sv, "\xC3"sv, "\xE2\x82"sv, "\xF0\x9F\x98"sv, "\xC3("sv, "a\xE9 b"sv}) {
    CHECK_FALSE(is_utf8(bytes));
  }
  CHECK(is_utf8(""));
  CHECK(is_utf8("a\0b"sv));
}

TEST_CASE("utf8_checker.does_not_care_where_the_text_is_split") {
  const std::string text = std::string(300, 'a') + "\xE2\x82\xAC" + std::string(300, 'b') + "\xF0\x9F\x98\x80";
  for (std::size_t piece = 1; piece < 10; ++piece) {
    utf8_checker checker;
    for (std::size_t i = 0; i < text.size(); i += piece) checker.feed(std::string_view(text).substr(i, piece));
    CHECK(checker.complete());
    checker.feed("\xE2");
    CHECK_FALSE(checker.complete());
  }
}

TEST_CASE("displayable.escapes_what_cannot_be_shown") {
  using namespace std::string_view_literals;
  CHECK(displayable("a b\xE2\x82\xAC.c") == "a b\xE2\x82\xAC.c");
  CHECK(displayable("a\xFF" "b\nc\\d\x7F"sv) == "a\\xffb\\x0ac\\x5cd\\x7f");
  CHECK(displayable("\xE2\x82"sv) == "\\xe2\\x82");
  CHECK(displayable("\0"sv) == "\\x00");
  CHECK(is_utf8(displayable("\xC3\x28\xED\xA0\x80\xF4\x90\x80\x80"sv)));
  CHECK(displayable("\\xff") != displayable("\xFF"));
}
