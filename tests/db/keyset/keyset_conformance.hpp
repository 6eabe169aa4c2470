// SPDX-License-Identifier: Apache-2.0
// What pages must be on any engine.
#pragma once

#include <spillway/db/database.hpp>
#include <spillway/db/keyset.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

namespace spillway::tests {

inline const std::string page_key{"a key of twenty bytes"};

inline void make_pages_table(database& db, int rows, std::uint32_t seed) {
  std::mt19937 random{seed};
  db.write([&](write_session& s) {
    s.execute("CREATE TABLE page_item (id BIGINT PRIMARY KEY, tenant BIGINT NOT NULL, a BIGINT, b BIGINT NOT NULL, r DOUBLE PRECISION NOT NULL, "
              "name TEXT NOT NULL)").value();
    for (int i = 0; i < rows; ++i) {
      const auto a = random() % 4 == 0 ? std::nullopt : std::optional<std::int64_t>{random() % 5};
      s.execute("INSERT INTO page_item VALUES ($1, $2, $3, $4, $5, $6)", i, random() % 3, a, random() % 5, static_cast<double>(random() % 7) / 3,
                "n" + std::to_string(random() % 40)).value();
    }
  }).value();
}

inline keyset_config page_config(std::vector<keyset_column> sort) {
  keyset_config config;
  config.select = "id, tenant, a, b, r, name";
  config.from = "page_item";
  config.where = "tenant = $1";
  config.sort = std::move(sort);
  config.keys = {page_key};
  return config;
}

inline std::vector<std::int64_t> ids_of(const row_set& rows) {
  std::vector<std::int64_t> ids;
  for (const auto row : rows) ids.push_back(row.get<std::int64_t>("id"));
  return ids;
}

/// All pages from the beginning to the end and back again, with the ids on each.
inline void walk(database& db, const keyset_pager& pager, std::int64_t tenant, std::size_t size, const std::vector<std::int64_t>& expected) {
  const auto page_at = [&](std::string_view cursor) {
    const auto position = pager.open(cursor, {tenant}).value();
    page_request request;
    request.size = size;
    return db.read([&](read_session& s) { return pager.read(s, position, {tenant}, request); }).value();
  };
  std::vector<std::int64_t> seen;
  std::vector<std::vector<std::int64_t>> pages;
  auto page = page_at({});
  CHECK(page.previous.empty());
  for (;;) {
    const auto ids = ids_of(page.rows);
    CHECK(ids.size() <= size);
    CHECK((ids.size() == size || page.next.empty()));
    seen.insert(seen.end(), ids.begin(), ids.end());
    pages.push_back(ids);
    if (page.next.empty()) break;
    page = page_at(page.next);
  }
  CHECK(seen == expected);
  while (!page.previous.empty()) {
    pages.pop_back();
    page = page_at(page.previous);
    CHECK_FALSE(page.next.empty());
    REQUIRE_FALSE(pages.empty());
    CHECK(ids_of(page.rows) == pages.back());
  }
  CHECK(pages.size() == 1);
}

inline std::string order_sql(const std::vector<keyset_column>& sort) {
  std::string sql;
  for (const auto& column : sort) {
    sql += (sql.empty() ? "" : ", ") + column.name + (column.direction == sort_direction::descending ? " DESC" : " ASC");
    if (column.nulls != sort_nulls::none) sql += column.nulls == sort_nulls::first ? " NULLS FIRST" : " NULLS LAST";
  }
  return sql;
}

/// Any sort, any size of page: what the pages hold together is what one query gives.
inline void pages_of_any_sort(database& db) {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  make_pages_table(db, 120, seed);
  std::mt19937 random{seed};
  for (int round = 0; round < 40; ++round) {
    std::vector<std::string> names{"a", "b", "r", "name"};
    std::ranges::shuffle(names, random);
    names.resize(random() % 4);
    names.emplace_back("page_item.id");
    std::vector<keyset_column> sort;
    for (const auto& name : names) {
      sort.push_back({name, random() % 2 == 0 ? sort_direction::ascending : sort_direction::descending,
                      name != "a" ? sort_nulls::none : random() % 2 == 0 ? sort_nulls::first : sort_nulls::last});
    }
    const auto order = order_sql(sort);
    CAPTURE(order);
    const auto tenant = static_cast<std::int64_t>(random() % 3);
    const auto expected = db.read([&](read_session& s) {
      return s.query("SELECT id FROM page_item WHERE tenant = $1 ORDER BY " + order, tenant);
    }).value();
    walk(db, keyset_pager{page_config(sort)}, tenant, 1 + random() % 20, ids_of(expected));
  }
}

/// Rows that come and go beside a border move nothing else.
inline void pages_stay_where_they_are(database& db) {
  make_pages_table(db, 0, 1);
  const auto insert = [&](int id) {
    db.write([&](write_session& s) { return s.execute("INSERT INTO page_item VALUES ($1, 0, 0, 0, 0, 'x')", id); }).value();
  };
  for (const int id : {10, 20, 30, 40, 50, 60}) insert(id);
  const keyset_pager pager{page_config({{"id"}})};
  const auto page_at = [&](std::string_view cursor) {
    page_request request;
    request.size = 2;
    return db.read([&](read_session& s) { return pager.read(s, pager.open(cursor, {0}).value(), {0}, request); }).value();
  };
  const auto first = page_at({});
  CHECK(ids_of(first.rows) == std::vector<std::int64_t>{10, 20});
  insert(15);
  insert(25);
  db.write([](write_session& s) { return s.execute("DELETE FROM page_item WHERE id = 20"); }).value();
  const auto second = page_at(first.next);
  CHECK(ids_of(second.rows) == std::vector<std::int64_t>{25, 30});
  CHECK(ids_of(page_at(second.previous).rows) == std::vector<std::int64_t>{10, 15});
  db.write([](write_session& s) { return s.execute("DELETE FROM page_item WHERE id > 30"); }).value();
  const auto gone = page_at(second.next);
  CHECK(gone.rows.empty());
  CHECK(gone.next.empty());
  CHECK(gone.previous.empty());
}

inline void keyset_conformance(database& db) {
  SUBCASE("any sort") { pages_of_any_sort(db); }
  SUBCASE("rows that come and go") { pages_stay_where_they_are(db); }
}

}  // namespace spillway::tests
