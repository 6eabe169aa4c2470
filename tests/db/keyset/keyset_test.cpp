// SPDX-License-Identifier: Apache-2.0
#include "db/keyset/keyset_conformance.hpp"
#include "db/keyset/keyset_sql.hpp"
#include "db/sqlite_fixture.hpp"

#include <spillway/testing/manual_clock.hpp>

#include <chrono>
#include <limits>
#include <stdexcept>

using namespace spillway;
using namespace spillway::tests;
using namespace std::chrono_literals;

namespace {

keyset_page read_page(database& db, const keyset_pager& pager, std::string_view cursor = {}, const page_request& request = {}) {
  const auto position = pager.open(cursor, {0}).value();
  return db.read([&](read_session& s) { return pager.read(s, position, {0}, request); }).value();
}

db_error page_error(database& db, const keyset_pager& pager, const page_request& request = {}) {
  return db.read([&](read_session& s) { return pager.read(s, {}, {0}, request); }).error();
}

/// Of a page behind some row of tenant 0.
std::string plans_of(database& db, const keyset_config& config) {
  const std::vector<sql_value> place(config.sort.size(), sql_value{1});
  std::string plans;
  for (const auto& range : detail::keyset_range_sql(config, {false, place}, 1)) {
    std::vector<sql_value> values{0};
    values.insert(values.end(), range.used.size() + 1, sql_value{1});
    const auto rows = db.read([&](read_session& s) { return s.query("EXPLAIN QUERY PLAN " + range.sql, values); }).value();
    for (const auto row : rows) plans += row.get<std::string>("detail") + "\n";
  }
  return plans;
}

}  // namespace

TEST_CASE("keyset.pages on SQLite") {
  sqlite_fixture file;
  auto db = file.open();
  keyset_conformance(db);
}

TEST_CASE("keyset.SQLite finds each page by the index alone") {
  sqlite_fixture file;
  auto db = file.open();
  make_pages_table(db, 50, 1);
  db.write([](write_session& s) {
    s.execute("CREATE INDEX up ON page_item (tenant, b, id)").value();
    s.execute("CREATE INDEX mixed ON page_item (tenant, a DESC, id)").value();
  }).value();
  const auto one_way = page_config({{"b"}, {"id"}});
  CHECK(plans_of(db, one_way) == "SEARCH page_item USING INDEX up (tenant=? AND (b,id)>(?,?))\n");

  const auto plan = plans_of(db, page_config({{"a", sort_direction::descending, sort_nulls::last}, {"id"}}));
  CAPTURE(plan);
  CHECK(plan.find("SEARCH page_item USING INDEX mixed (tenant=? AND a=? AND id>?)") != std::string::npos);
  CHECK(plan.find("SEARCH page_item USING INDEX mixed (tenant=? AND a<?)") != std::string::npos);
  CHECK(plan.find("SCAN page_item") == std::string::npos);
}

TEST_CASE("keyset.a page of several ranges has the limit of one result") {
  sqlite_fixture file;
  auto limited = file.config();
  limited.database.max_result_bytes = 4'096;
  auto db = open_sqlite(limited).value();
  make_pages_table(db, 0, 1);
  db.write([](write_session& s) {
    s.execute("INSERT INTO page_item VALUES (1, 0, 1, 0, 0, ''), (2, 0, 1, 0, 0, ''), (3, 0, 0, 0, 0, '')").value();
  }).value();
  auto config = page_config({{"a", sort_direction::descending, sort_nulls::last}, {"id"}});
  const auto cursor = read_page(db, keyset_pager{config}, {}, {.size = 1}).next;
  config.select += ", printf('%.*c', 3000, 'x') AS filler";
  const keyset_pager wide{config};
  const auto page = db.read([&](read_session& s) { return wide.read(s, wide.open(cursor, {0}).value(), {0}, {.size = 1}); });
  REQUIRE(!page);
  CHECK(page.error().message() == "the page exceeds max_result_bytes, 4096 bytes");
}

