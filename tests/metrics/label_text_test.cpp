// SPDX-License-Identifier: Apache-2.0
#include "metrics/label_text.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

using namespace spillway::detail;

TEST_CASE("label_text.names_follow_the_rules_of_prometheus") {
  CHECK(is_metric_name("http_requests_total"));
  CHECK(is_metric_name("_a:b"));
  CHECK_FALSE(is_metric_name(""));
  CHECK_FALSE(is_metric_name("1st"));
  CHECK_FALSE(is_metric_name("a-b"));
  CHECK_FALSE(is_metric_name("a b"));
  CHECK_FALSE(is_metric_name("gr\xC3\xB6\xC3\x9F"
                             "e"));
  CHECK_FALSE(is_metric_name(std::string(longest_name + 1, 'a')));
  CHECK(is_label_name("_method"));
  CHECK_FALSE(is_label_name("__name"));
  CHECK_FALSE(is_label_name("a:b"));
}

TEST_CASE("label_text.valid_text_stays_as_it_is") {
  for (const std::string text : {"", "plain", "a\nb\"c\\d", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF"}) {
    CHECK(is_clean_text(text, 64));
    CHECK(clean_text(text, 64) == text);
  }
}

TEST_CASE("label_text.each_byte_that_is_not_utf8_is_replaced") {
  const std::string bad{"\xEF\xBF\xBD"};
  CHECK(clean_text("a\xFFz", 64) == "a" + bad + "z");
  CHECK(clean_text(std::string_view{"a\0z", 3}, 64) == "a" + bad + "z");  // NUL
  CHECK(clean_text("\xC0\xAF", 64) == bad + bad);                         // overlong
  CHECK(clean_text("\xE0\x80\x80", 64) == bad + bad + bad);               // overlong
  CHECK(clean_text("\xED\xA0\x80", 64) == bad + bad + bad);               // surrogate
  CHECK(clean_text("\xF4\x90\x80\x80", 64) == bad + bad + bad + bad);     // above U+10FFFF
  CHECK(clean_text("\xE2\x82", 64) == bad + bad);                         // cut short
}

TEST_CASE("label_text.long_text_is_cut_between_characters") {
  CHECK(clean_text("aaaa\xC3\xA9", 5) == "aaaa");
  CHECK(clean_text("aaaa\xC3\xA9", 6) == "aaaa\xC3\xA9");
  CHECK_FALSE(is_clean_text("aaaa\xC3\xA9", 5));
}

TEST_CASE("label_text.any_bytes_become_clean_text") {
  const auto seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 generator{seed};
  std::uniform_int_distribution<int> byte{0, 255};
  for (int round = 0; round < 20'000; ++round) {
    std::string text(static_cast<std::size_t>(byte(generator) % 24), ' ');
    for (auto& c : text) c = static_cast<char>(byte(generator));
    REQUIRE(is_clean_text(clean_text(text, 40), 40));
  }
}
