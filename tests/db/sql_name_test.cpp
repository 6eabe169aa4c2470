// SPDX-License-Identifier: Apache-2.0
#include "db/sql_name.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace spillway;
using detail::quoted_name;

TEST_CASE("sql_name.is quoted part by part, and a quote in it doubled") {
  CHECK(quoted_name("item", "table", 2).value() == R"("item")");
  CHECK(quoted_name("shop.Item", "table", 2).value() == R"("shop"."Item")");
  CHECK(quoted_name(R"(x" ; DROP TABLE y; --)", "table", 1).value() == R"("x"" ; DROP TABLE y; --")");
  CHECK(quoted_name(std::string(63, 'x'), "column", 1).value().size() == 65);
  CHECK(detail::last_part("a.b.c") == "c");
  CHECK(detail::last_part("c") == "c");
}

TEST_CASE("sql_name.that cannot be one is refused, saying why") {
  const auto why = [](std::string_view name, std::size_t parts) {
    const auto refused = quoted_name(name, "table", parts);
    CHECK(refused.error() == db_errc::wrong_parameters);
    return std::string{refused.error().message()};
  };
  CHECK(why("", 1) == R"(table "": a name has at least one byte)");
  CHECK(why("a..b", 3) == R"(table "a..b": a name has at least one byte)");
  CHECK(why("a.", 2) == R"(table "a.": a name has at least one byte)");
  CHECK(why("a.b", 1) == R"(table "a.b": a name without a dot is expected)");
  CHECK(why("a.b.c", 2) == R"(table "a.b.c": at most 2 names, separated by dots, are expected)");
  CHECK(why(std::string(64, 'x'), 1).ends_with("a name has at most 63 bytes"));
  CHECK(why(std::string(100'000, 'x'), 1).size() < 200);
  CHECK(why(std::string_view{"a\0b", 3}, 1) == "table: a name contains a NUL byte");
}
