// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/file_query.hpp"

#include <doctest/doctest.h>

#include <map>
#include <random>

using namespace analysis;

namespace {

parameter_lookup given(std::map<std::string, std::string, std::less<>> parameters) {
  return [parameters = std::move(parameters)](std::string_view name) -> std::optional<std::string_view> {
    const auto found = parameters.find(name);
    if (found == parameters.end()) return std::nullopt;
    return found->second;
  };
}

std::string refused(std::map<std::string, std::string, std::less<>> parameters) {
  const auto query = parse_file_query(given(std::move(parameters)), 7);
  return query ? "accepted" : query.error().parameter + ": " + query.error().reason;
}

}  // namespace

TEST_CASE("file_query.defaults_are_every_field_but_the_imports_by_path") {
  const auto query = *parse_file_query(given({}), 7);
  CHECK(query.sort == file_field::path);
  CHECK_FALSE(query.descending);
  CHECK(query.limit == 100);
  CHECK(query.fields.size() == 13);
  CHECK_FALSE(query.after_row.has_value());
}

TEST_CASE("file_query.reads_fields_sort_and_limit") {
  const auto query = *parse_file_query(given({{"fields", "path,code,blob"}, {"sort", "-code"}, {"limit", "1000"}}), 7);
  CHECK(query.fields == std::vector{file_field::path, file_field::code, file_field::blob});
  CHECK(query.sort == file_field::code);
  CHECK(query.descending);
  CHECK(query.limit == 1000);
}

TEST_CASE("file_query.each_mistake_names_the_parameter_and_what_is_allowed") {
  CHECK(refused({{"fields", "path,kode"}}).starts_with("fields: 'kode' is no field; allowed: path, status,"));
  CHECK(refused({{"fields", ""}}).starts_with("fields: '' is no field; allowed: "));
  CHECK(refused({{"fields", "path,path"}}) == "fields: 'path' is named twice");
  CHECK(refused({{"sort", "blob"}}).starts_with("sort: 'blob' is no sort order; allowed: path, language, size_bytes,"));
  CHECK(refused({{"sort", "--code"}}).starts_with("sort: '--code' is no sort order"));
  for (const auto* limit : {"0", "-1", "1001", "ten", "", "1.5", "99999999999999999999"}) {
    CAPTURE(limit);
    CHECK(refused({{"limit", limit}}).ends_with("is not a whole number in [1, 1000]"));
  }
  CHECK(refused({{"limit", std::string(100'000, '9')}}).size() < 200);
}

TEST_CASE("file_query.a_cursor_brings_back_the_row_it_was_made_of") {
  for (const auto* sort : {"path", "-path", "-code", "language"}) {
    const auto query = *parse_file_query(given({{"sort", sort}}), 7);
    for (const std::int64_t row : {std::int64_t{1}, std::int64_t{123456}, INT64_MAX}) {
      const auto cursor = encode_cursor(query, 7, row);
      CHECK(cursor.size() < 64);
      const auto back = parse_file_query(given({{"sort", sort}, {"cursor", cursor}}), 7);
      REQUIRE(back.has_value());
      CHECK(back->after_row == row);
    }
  }
}

TEST_CASE("file_query.imports_make_pages_small") {
  CHECK(parse_file_query(given({{"fields", "imports"}}), 7)->limit == 20);
  CHECK(parse_file_query(given({{"fields", "imports"}, {"limit", "20"}}), 7)->limit == 20);
  CHECK(refused({{"fields", "imports"}, {"limit", "21"}}) == "limit: '21' is not a whole number in [1, 20], the range with the field imports");
}

TEST_CASE("file_query.a_cursor_of_another_list_or_order_is_refused") {
  const auto query = *parse_file_query(given({{"sort", "code"}}), 7);
  const auto cursor = encode_cursor(query, 7, 5);
  const std::string message{"cursor: it is not a cursor of this list in this order; use next_cursor of a page, with the same sort"};
  CHECK(refused({{"cursor", cursor}, {"sort", "code"}}) == "accepted");
  CHECK(refused({{"cursor", cursor}, {"sort", "-code"}}) == message);
  CHECK(refused({{"cursor", cursor}}) == message);
  CHECK_FALSE(parse_file_query(given({{"cursor", cursor}, {"sort", "code"}}), 8).has_value());
}

TEST_CASE("file_query.no_bytes_make_the_cursor_reader_stumble") {
  std::mt19937_64 generator{12};
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (auto length = generator() % 60; length > 0; --length) {
      text += generator() % 4 == 0 ? static_cast<char>(generator()) : "7.path-0123"[generator() % 11];
    }
    const auto query = parse_file_query(given({{"cursor", text}}), 7);
    if (query) REQUIRE(query->after_row.has_value());
  }
  CHECK_FALSE(parse_file_query(given({{"cursor", std::string(30'000, '0')}}), 7).has_value());
  CHECK_FALSE(parse_file_query(given({{"cursor", ""}}), 7).has_value());
}

TEST_CASE("file_query.lists_by_id_take_an_id_as_cursor") {
  CHECK(*parse_id_cursor(given({})) == 0);
  CHECK(*parse_id_cursor(given({{"cursor", "12"}})) == 12);
  for (const auto* text : {"", "0", "-4", "x", "1x", "99999999999999999999"}) {
    CAPTURE(text);
    CHECK(parse_id_cursor(given({{"cursor", text}})).error().parameter == "cursor");
  }
}