TEST_CASE("keyset.a cursor belongs to its query, its sort and its parameters") {
  sqlite_fixture file;
  auto db = file.open();
  make_pages_table(db, 100, 1);
  const keyset_pager pager{page_config({{"b"}, {"id"}})};
  const auto cursor = read_page(db, pager, {}, {.size = 5}).next;
  const auto foreign = [&](const keyset_config& config, const sql_parameters& parameters) {
    return keyset_pager{config}.open(cursor, parameters).error() == db_errc::cursor_foreign;
  };
  const auto same = page_config({{"b"}, {"id"}});
  const auto position = pager.open(cursor, {0}).value();
  const auto page_of = [&](const keyset_pager& other, const sql_parameters& parameters) {
    return db.read([&](read_session& s) { return other.read(s, position, parameters); });
  };
  CHECK(page_of(pager, {0}).has_value());
  CHECK(page_of(pager, {1}).error() == db_errc::cursor_foreign);
  CHECK(page_of(keyset_pager{page_config({{"id"}, {"b"}})}, {0}).error() == db_errc::cursor_foreign);
  CHECK(foreign(same, {1}));
  CHECK(foreign(page_config({{"b", sort_direction::descending}, {"id"}}), {0}));
  CHECK(foreign(page_config({{"b"}, {"id"}, {"name"}}), {0}));
  CHECK(foreign(page_config({{"b", sort_direction::ascending, sort_nulls::last}, {"id"}}), {0}));
  auto other = same;
  other.where = "tenant = $1 ";
  CHECK(foreign(other, {0}));
  other = same;
  other.from = "page_item AS i";
  CHECK(foreign(other, {0}));
  other = same;
  other.select = "id, b";
  CHECK(keyset_pager{other}.open(cursor, {0}).has_value());
  other.keys = {"another key of many bytes"};
  CHECK(keyset_pager{other}.open(cursor, {0}).error() == db_errc::cursor_tampered);
  other.keys.push_back(page_key);
  CHECK(keyset_pager{other}.open(cursor, {0}).has_value());
  CHECK(pager.open("x", {0}).error() == db_errc::cursor_truncated);
  CHECK(pager.open("?", {0}).error() == db_errc::cursor_malformed);
}

TEST_CASE("keyset.bind_parameters off takes a cursor on to other parameters") {
  sqlite_fixture file;
  auto db = file.open();
  make_pages_table(db, 100, 1);
  auto config = page_config({{"id"}});
  config.bind_parameters = false;
  const keyset_pager pager{config};
  CHECK(pager.open(read_page(db, pager, {}, {.size = 5}).next, {1}).has_value());
}

TEST_CASE("keyset.a cursor expires when its lifetime is over") {
  sqlite_fixture file;
  auto db = file.open();
  make_pages_table(db, 100, 1);
  auto config = page_config({{"id"}});
  config.cursor_lifetime = 60s;
  const spillway::testing::manual_clock still;
  spillway::testing::manual_clock clock;
  const keyset_pager pager{config, clock};
  const auto cursor = read_page(db, pager, {}, {.size = 5}).next;
  clock.advance(59s);
  CHECK(pager.open(cursor, {0}).has_value());
  clock.advance(1s);
  CHECK(pager.open(cursor, {0}).error() == db_errc::cursor_expired);
  CHECK(keyset_pager{config, still}.open(cursor, {0}).has_value());
}

TEST_CASE("keyset.a token travels in the cursors of a page and is known before the next one is read") {
  sqlite_fixture file;
  auto db = file.open();
  make_pages_table(db, 100, 1);
  const keyset_pager pager{page_config({{"id"}})};
  const auto page = read_page(db, pager, {}, {.size = 5, .token = "0/16B3748"});
  CHECK(pager.open(page.next, {0}).value().token() == "0/16B3748");
  CHECK(pager.open({}, {0}).value().token().empty());
  const auto second = read_page(db, pager, page.next, {.size = 5});
  CHECK(pager.open(second.previous, {0}).value().token().empty());
  const std::string long_token(257, 'x');
  const auto refused = page_error(db, pager, {.size = 5, .token = long_token});
  CHECK(refused == db_errc::wrong_parameters);
  CHECK(refused.message() == "the token has 257 bytes; at most 256 are carried");
}

TEST_CASE("keyset.the size of a page has bounds") {
  sqlite_fixture file;
  auto db = file.open();
  make_pages_table(db, 300, 1);
  auto config = page_config({{"id"}});
  config.page_size = 7;
  config.max_page_size = 20;
  const keyset_pager pager{config};
  CHECK(read_page(db, pager).rows.size() == 7);
  CHECK(read_page(db, pager, {}, {.size = 20}).rows.size() == 20);
  const auto refused = page_error(db, pager, {.size = 21});
  CHECK(refused == db_errc::wrong_parameters);
  CHECK(refused.message() == "a page of 21 rows was asked for; it must be in [1, 20]");
}

