// SPDX-License-Identifier: Apache-2.0
#include "db/keyset/keyset_conformance.hpp"
#include "db/support/postgres_cluster.hpp"

#include <spillway/db/postgres.hpp>

#include <chrono>
#include <string>
#include <vector>

using namespace spillway;
using namespace spillway::tests;

namespace {

database open_pages(const postgres_database& place) {
  postgres_config config;
  config.url = place.url();
  config.readers = 2;
  config.writers = 2;
  config.database.timeout = std::chrono::minutes{1};
  return open_postgres(config).value();
}

keyset_page read_page(database& db, const keyset_pager& pager, std::string_view cursor, std::size_t size, std::vector<sql_value> parameters = {}) {
  const auto position = pager.open(cursor, parameters).value();
  page_request request;
  request.size = size;
  return db.read([&](read_session& s) { return pager.read(s, position, parameters, request); }).value();
}

std::string plan_of(database& db, const std::string& sql, std::vector<sql_value> values) {
  std::string plan;
  const auto rows = db.read([&](read_session& s) { return s.query("EXPLAIN (COSTS OFF) " + sql, values); }).value();
  for (const auto row : rows) plan += row.get<std::string>(0) + "\n";
  return plan;
}

}  // namespace

TEST_CASE("keyset.pages on PostgreSQL") {
  const postgres_database place;
  auto db = open_pages(place);
  keyset_conformance(db);
}

TEST_CASE("keyset.PostgreSQL finds each page by the index alone") {
  const postgres_database place;
  auto db = open_pages(place);
  db.write([](write_session& s) {
    return s.execute_script(R"(
      CREATE TABLE page_item (id bigint PRIMARY KEY, tenant bigint NOT NULL, a bigint, b bigint NOT NULL, r double precision NOT NULL, name text NOT NULL);
      INSERT INTO page_item SELECT i, i % 3, nullif(i % 1000, 0), i * 7919 % 100000, i, 'n' FROM generate_series(1, 50000) AS i;
      CREATE INDEX up ON page_item (tenant, b, id);
      CREATE INDEX mixed ON page_item (tenant, a DESC NULLS LAST, id);
      ANALYZE page_item;)");
  }).value();
  const keyset_pager one_way{page_config({{"b"}, {"id"}})};
  const auto up_cursor = read_page(db, one_way, {}, 3, {0}).next;
  auto plan = plan_of(db, one_way.sql(one_way.open(up_cursor, {0}).value(), 1, 4), {0, 100, 100});
  CAPTURE(plan);
  CHECK(plan == "Limit\n  ->  Index Scan using up on page_item\n"
                "        Index Cond: ((tenant = '0'::bigint) AND (ROW(b, id) > ROW('100'::bigint, '100'::bigint)))\n");

  const keyset_pager two_ways{page_config({{"a", sort_direction::descending, sort_nulls::last}, {"id"}})};
  const auto mixed_cursor = read_page(db, two_ways, {}, 3, {0}).next;
  plan = plan_of(db, two_ways.sql(two_ways.open(mixed_cursor, {0}).value(), 1, 4), {0, 500, 100});
  CAPTURE(plan);
  CHECK(plan.find("Index Cond: ((tenant = '0'::bigint) AND (a = '500'::bigint) AND (id > '100'::bigint))") != std::string::npos);
  CHECK(plan.find("Index Cond: ((tenant = '0'::bigint) AND (a < '500'::bigint))") != std::string::npos);
  CHECK(plan.find("Index Cond: ((tenant = '0'::bigint) AND (a IS NULL))") != std::string::npos);
  CHECK(plan.find("Seq Scan") == std::string::npos);
  CHECK(plan.find("Filter") == std::string::npos);
}

TEST_CASE("keyset.sorts by columns of PostgreSQL's own types, without losing a digit") {
  const postgres_database place;
  auto db = open_pages(place);
  db.write([](write_session& s) {
    return s.execute_script(R"(
      CREATE TABLE odd (id uuid PRIMARY KEY, at timestamptz NOT NULL, day date NOT NULL, price numeric(12, 4) NOT NULL, small real NOT NULL,
                        ok boolean NOT NULL, data bytea NOT NULL);
      INSERT INTO odd SELECT ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid, '2026-01-31 23:59:59.999999+00'::timestamptz + i % 7 * interval '1 us',
                             '2026-01-01'::date + i % 5, (i % 11) / 7.0, (i % 13) / 3.0::real, i % 2 = 0, decode(lpad(to_hex(i % 9), 2, '0'), 'hex')
                      FROM generate_series(1, 200) AS i;)");
  }).value();
  for (const std::string column : {"at", "day", "price", "small", "ok", "data"}) {
    CAPTURE(column);
    for (const auto direction : {sort_direction::ascending, sort_direction::descending}) {
      keyset_config config;
      config.select = "id, " + column;
      config.from = "odd";
      config.sort = {{column, direction}, {"id"}};
      config.keys = {page_key};
      const keyset_pager pager{config};
      std::vector<std::string> seen;
      std::string cursor;
      do {
        const auto page = read_page(db, pager, cursor, 17);
        for (const auto row : page.rows) seen.push_back(row.get<std::string>("id"));
        cursor = page.next;
      } while (!cursor.empty());
      std::vector<std::string> expected;
      const auto order = column + (direction == sort_direction::descending ? " DESC" : "") + ", id";
      const auto all = db.read([&](read_session& s) { return s.query("SELECT id FROM odd ORDER BY " + order); }).value();
      for (const auto row : all) expected.push_back(row.get<std::string>(0));
      CHECK(seen == expected);
    }
  }
}

TEST_CASE("keyset.a number with more digits than a page's border can carry is refused there, and nowhere else") {
  const postgres_database place;
  auto db = open_pages(place);
  db.write([](write_session& s) {
    return s.execute_script(R"(
      CREATE TABLE exact (id int PRIMARY KEY, n numeric NOT NULL);
      INSERT INTO exact VALUES (1, 0.12345678901234567), (2, 0.12345678901234568), (3, 0.1234567890123457), (4, 1.50), (5, 123456789012345.6),
                               (6, 18446744073709551616), (7, 100000000000000000000), (8, 1e300), (9, 1e400);)");
  }).value();
  keyset_config config;
  config.select = "id, n";
  config.from = "exact";
  config.sort = {{"n"}, {"id"}};
  config.keys = {page_key};
  const keyset_pager pager{config};
  const auto first = [&](std::size_t size) {
    page_request request;
    request.size = size;
    return db.read([&](read_session& s) { return pager.read(s, {}, {}, request); });
  };
  const auto refused = first(1);
  CHECK(refused.error() == db_errc::type_mismatch);
  CHECK(refused.error().message() == "the sorted column \"n\" has more digits in a row than a double holds");
  std::string cursor = first(3).value().next;
  for (const int expected : {4, 5}) {
    const auto page = read_page(db, pager, cursor, 1);
    CHECK(page.rows[0].get<int>("id") == expected);
    cursor = page.next;
  }
  CHECK(first(6).error() == db_errc::type_mismatch);
  CHECK(first(7).has_value());
  CHECK(first(8).has_value());
  CHECK(db.read([&](read_session& s) { return pager.read(s, pager.open(cursor).value(), {}, {.size = 4}); }).error() == db_errc::type_mismatch);
}
