// SPDX-License-Identifier: Apache-2.0
#include "db/row_data.hpp"

#include <spillway/db/row.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

using namespace spillway;

namespace {

row_set rows_of(std::vector<std::string> columns, std::initializer_list<sql_value> cells) {
  auto data = std::make_shared<detail::row_data>();
  data->columns = std::move(columns);
  for (const auto& cell : cells) data->add(cell);
  data->rows = cells.size() / data->columns.size();
  return row_set{data};
}

constexpr auto int64_max = std::numeric_limits<std::int64_t>::max();

}  // namespace

TEST_CASE("sql_value.is_made_of_plain_values") {
  CHECK(sql_value{}.is_null());
  CHECK(sql_value{nullptr}.is_null());
  CHECK(sql_value{std::nullopt}.is_null());
  CHECK(sql_value{static_cast<const char*>(nullptr)}.is_null());
  CHECK(sql_value{std::optional<int>{}}.is_null());
  CHECK(std::get<std::int64_t>(sql_value{std::optional<int>{7}}.get()) == 7);
  CHECK(std::get<std::int64_t>(sql_value{true}.get()) == 1);
  CHECK(std::get<std::int64_t>(sql_value{std::uint8_t{255}}.get()) == 255);
  CHECK(std::get<double>(sql_value{1.5F}.get()) == 1.5);
  CHECK(std::get<std::string_view>(sql_value{"text"}.get()) == "text");
  CHECK(sql_value{""}.type() == sql_type::text);
  const std::string with_nul{"a\0b", 3};
  CHECK(std::get<std::string_view>(sql_value{with_nul}.get()).size() == 3);
  const std::array bytes{std::byte{1}, std::byte{2}};
  CHECK(std::get<std::span<const std::byte>>(sql_value{std::span<const std::byte>{bytes}}.get()).size() == 2);
  static_assert(!sql_parameter<char>, "a character is neither a number nor a text");
  static_assert(!sql_parameter<void*>);
}

TEST_CASE("sql_value.an_integer_no_column_can_hold_is_refused") {
  CHECK(std::get<std::int64_t>(sql_value{static_cast<std::uint64_t>(int64_max)}.get()) == int64_max);
  CHECK_THROWS_WITH_AS(sql_value{std::numeric_limits<std::uint64_t>::max()},
                       "the parameter 18446744073709551615 is above 9223372036854775807, the largest integer a database column holds",
                       std::out_of_range);
}

TEST_CASE("row.reads_each_type") {
  const std::array bytes{std::byte{0}, std::byte{255}};
  const auto rows = rows_of({"n", "i", "r", "t", "b"}, {nullptr, 42, 2.5, "txt", std::span<const std::byte>{bytes}});
  const auto row = rows[0];
  CHECK(row.get<std::optional<int>>(0) == std::nullopt);
  CHECK(row.get<std::optional<int>>(1) == 42);
  CHECK(row.get<std::int64_t>("i") == 42);
  CHECK(row.get<std::uint8_t>("i") == 42);
  CHECK(row.get<double>("i") == 42.0);
  CHECK(row.get<double>("r") == 2.5);
  CHECK(row.get<std::string>("t") == "txt");
  CHECK(row.get<std::string_view>("t") == "txt");
  CHECK(row.get<std::vector<std::byte>>("b") == std::vector<std::byte>{std::byte{0}, std::byte{255}});
  CHECK(row.get<sql_value>("r").type() == sql_type::real);
  CHECK(row.size() == 5);
  CHECK(row.column_name(3) == "t");
}

TEST_CASE("row.reads_as_a_tuple_or_its_only_column") {
  const auto rows = rows_of({"id", "name"}, {1, "a", 2, nullptr});
  CHECK(rows[0].as<std::tuple<int, std::string>>() == std::tuple{1, std::string{"a"}});
  const auto [id, name] = rows[1].as<std::pair<std::int64_t, std::optional<std::string>>>();
  CHECK(id == 2);
  CHECK_FALSE(name);
  CHECK_THROWS_WITH_AS((void)rows[0].as<int>(), "1 columns were asked for; the row has 2", row_access_error);
  CHECK_THROWS_WITH_AS((void)rows[0].as<std::tuple<int>>(), "1 columns were asked for; the row has 2", row_access_error);
  CHECK(rows_of({"only"}, {5})[0].as<int>() == 5);
}

