// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/core_error.hpp>
#include <spillway/core/deadline.hpp>
#include <spillway/testing/manual_clock.hpp>

#include <doctest/doctest.h>

using namespace spillway;
using namespace std::chrono_literals;

namespace {
constexpr time_point noon{std::chrono::hours{12}};
}

TEST_CASE("deadline.passes_at_its_time_and_not_before") {
  const auto until = deadline::after(noon, 10ms);
  CHECK_FALSE(until.passed(noon + 9'999'999ns));
  CHECK(until.passed(noon + 10ms));
  CHECK(until.remaining(noon + 4ms) == 6ms);
  CHECK(until.remaining(noon + 1h) == 0ns);
}

TEST_CASE("deadline.never_does_not_pass") {
  CHECK(deadline{}.is_never());
  CHECK_FALSE(deadline::never().passed(time_point::max()));
  CHECK(deadline::never().remaining(noon) == std::chrono::nanoseconds::max());
  CHECK(deadline::after(noon, std::chrono::nanoseconds::max()).is_never());
}

TEST_CASE("deadline.a_negative_timeout_is_already_past") { CHECK(deadline::after(noon, -1s).passed(noon)); }

TEST_CASE("deadline.the_sooner_of_two_bounds_the_work") {
  const auto outer = deadline::after(noon, 2s);
  CHECK(outer.sooner(deadline::after(noon, 500ms)) == deadline::after(noon, 500ms));
  CHECK(outer.sooner(deadline::never()) == outer);
  CHECK(deadline::never().sooner(outer) == outer);
}

TEST_CASE("deadline.travels_as_the_time_left") {
  const auto until = deadline::after(noon, 1'500ms);
  const auto text = encode_deadline(until, noon + 200ms);
  CHECK(text == "1300");
  const time_point there{7h};  // another host's clock
  CHECK(decode_deadline(text, there, 1min).value() == deadline::after(there, 1'300ms));
  CHECK(encode_deadline(deadline::never(), noon).empty());
  CHECK(encode_deadline(until, noon + 1h) == "0");
}

TEST_CASE("deadline.a_stranger_cannot_ask_for_more_than_is_allowed") {
  CHECK(decode_deadline("999999999999", noon, 30s).value() == deadline::after(noon, 30s));
}

TEST_CASE("deadline.malformed_text_is_refused") {
  for (const auto* text : {"", "-1", "+1", " 1", "1 ", "1.5", "1s", "0x10", "1234567890123", "abc"}) {
    CAPTURE(text);
    CHECK(decode_deadline(text, noon, 30s).error() == core_errc::malformed);
  }
}

TEST_CASE("manual_clock.moves_only_when_told") {
  testing::manual_clock clock;
  const auto start = clock.now();
  const auto wall = clock.wall_now();
  CHECK(clock.now() == start);
  clock.advance(90s);
  CHECK(clock.now() - start == 90s);
  CHECK(clock.wall_now() - wall == 90s);
}

TEST_CASE("system_clock_source.follows_the_operating_system") {
  const auto before = std::chrono::steady_clock::now();
  const auto read = system_clock_source().now();
  CHECK(read >= before);
  CHECK(read <= std::chrono::steady_clock::now());
  const auto wall = system_clock_source().wall_now();
  CHECK(wall <= std::chrono::system_clock::now());
  CHECK(wall > wall_time_point{std::chrono::hours{24 * 365 * 30}});
}
