// SPDX-License-Identifier: Apache-2.0
// What bulk statements must do on any engine, for a few rows and for many.
#pragma once

#include <spillway/db/bulk.hpp>
#include <spillway/db/database.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <ranges>
#include <string>
#include <tuple>
#include <vector>

namespace spillway::tests {

/// Enough for any engine to take its way for many rows.
inline constexpr int many_rows{3'000};

using item_row = std::tuple<std::int64_t, std::string, std::optional<double>>;

inline void make_bulk_tables(database& db, std::string_view blob_type) {
  db.write([&](write_session& s) {
    s.execute("CREATE TABLE bulk_item (id BIGINT PRIMARY KEY, name TEXT NOT NULL, price DOUBLE PRECISION, note TEXT DEFAULT 'none')").value();
    s.execute("CREATE TABLE bulk_pair (a BIGINT NOT NULL, b TEXT NOT NULL, v BIGINT, PRIMARY KEY (a, b))").value();
    s.execute("CREATE TABLE bulk_value (id BIGINT PRIMARY KEY, i BIGINT, r DOUBLE PRECISION, t TEXT, b " + std::string{blob_type} + ")").value();
  }).value();
}

inline std::vector<item_row> items(int first, int count) {
  std::vector<item_row> rows;
  for (int i = first; i < first + count; ++i) rows.emplace_back(i, "name " + std::to_string(i), i % 3 == 0 ? std::nullopt : std::optional{i / 2.0});
  return rows;
}

inline const bulk_target item_target{"bulk_item", {"id", "name", "price"}};

inline std::map<std::int64_t, std::string> names_of(database& db) {
  std::map<std::int64_t, std::string> names;
  db.read([&](read_session& s) {
    return s.stream("SELECT id, name FROM bulk_item", {}, [&](row_view row) { names[row.get<std::int64_t>(0)] = row.get<std::string>(1); });
  }).value();
  return names;
}

template <class Rows>
result<bulk_counts, db_error> insert_items(database& db, Rows&& rows, const on_conflict& conflict = on_conflict::fail()) {
  return db.write([&](write_session& s) { return bulk_insert(s, item_target, rows, conflict); }, std::chrono::minutes{2});
}

inline void bulk_of_size(database& db, int count) {
  CAPTURE(count);
  SUBCASE("insert, and columns that are not named take their default") {
    CHECK(insert_items(db, items(0, count)).value() == bulk_counts{static_cast<std::uint64_t>(count), static_cast<std::uint64_t>(count)});
    CHECK(names_of(db).size() == static_cast<std::size_t>(count));
    const auto notes = db.read([](read_session& s) { return s.query_one<std::int64_t>("SELECT count(*) FROM bulk_item WHERE note = 'none'"); });
    CHECK(notes.value() == count);
  }
  SUBCASE("fail leaves nothing, and names the row where the engine knows it") {
    auto rows = items(0, count);
    std::get<0>(rows.back()) = 1;
    const auto done = insert_items(db, rows);
    CHECK(done.error() == db_errc::unique_violation);
    CHECK(done.error().message().starts_with("row " + std::to_string(count - 1) + ": "));
    CHECK(names_of(db).empty());
  }
  SUBCASE("skip keeps what was there, and of equal rows the first") {
    insert_items(db, std::vector<item_row>{{1, "old", 1.0}}).value();
    auto rows = items(0, count);
    rows.emplace_back(2, "second two", 2.0);
    const auto done = insert_items(db, rows, on_conflict::skip()).value();
    CHECK(done.given == static_cast<std::uint64_t>(count) + 1);
    CHECK(done.skipped() == 2);
    const auto names = names_of(db);
    CHECK(names.size() == static_cast<std::size_t>(count));
    CHECK(names.at(1) == "old");
    CHECK(names.at(2) == "name 2");
  }
  SUBCASE("update changes what was there, and of rows with equal keys the last counts") {
    insert_items(db, std::vector<item_row>{{1, "old", 1.0}}).value();
    auto rows = items(0, count);
    rows.emplace_back(2, "second two", 2.0);
    const auto done = insert_items(db, rows, on_conflict::update({"id"})).value();
    CHECK(done.given == static_cast<std::uint64_t>(count) + 1);
    const auto names = names_of(db);
    CHECK(names.size() == static_cast<std::size_t>(count));
    CHECK(names.at(1) == "name 1");
    CHECK(names.at(2) == "second two");
  }
  SUBCASE("update sets only the columns it is told to") {
    insert_items(db, std::vector<item_row>{{1, "old", 7.0}}).value();
    insert_items(db, items(0, count), on_conflict::update({"id"}, {"name"})).value();
    const auto price = db.read([](read_session& s) { return s.query_one<double>("SELECT price FROM bulk_item WHERE id = 1"); });
    CHECK(price.value() == 7.0);
    CHECK(names_of(db).at(1) == "name 1");
  }
  SUBCASE("of rows with equal keys, what is not to be set is of the first") {
    auto rows = items(0, count);
    rows.emplace_back(2, "second two", 22.0);
    insert_items(db, rows, on_conflict::update({"id"}, {"name"})).value();
    const auto price = db.read([](read_session& s) { return s.query_one<double>("SELECT price FROM bulk_item WHERE id = 2"); });
    CHECK(price.value() == 1.0);
    CHECK(names_of(db).at(2) == "second two");
  }
  SUBCASE("keys of several columns") {
    std::vector<std::tuple<int, std::string, int>> rows;
    for (int i = 0; i < count; ++i) rows.emplace_back(i / 2, i % 2 == 0 ? "x" : "y", i);
    rows.emplace_back(0, "y", 100);
    const bulk_target target{"bulk_pair", {"a", "b", "v"}};
    db.write([&](write_session& s) { return bulk_insert(s, target, rows, on_conflict::update({"b", "a"})); }).value();
    const auto sum = db.read([](read_session& s) { return s.query_one<std::int64_t>("SELECT sum(v) FROM bulk_pair"); }).value().value();
    CHECK(sum == std::int64_t{count} * (count - 1) / 2 + 99);
  }
  SUBCASE("bulk_update changes rows by their keys, the last of equal keys counts, and others are left alone") {
    insert_items(db, items(0, count)).value();
    std::vector<std::tuple<int, std::string>> rows;
    for (int i = 1; i < count; ++i) rows.emplace_back(i, "new " + std::to_string(i));
    rows.emplace_back(count + 5, "nobody");
    rows.emplace_back(2, "newest");
    const auto changed = db.write([&](write_session& s) { return bulk_update(s, "bulk_item", {"id"}, {"name"}, rows); }).value();
    CHECK(changed >= static_cast<std::uint64_t>(count) - 1);
    CHECK(changed <= static_cast<std::uint64_t>(count));
    const auto names = names_of(db);
    CHECK(names.at(0) == "name 0");
    CHECK(names.at(1) == "new 1");
    CHECK(names.at(2) == "newest");
    CHECK(names.size() == static_cast<std::size_t>(count));
  }
  SUBCASE("the width of each row is checked") {
    std::vector<std::vector<sql_value>> rows;
    for (int i = 0; i < count; ++i) rows.push_back({i, "x", 1.0});
    rows.push_back({count, "x"});
    const auto done = insert_items(db, rows);
    CHECK(done.error() == db_errc::wrong_parameters);
    CHECK(done.error().message() == "row " + std::to_string(count) + ": 2 values are given for 3 columns");
    CHECK(names_of(db).empty());
  }
  SUBCASE("NaN is refused, naming row and column") {
    auto rows = items(0, count);
    std::get<2>(rows.back()) = std::numeric_limits<double>::quiet_NaN();
    const auto done = insert_items(db, rows);
    CHECK(done.error() == db_errc::type_mismatch);
    CHECK(done.error().message() == "row " + std::to_string(count - 1) + ": column \"price\": NaN cannot be stored");
    CHECK(names_of(db).empty());
  }
  SUBCASE("a key that is null is refused") {
    std::vector<std::tuple<std::optional<int>, std::string, double>> rows;
    for (int i = 0; i < count; ++i) rows.emplace_back(i, "x", 1.0);
    rows.emplace_back(std::nullopt, "x", 1.0);
    const auto done = insert_items(db, rows, on_conflict::update({"id"}));
    CHECK(done.error() == db_errc::wrong_parameters);
    CHECK(done.error().message() == "row " + std::to_string(count) + ": column \"id\": a key is null, which is equal to nothing");
  }
  SUBCASE("what the range throws passes through, nothing stays, and the database goes on") {
    const auto rows = std::views::iota(0, count + 1) | std::views::transform([&](int i) {
                        if (i == count) throw std::runtime_error{"no more"};
                        return std::tuple{i, std::string{"x"}, 1.0};
                      });
    CHECK_THROWS_WITH_AS((void)insert_items(db, rows), "no more", std::runtime_error);
    CHECK(names_of(db).empty());
    CHECK(insert_items(db, items(0, count)).has_value());
  }
  SUBCASE("several in one transaction, and what was written before is there") {
    db.write([&](write_session& s) {
      bulk_insert(s, item_target, items(0, count), on_conflict::skip()).value();
      bulk_insert(s, item_target, items(count / 2, count), on_conflict::update({"id"})).value();
      bulk_insert(s, item_target, items(0, 2 * count), on_conflict::skip()).value();
      CHECK(s.query_one<std::int64_t>("SELECT count(*) FROM bulk_item").value() == 2 * count);
    }).value();
    CHECK(names_of(db).size() == 2 * static_cast<std::size_t>(count));
  }
}

inline void bulk_values(database& db, int padding) {
  constexpr auto least = std::numeric_limits<std::int64_t>::min();
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  std::vector<std::byte> bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<std::byte>(i));
  std::string controls;
  for (char c = 1; c < 0x20; ++c) controls += c;
  const std::string odd{"\\N \\. \\x41 \\\\ tab\there, line\nreturn\rend Zürich 東京 ''\"\" $1 \x7f"};
  std::vector<std::vector<sql_value>> rows{{0, least, -2.5e-308, odd, bytes},
                                           {1, most, 1e308, controls, std::span<const std::byte>{}},
                                           {2, nullptr, nullptr, nullptr, nullptr},
                                           {3, 0, -0.1, "", nullptr},
                                           {4, -1, 5e-324, "\\N", bytes},
                                           {5, 1, std::numeric_limits<double>::infinity(), "\\.", nullptr},
                                           {6, 1, -std::numeric_limits<double>::infinity(), "\\", nullptr}};
  const std::string long_text(1U << 20U, 'x');
  rows.push_back({7, 1, 0.1 + 0.2, long_text, nullptr});
  const auto given = rows.size();
  for (int i = 0; i < padding; ++i) rows.push_back({static_cast<int>(given) + i, i, i / 7.0, "p", nullptr});
  const bulk_target target{"bulk_value", {"id", "i", "r", "t", "b"}};
  CHECK(db.write([&](write_session& s) { return bulk_insert(s, target, rows); }).value().written == rows.size());
  const auto stored = db.read([](read_session& s) { return s.query("SELECT id, i, r, t, b FROM bulk_value ORDER BY id"); }).value();
  REQUIRE(stored.size() == rows.size());
  for (std::size_t row = 0; row < rows.size(); ++row) {
    CAPTURE(row);
    const auto [id, i, r, t, b] = stored[row].as<std::tuple<std::int64_t, std::optional<std::int64_t>, std::optional<double>,
                                                           std::optional<std::string>, std::optional<std::vector<std::byte>>>>();
    const auto same = [](const auto& held, const sql_value& value) {
      return held ? sql_value{*held}.get().index() == value.get().index() : value.is_null();
    };
    CHECK(same(i, rows[row][1]));
    CHECK(same(r, rows[row][2]));
    CHECK(same(t, rows[row][3]));
    CHECK(same(b, rows[row][4]));
    if (i) CHECK(*i == std::get<std::int64_t>(rows[row][1].get()));
    if (r) CHECK(*r == std::get<double>(rows[row][2].get()));
    if (t) CHECK(*t == std::get<std::string_view>(rows[row][3].get()));
    if (b) CHECK(std::ranges::equal(*b, std::get<std::span<const std::byte>>(rows[row][4].get())));
  }
}

inline void bulk_misuse(database& db) {
  const std::vector<std::tuple<int, std::string>> rows{{1, "x"}};
  const auto refusal = [&](const bulk_target& target, const on_conflict& conflict = on_conflict::fail()) {
    const auto done = db.write([&](write_session& s) { return bulk_insert(s, target, rows, conflict); });
    CHECK(done.error() == db_errc::wrong_parameters);
    return std::string{done.error().message()};
  };
  CHECK(refusal({"", {"id"}}) == "table \"\": a name has at least one byte");
  CHECK(refusal({"a.b.c", {"id"}}) == "table \"a.b.c\": at most 2 names, separated by dots, are expected");
  CHECK(refusal({"bulk_item", {}}) == "0 columns are named; it must be 1 to 1600");
  CHECK(refusal({"bulk_item", {"id", "id"}}) == "column \"id\" is named twice");
  CHECK(refusal({"bulk_item", {"id", "x.name"}}) == "column \"x.name\": a name without a dot is expected");
  CHECK(refusal({"bulk_item", {"id", "name"}}, on_conflict::update({})) == "0 columns are named; it must be 1 to 1600");
  CHECK(refusal({"bulk_item", {"id", "name"}}, on_conflict::update({"price"})) ==
        "column \"price\" is a key, and not among those the rows have values for");
  CHECK(refusal({"bulk_item", {"id", "name"}}, on_conflict::update({"id"}, {"price"})) ==
        "column \"price\" is a column to set, and not among those the rows have values for");
  CHECK(refusal({"bulk_item", {"id", "name"}}, on_conflict::update({"id", "name"})) ==
        "all columns are keys, so there is nothing to update: on_conflict::skip()");
  // What is wrong with the statement is no row's fault.
  const auto engines = [&](const bulk_target& target, const on_conflict& conflict, std::size_t count) {
    const auto done = db.write([&](write_session& s) { return bulk_insert(s, target, std::vector(count, rows.front()), conflict); });
    CHECK((done.error() == db_errc::invalid_statement || done.error() == db_errc::no_such_object));
    CHECK(done.error().message().find("row ") == std::string_view::npos);
  };
  for (const std::size_t count : {1U, 300U}) {
    engines({"bulk_item", {"id", "name"}}, on_conflict::update({"name"}), count);
    engines({"bulk_nothing", {"id", "name"}}, on_conflict::fail(), count);
    engines({"bulk_item", {"id", "colour"}}, on_conflict::skip(), count);
  }
  const auto update = [&](const std::vector<std::string>& keys, const std::vector<std::string>& set) {
    const auto done = db.write([&](write_session& s) { return bulk_update(s, "bulk_item", keys, set, rows); });
    CHECK(done.error() == db_errc::wrong_parameters);
    return std::string{done.error().message()};
  };
  CHECK(update({}, {"name"}) == "0 keys and 1 columns to set are named; each must be at least 1");
  CHECK(update({"id"}, {"id"}) == "column \"id\" is named twice");
  const auto nowhere = db.write([&](write_session& s) { return bulk_insert(s, {"nowhere", {"id", "name"}}, rows); });
  CHECK(nowhere.error() == db_errc::no_such_object);
  const auto hostile = db.write([&](write_session& s) { return bulk_insert(s, {R"(bulk_item" DEFAULT VALUES; --)", {"id", "name"}}, rows); });
  CHECK(hostile.error() == db_errc::no_such_object);
  const std::vector<item_row> none;
  CHECK(insert_items(db, none).value() == bulk_counts{0, 0});
  CHECK(insert_items(db, none, on_conflict::update({"id"})).value() == bulk_counts{0, 0});
}

/// Random upserts against a map.
inline void bulk_model(database& db) {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random{seed};
  std::map<std::int64_t, std::string> expected;
  for (int round = 0; round < 30; ++round) {
    std::vector<item_row> rows;
    const auto count = random() % 3 == 0 ? random() % 200 : random() % 20;
    for (std::size_t i = 0; i < count; ++i) rows.emplace_back(random() % 100, std::to_string(random() % 1'000), std::nullopt);
    const bool update = random() % 2 == 0;
    const auto done = insert_items(db, rows, update ? on_conflict::update({"id"}) : on_conflict::skip()).value();
    CHECK(done.given == count);
    std::uint64_t fresh{0};
    for (const auto& [id, name, price] : rows) {
      const auto [at, inserted] = expected.emplace(id, name);
      fresh += inserted ? 1 : 0;
      if (update) at->second = name;
    }
    if (!update) CHECK(done.written == fresh);
    REQUIRE(names_of(db) == expected);
  }
}

inline void bulk_conformance(database& db, std::string_view blob_type) {
  make_bulk_tables(db, blob_type);
  SUBCASE("few rows") { bulk_of_size(db, 5); }
  SUBCASE("many rows") { bulk_of_size(db, many_rows); }
  SUBCASE("any value comes back as it went in, one of few") { bulk_values(db, 0); }
  SUBCASE("any value comes back as it went in, one of many") { bulk_values(db, many_rows); }
  SUBCASE("misuse is told") { bulk_misuse(db); }
  SUBCASE("random rows against a model") { bulk_model(db); }
}

}  // namespace spillway::tests