TEST_CASE("row.a_wrong_type_names_column_stored_and_asked") {
  const auto rows = rows_of({"id", "name", "big"}, {7, nullptr, int64_max});
  const auto row = rows[0];
  CHECK_THROWS_WITH_AS((void)row.get<std::string>(0), "column 0 (id) holds integer, asked for text", row_access_error);
  CHECK_THROWS_WITH_AS((void)row.get<std::string>("name"), "column 1 (name) holds null, asked for text; use std::optional", row_access_error);
  CHECK_THROWS_WITH_AS((void)row.get<std::optional<double>>("big"),
                       "column 2 (big) holds the integer 9223372036854775807, which double cannot represent", row_access_error);
  CHECK_THROWS_WITH_AS((void)row.get<std::int32_t>("big"),
                       "column 2 (big) holds the integer 9223372036854775807, asked for signed integer in [-2147483648, 2147483647]",
                       row_access_error);
  CHECK_THROWS_WITH_AS((void)row.get<bool>("id"), "column 0 (id) holds the integer 7, asked for bool in [0, 1]", row_access_error);
  CHECK_THROWS_AS((void)rows_of({"x"}, {-1})[0].get<std::uint64_t>(0), row_access_error);
}

TEST_CASE("row.a_float_is_refused_what_it_cannot_represent") {
  constexpr std::int64_t exact_in_float{1 << 24};
  const auto rows = rows_of({"fits", "odd", "real", "huge", "infinite"}, {exact_in_float, exact_in_float + 1, 0.1, -1e300, HUGE_VAL});
  const auto row = rows[0];
  CHECK(row.get<float>("fits") == 16'777'216.0F);
  CHECK(row.get<double>("odd") == 16'777'217.0);
  CHECK(row.get<long double>("odd") == 16'777'217.0L);
  CHECK_THROWS_WITH_AS((void)row.get<float>("odd"), "column 1 (odd) holds the integer 16777217, which float cannot represent", row_access_error);
  CHECK(row.get<float>("real") == 0.1F);  // rounded, as any real is
  CHECK(row.get<double>("huge") == -1e300);
  CHECK_THROWS_WITH_AS((void)row.get<float>("huge"), "column 3 (huge) holds the real -1e+300, which float cannot represent", row_access_error);
  CHECK(row.get<float>("infinite") == HUGE_VALF);
  CHECK_THROWS_AS((void)rows_of({"x"}, {int64_max})[0].get<float>(0), row_access_error);
}

TEST_CASE("row.a_column_or_row_that_is_not_there_is_named") {
  const auto rows = rows_of({"id", "name"}, {7, "x"});
  CHECK_THROWS_WITH_AS((void)rows[0].get<int>("size"), "column \"size\" was asked for; the row has: id, name", row_access_error);
  CHECK_THROWS_WITH_AS((void)rows[0].get<int>(2), "column 2 was asked for; the row has 2 columns", row_access_error);
  CHECK_THROWS_WITH_AS((void)rows[1], "row 1 was asked for; there are 1 rows", row_access_error);
  CHECK_THROWS_AS((void)row_set{}[0], row_access_error);
}

TEST_CASE("row_set.copies_share_the_rows_and_keep_them_alive") {
  row_set copy;
  CHECK(copy.empty());
  {
    const auto rows = rows_of({"t"}, {"one", "two"});
    copy = rows;
  }
  std::string all;
  for (const auto row : copy) all += row.get<std::string_view>(0);
  CHECK(all == "onetwo");
  CHECK(copy.column_names() == std::vector<std::string>{"t"});
}
