// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/pg_copy_text.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <string_view>
#include <vector>

using namespace spillway;

namespace {

std::string copied(const std::vector<sql_value>& values) {
  std::string text;
  CHECK(detail::append_copy_values(text, values) == std::nullopt);
  return text;
}

}  // namespace

TEST_CASE("pg_copy_text.numbers and nulls") {
  CHECK(copied({1, -2, nullptr, true}) == "1\t-2\t\\N\t1");
  CHECK(copied({std::numeric_limits<std::int64_t>::min()}) == "-9223372036854775808");
  CHECK(copied({0.1, 1e300, -5e-324, 1.0}) == "0.1\t1e+300\t-5e-324\t1");
  CHECK(copied({std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) == "Infinity\t-Infinity");
  CHECK(copied({}) == "");
}

TEST_CASE("pg_copy_text.text that looks like something else stays text") {
  CHECK(copied({"\\N"}) == "\\\\N");
  CHECK(copied({"\\."}) == "\\\\.");
  CHECK(copied({"a\tb\nc\rd\\e"}) == "a\\tb\\nc\\rd\\\\e");
  CHECK(copied({"", "x", ""}) == "\tx\t");
  CHECK(copied({"Zürich 東京 \x01\x7f"}) == "Zürich 東京 \x01\x7f");
}

TEST_CASE("pg_copy_text.bytes are written in hexadecimal, behind a backslash that is escaped itself") {
  const std::vector<std::byte> bytes{std::byte{0}, std::byte{0xff}, std::byte{0x5c}};
  CHECK(copied({bytes}) == "\\\\x00ff5c");
  CHECK(copied({std::span<const std::byte>{}}) == "\\\\x");
}

TEST_CASE("pg_copy_text.a NUL byte in text is told by the place of its value") {
  std::string text;
  const std::vector<sql_value> values{1, "fine", std::string_view{"a\0b", 3}};
  CHECK(detail::append_copy_values(text, values) == 2);
}
