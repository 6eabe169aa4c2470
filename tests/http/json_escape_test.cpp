// SPDX-License-Identifier: Apache-2.0
#include <spillway/http/json_escape.hpp>

#include <boost/json/parse.hpp>

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace spillway;

namespace {

std::string escaped(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

}  // namespace

TEST_CASE("append_json_string.escapes_what_json_does_not_allow") {
  const std::vector<std::pair<std::string, std::string>> table{
      {"", R"("")"},
      {"plain", R"("plain")"},
      {"a\"b\\c", R"("a\"b\\c")"},
      {std::string{"\0\n\x1f\x7f", 4}, R"("\u0000\u000a\u001f\u007f")"},
      {"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\""},
      {"\xFFz", "\"\xEF\xBF\xBDz\""},                                            // no UTF-8 at all
      {"\xC0\xAF", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},                              // overlong
      {"\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},              // surrogate
      {"\xF4\x90\x80\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},  // beyond Unicode
      {"\xE2\x82", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},                              // cut short
  };
  for (const auto& [text, json] : table) CHECK(escaped(text) == json);
}

TEST_CASE("append_json_string.any_bytes_become_valid_json") {
  std::mt19937 generator{11};
  std::uniform_int_distribution<int> byte{0, 255};
  std::uniform_int_distribution<std::size_t> length{0, 40};
  for (int i = 0; i < 20'000; ++i) {
    std::string text(length(generator), ' ');
    for (char& c : text) c = static_cast<char>(byte(generator));
    boost::system::error_code ec;
    const auto parsed = boost::json::parse(escaped(text), ec);
    REQUIRE_FALSE(ec);
    const auto& read = parsed.as_string();
    // What was valid UTF-8 comes back as it was.
    std::string again;
    append_json_string(again, std::string_view{read.data(), read.size()});
    REQUIRE(again == escaped(text));
  }
}
