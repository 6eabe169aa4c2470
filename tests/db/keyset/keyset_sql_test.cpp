// SPDX-License-Identifier: Apache-2.0
#include "db/keyset/keyset_sql.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

using namespace spillway;
using detail::keyset_sql;
using detail::keyset_start;

namespace {

constexpr auto down = sort_direction::descending;
constexpr auto up = sort_direction::ascending;

keyset_config by(std::vector<keyset_column> sort) {
  keyset_config config;
  config.select = "*";
  config.from = "t";
  config.sort = std::move(sort);
  return config;
}

std::string after(const keyset_config& config, const std::vector<sql_value>& values, bool backward = false) {
  return keyset_sql(config, {backward, values}, 0, 3).sql;
}

}  // namespace

TEST_CASE("keyset_sql.the first page has no condition of its own") {
  auto config = by({{"t.name", down}, {"id"}});
  CHECK(keyset_sql(config, {}, 0, 3).sql == R"(SELECT * FROM t ORDER BY "t"."name" DESC, "id" LIMIT 3)");
  config.where = "a = $1 OR b";
  CHECK(keyset_sql(config, {}, 1, 3).sql == R"(SELECT * FROM t WHERE (a = $1 OR b) ORDER BY "t"."name" DESC, "id" LIMIT 3)");
  CHECK(keyset_sql(config, {}, 1, 3).used.empty());
}

TEST_CASE("keyset_sql.one direction is one comparison of rows, with the values behind the caller's parameters") {
  auto config = by({{"a"}, {"b"}});
  config.where = "tenant = $1";
  const std::array<sql_value, 2> values{1, 2};
  const auto forward = keyset_sql(config, {false, values}, 1, 3);
  CHECK(forward.sql == R"(SELECT * FROM t WHERE (tenant = $1) AND ("a", "b") > ($2, $3) ORDER BY "a", "b" LIMIT 3)");
  CHECK(forward.used == std::vector<std::size_t>{0, 1});
  CHECK(keyset_sql(config, {true, values}, 1, 3).sql ==
        R"(SELECT * FROM t WHERE (tenant = $1) AND ("a", "b") < ($2, $3) ORDER BY "a" DESC, "b" DESC LIMIT 3)");
  CHECK(after(by({{"a", down}}), {1}) == R"(SELECT * FROM t WHERE "a" < $1 ORDER BY "a" DESC LIMIT 3)");
}

TEST_CASE("keyset_sql.several directions are several ranges, the nearest first") {
  CHECK(after(by({{"a", down}, {"x.b"}}), {1, 2}) ==
        R"(SELECT * FROM (SELECT * FROM t WHERE "a" = $1 AND "x"."b" > $2 ORDER BY "a" DESC, "x"."b" LIMIT 3) AS range_1)"
        R"( UNION ALL SELECT * FROM (SELECT * FROM t WHERE "a" < $1 ORDER BY "a" DESC, "x"."b" LIMIT 3) AS range_2)"
        R"( ORDER BY "a" DESC, "b" LIMIT 3)");
}

TEST_CASE("keyset_sql.each range by itself has the values it uses, and then how many rows it may give") {
  auto config = by({{"a", down, sort_nulls::last}, {"b"}});
  config.where = "tenant = $1";
  const std::array<sql_value, 2> values{1, 2};
  const auto made = detail::keyset_range_sql(config, {false, values}, 1);
  REQUIRE(made.size() == 3);
  CHECK(made[0].sql == R"(SELECT * FROM t WHERE (tenant = $1) AND "a" = $2 AND "b" > $3 ORDER BY "a" DESC NULLS LAST, "b" LIMIT $4)");
  CHECK(made[0].used == std::vector<std::size_t>{0, 1});
  CHECK(made[1].sql == R"(SELECT * FROM t WHERE (tenant = $1) AND "a" < $2 ORDER BY "a" DESC NULLS LAST, "b" LIMIT $3)");
  CHECK(made[1].used == std::vector<std::size_t>{0});
  CHECK(made[2].sql == R"(SELECT * FROM t WHERE (tenant = $1) AND "a" IS NULL ORDER BY "a" DESC NULLS LAST, "b" LIMIT $2)");
  CHECK(made[2].used.empty());
  CHECK(detail::keyset_range_sql(config, {}, 1).front().sql == R"(SELECT * FROM t WHERE (tenant = $1) ORDER BY "a" DESC NULLS LAST, "b" LIMIT $2)");
}

TEST_CASE("keyset_sql.nulls are a range of their own, before or behind the others") {
  const auto last = by({{"a", up, sort_nulls::last}});
  CHECK(after(last, {1}) == R"(SELECT * FROM (SELECT * FROM t WHERE "a" > $1 ORDER BY "a" NULLS LAST LIMIT 3) AS range_1 UNION ALL )"
                            R"(SELECT * FROM (SELECT * FROM t WHERE "a" IS NULL ORDER BY "a" NULLS LAST LIMIT 3) AS range_2)"
                            R"( ORDER BY "a" NULLS LAST LIMIT 3)");
  CHECK(after(last, {nullptr}) == R"(SELECT * FROM t WHERE 1 = 0 ORDER BY "a" NULLS LAST LIMIT 3)");
  CHECK(after(last, {nullptr}, true) == R"(SELECT * FROM t WHERE "a" IS NOT NULL ORDER BY "a" DESC NULLS FIRST LIMIT 3)");
  const auto first = by({{"a", down, sort_nulls::first}});
  CHECK(after(first, {1}) == R"(SELECT * FROM t WHERE "a" < $1 ORDER BY "a" DESC NULLS FIRST LIMIT 3)");
  CHECK(after(first, {nullptr}) == R"(SELECT * FROM t WHERE "a" IS NOT NULL ORDER BY "a" DESC NULLS FIRST LIMIT 3)");
}

TEST_CASE("keyset_sql.a value that is null takes no parameter") {
  const auto config = by({{"a", up, sort_nulls::first}, {"b"}});
  const std::array<sql_value, 2> values{nullptr, 2};
  const auto made = keyset_sql(config, {false, values}, 4, 3);
  CHECK(made.used == std::vector<std::size_t>{1});
  CHECK(made.sql == R"(SELECT * FROM (SELECT * FROM t WHERE "a" IS NULL AND "b" > $5 ORDER BY "a" NULLS FIRST, "b" LIMIT 3) AS range_1 UNION ALL )"
                    R"(SELECT * FROM (SELECT * FROM t WHERE "a" IS NOT NULL ORDER BY "a" NULLS FIRST, "b" LIMIT 3) AS range_2)"
                    R"( ORDER BY "a" NULLS FIRST, "b" LIMIT 3)");
}
