// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/consistency_token.hpp>

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <stdexcept>
#include <string>

using namespace spillway;

namespace {

consistency_token at(std::uint32_t timeline, std::uint64_t position, bool primary_only = false) {
  return {7'712'236'787'213'084'817U, timeline, position, primary_only};
}

std::string refusal(std::string_view text) {
  const auto token = consistency_token::parse(text);
  REQUIRE_FALSE(token);
  CHECK(token.error() == db_errc::invalid_token);
  CHECK(token.error() == errc::invalid);
  return std::string{token.error().message()};
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("consistency_token.an_empty_one_asks_for_nothing") {
  const consistency_token none;
  CHECK(none.empty());
  CHECK(none.to_string().empty());
  CHECK(consistency_token::parse("").value() == none);
  CHECK(at(1, 1).covers(none));
  CHECK(none.covers(none));
  CHECK_FALSE(none.covers(at(1, 1)));
}

TEST_CASE("consistency_token.its_text_is_short_and_safe_anywhere") {
  CHECK(at(1, 0x4026568).to_string() == "1-6b075e7f2d892891-1-4026568-bca57762");
  CHECK(at(2, 0x4026568, true).to_string().starts_with("1p-6b075e7f2d892891-2-4026568-"));
  const consistency_token longest{std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<std::uint32_t>::max(),
                                  std::numeric_limits<std::uint64_t>::max(), true};
  CHECK(longest.to_string().size() == consistency_token::longest_text_bytes);
  for (const auto& text : {at(1, 0x4026568).to_string(), longest.to_string()}) {
    CHECK(text.find_first_not_of("0123456789abcdefp-") == std::string::npos);
    CHECK(consistency_token::parse(text).value().to_string() == text);
  }
}

TEST_CASE("consistency_token.parse_gives_back_what_was_written") {
  for (const auto& token : {at(1, 1), at(0xffffffff, 0xffffffffffffffff), at(17, 0x16b3748, true), consistency_token{1, 1, 1}}) {
    const auto read = consistency_token::parse(token.to_string()).value();
    CHECK(read == token);
    CHECK(read.system() == token.system());
    CHECK(read.timeline() == token.timeline());
    CHECK(read.position() == token.position());
    CHECK(read.primary_only() == token.primary_only());
  }
}

TEST_CASE("consistency_token.parse_names_the_part_that_is_wrong") {
  CHECK(contains(refusal("2-1-1-1-00000000"), "version"));
  CHECK(contains(refusal("hello"), "version"));
  CHECK(contains(refusal("1"), "system"));
  CHECK(contains(refusal("1-x-1-1-00000000"), "system"));
  CHECK(contains(refusal("1-11111111111111111-1-1-00000000"), "system"));
  CHECK(contains(refusal("1-1--1-00000000"), "timeline"));
  CHECK(contains(refusal("1-1-100000000-1-00000000"), "timeline"));
  CHECK(contains(refusal("1-1-0-1-00000000"), "timeline"));
  CHECK(contains(refusal("1-1-01-1-00000000"), "timeline"));
  CHECK(contains(refusal("1-1-1-1 -00000000"), "position"));
  CHECK(contains(refusal("1-1-1-A-00000000"), "position"));
  CHECK(contains(refusal("1-1-1-0x1-00000000"), "position"));
  CHECK(contains(refusal("1-1-1-1"), "check"));
  CHECK(contains(refusal("1-1-1-1-00000000-"), "check"));
  CHECK(contains(refusal("1-1-1-1-00000000"), "mistyped"));
  CHECK(contains(refusal(std::string(1'000'000, '1')), "it is 1000000 bytes long; a token has at most 54"));
}

TEST_CASE("consistency_token.one_that_was_cut_or_mistyped_is_refused") {
  const auto text = at(1, 0x4026568).to_string();
  for (std::size_t length = 1; length < text.size(); ++length) CHECK_FALSE(consistency_token::parse(text.substr(0, length)));
  for (std::size_t place = 0; place < text.size(); ++place) {
    for (int c = 0; c < 256; ++c) {
      auto other = text;
      other[place] = static_cast<char>(c);
      if (other != text) CHECK_FALSE(consistency_token::parse(other));
    }
    if (place + 1 == text.size() || text[place] == text[place + 1]) continue;
    auto swapped = text;
    std::swap(swapped[place], swapped[place + 1]);
    CHECK_FALSE(consistency_token::parse(swapped));
  }
}

TEST_CASE("consistency_token.numbers_of_zero_are_refused_by_name") {
  CHECK_THROWS_WITH_AS((consistency_token{0, 1, 1}), "consistency_token: system is 0; it must be above 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS((consistency_token{1, 0, 1}), "consistency_token: timeline is 0; it must be above 0", std::invalid_argument);
  CHECK_THROWS_WITH_AS((consistency_token{1, 1, 0}), "consistency_token: position is 0; it must be above 0", std::invalid_argument);
}

TEST_CASE("consistency_token.merge_keeps_the_greater_of_timeline_then_position") {
  struct row {
    consistency_token left;
    consistency_token right;
    consistency_token merged;
  };
  for (const auto& [left, right, merged] : std::array<row, 8>{{{at(1, 5), at(1, 7), at(1, 7)},
                                                              {at(1, 7), at(1, 5), at(1, 7)},
                                                              {at(1, 5), at(1, 5), at(1, 5)},
                                                              {{}, at(1, 5), at(1, 5)},
                                                              {at(1, 5), {}, at(1, 5)},
                                                              // 900 of timeline 1 lies before 600 of timeline 2, or was lost.
                                                              {at(1, 900), at(2, 600), at(2, 600)},
                                                              {at(2, 600), at(1, 900), at(2, 600)},
                                                              {at(1, 5, true), at(2, 7), at(2, 7, true)}}}) {
    CAPTURE(left.to_string());
    CAPTURE(right.to_string());
    auto both = left;
    REQUIRE(both.merge(right));
    CHECK(both == merged);
    CHECK(both.covers(left));
    CHECK(both.covers(right));
    auto again = both;
    REQUIRE(again.merge(left));
    CHECK(again == both);
  }
}

TEST_CASE("consistency_token.merge_refuses_another_system") {
  auto token = at(1, 5);
  const auto merged = token.merge(consistency_token{42, 9, 9});
  REQUIRE_FALSE(merged);
  CHECK(merged.error() == db_errc::foreign_token);
  CHECK(merged.error().message() == "one of the system 42 cannot be merged with one of the system 7712236787213084817");
  CHECK(token == at(1, 5));
}

TEST_CASE("consistency_token.covers_what_it_is_not_older_than") {
  CHECK(at(1, 7).covers(at(1, 7)));
  CHECK(at(1, 7).covers(at(1, 5)));
  CHECK(at(2, 5).covers(at(1, 7)));
  CHECK_FALSE(at(1, 5).covers(at(1, 7)));
  CHECK_FALSE(at(1, 7).covers(at(2, 5)));
  CHECK_FALSE(at(1, 7).covers(consistency_token{42, 1, 7}));
  CHECK_FALSE(at(1, 9).covers(at(1, 7, true)));
  CHECK(at(1, 9, true).covers(at(1, 7)));
}