TEST_CASE("keyset.rows that would be lost or could not be found again are refused, never skipped") {
  sqlite_fixture file;
  auto db = file.open();
  make_pages_table(db, 100, 1);
  const auto refused = [&](const keyset_config& config, db_errc code) {
    const auto error = page_error(db, keyset_pager{config}, {.size = 3});
    CHECK(error == code);
    return std::string{error.message()};
  };
  CHECK(refused(page_config({{"b"}}), db_errc::invalid_statement).starts_with("two rows are equal in all sorted columns"));
  auto config = page_config({{"b"}, {"id"}});
  config.select = "id, name";
  CHECK(refused(config, db_errc::wrong_parameters) == "the sorted column \"b\" is not selected; the result has: id, name");
  CHECK(refused(page_config({{"a"}, {"id"}}), db_errc::type_mismatch) ==
        "the sorted column \"a\" is null in a row: say in its `nulls` whether those come first or last");
  config = page_config({{"name"}, {"id"}});
  config.max_cursor_chars = 64;
  config.select = "id, name || hex(zeroblob(500)) AS name";
  config.from = "page_item";
  config.sort[0].name = "name";
  CHECK(refused(config, db_errc::value_too_large).find("at most 64 are allowed (max_cursor_chars)") != std::string::npos);
}

TEST_CASE("keyset.a configuration that cannot work is refused, naming the field") {
  const auto why = [](auto change) {
    auto config = page_config({{"id"}});
    change(config);
    try {
      const keyset_pager pager{config};
    } catch (const std::invalid_argument& refused) {
      return std::string{refused.what()};
    }
    return std::string{};
  };
  CHECK(why([](auto&) {}).empty());
  CHECK(why([](auto& c) { c.select.clear(); }) == "keyset_config.select is empty; it must name columns");
  CHECK(why([](auto& c) { c.from.clear(); }) == "keyset_config.from is empty; it must name a table");
  CHECK(why([](auto& c) { c.sort.clear(); }) == "keyset_config.sort size is 0; it must be in [1, 8]");
  CHECK(why([](auto& c) { c.sort.push_back({""}); }) == "keyset_config.sort[1] \"\": a name has at least one byte");
  CHECK(why([](auto& c) { c.sort.push_back({"t.id"}); }) ==
        "keyset_config.sort[1] is called \"id\" like sort[0]; give one an alias in `from`");
  CHECK(why([](auto& c) { c.keys.clear(); }) == "keyset_config.keys size is 0; it must be in [1, 8]");
  CHECK(why([](auto& c) { c.keys = {"short"}; }) == "keyset_config.keys[0] length is 5; it must be in [16, 1024]");
  CHECK(why([](auto& c) { c.page_size = 501; }) == "keyset_config.page_size is 501; it must be in [1, 500]");
  CHECK(why([](auto& c) { c.max_page_size = 20'000; }) == "keyset_config.max_page_size is 20000; it must be in [1, 10000]");
  CHECK(why([](auto& c) { c.max_cursor_chars = 10; }) == "keyset_config.max_cursor_chars is 10; it must be in [64, 8192]");
  CHECK(why([](auto& c) { c.cursor_lifetime = 0s; }) == "keyset_config.cursor_lifetime is 0; it must be in [1, 315360000]");
}

TEST_CASE("keyset.a name can be anything, and is never SQL") {
  sqlite_fixture file;
  auto db = file.open();
  db.write([](write_session& s) {
    s.execute(R"(CREATE TABLE odd ("a "" b; --" BIGINT PRIMARY KEY))").value();
    for (int i = 0; i < 5; ++i) s.execute("INSERT INTO odd VALUES ($1)", i).value();
  }).value();
  keyset_config config;
  config.select = "*";
  config.from = "odd";
  config.sort = {{R"(a " b; --)", sort_direction::descending}};
  config.keys = {page_key};
  const keyset_pager pager{config};
  const auto read = [&](std::string_view cursor) {
    return db.read([&](read_session& s) { return pager.read(s, pager.open(cursor).value(), {}, {.size = 3}); }).value();
  };
  const auto second = read(read({}).next);
  REQUIRE(second.rows.size() == 2);
  CHECK(second.rows[1].as<int>() == 0);
}

TEST_CASE("keyset.a sorted column whose name the result has twice is refused") {
  sqlite_fixture file;
  auto db = file.open();
  make_pages_table(db, 5, 1);
  auto config = page_config({{"p.b"}, {"p.id"}});
  config.select = "1 AS id, p.b, p.id";
  config.from = "page_item AS p";
  const auto error = page_error(db, keyset_pager{config});
  CHECK(error == db_errc::wrong_parameters);
  CHECK(error.message() == "the sorted column \"id\" is selected more than once; give the others another name");
}
