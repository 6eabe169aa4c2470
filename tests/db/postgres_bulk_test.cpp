// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/pg_bulk_sql.hpp"
#include "db/bulk_conformance.hpp"
#include "db/support/postgres_cluster.hpp"

#include <spillway/db/postgres.hpp>

#include <array>
#include <chrono>
#include <deque>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

using namespace spillway;
using namespace spillway::tests;
using detail::bulk_job;
using detail::bulk_kind;

namespace {

database open(const postgres_database& place) {
  postgres_config config;
  config.url = place.url();
  config.readers = 2;
  config.writers = 4;
  config.database.timeout = std::chrono::minutes{1};
  return open_postgres(config).value();
}

}  // namespace

TEST_CASE("bulk.on PostgreSQL") {
  const postgres_database place;
  auto db = open(place);
  bulk_conformance(db, "BYTEA");
}

TEST_CASE("bulk.the statements for PostgreSQL") {
  bulk_job job{bulk_kind::insert, R"("s"."t")", {R"("a")", R"("b")"}, {}, {}};
  CHECK(detail::pg_copy_sql(job) == R"(COPY "s"."t" ("a", "b") FROM STDIN)");
  job.kind = bulk_kind::insert_or_skip;
  CHECK(detail::pg_staging_sql(job) == R"(CREATE TEMP TABLE spillway_bulk ON COMMIT DROP AS SELECT "a", "b" FROM "s"."t" WITH NO DATA)");
  CHECK(detail::pg_copy_sql(job) == "COPY pg_temp.spillway_bulk FROM STDIN");
  CHECK(detail::pg_merge_sql(job) == R"(INSERT INTO "s"."t" ("a", "b") SELECT "a", "b" FROM pg_temp.spillway_bulk ON CONFLICT DO NOTHING)");
  job.kind = bulk_kind::insert_or_update;
  job.keys = {0};
  job.set = {1};
  CHECK(detail::pg_staging_sql(job).find(R"("b", 0::bigint AS spillway_row FROM)") != std::string::npos);
  CHECK(detail::pg_merge_sql(job) ==
        R"(INSERT INTO "s"."t" ("a", "b") SELECT DISTINCT ON ("a") "a", "b" FROM pg_temp.spillway_bulk ORDER BY "a", spillway_row DESC )"
        R"(ON CONFLICT ("a") DO UPDATE SET "b" = excluded."b")");
  job.kind = bulk_kind::update;
  CHECK(detail::pg_merge_sql(job) ==
        R"(UPDATE "s"."t" AS target SET "b" = given."b" FROM (SELECT DISTINCT ON ("a") "a", "b" FROM pg_temp.spillway_bulk )"
        R"(ORDER BY "a", spillway_row DESC) AS given WHERE target."a" = given."a")");
}

TEST_CASE("bulk.text with a NUL byte is refused by row and column, and nothing stays") {
  const postgres_database place;
  auto db = open(place);
  make_bulk_tables(db, "BYTEA");
  auto rows = items(0, 100);
  std::get<1>(rows[70]) = std::string{"a\0b", 3};
  const auto done = insert_items(db, rows);
  CHECK(done.error() == db_errc::type_mismatch);
  CHECK(done.error().message() == "row 70: column \"name\": PostgreSQL cannot store text with a NUL byte");
  CHECK(names_of(db).empty());
  rows.resize(71);
  rows.erase(rows.begin(), rows.begin() + 70);
  CHECK(insert_items(db, rows).error() == db_errc::type_mismatch);
  CHECK(insert_items(db, items(0, 100), on_conflict::skip()).value().written == 100);
}

/// Few rows of any kind, few but for an insert, and many.
constexpr std::array<std::size_t, 3> sizes{6, 40, 400};

TEST_CASE("bulk.the row the server stumbles over is named, straight into the table and on the way to it") {
  const postgres_database place;
  auto db = open(place);
  place.cluster.sql("CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0); CREATE TABLE t (id bigint PRIMARY KEY, short varchar(4), small smallint, even even)", 0,
                    place.name);
  struct bad_row {
    std::vector<sql_value> values;
    std::string_view why;
  };
  const std::vector<bad_row> bad_rows{{{"x", "ok", 1, 2}, R"(invalid input syntax for type bigint: "x" (22P02))"},
                                      {{1'000, "too long", 1, 2}, "value too long for type character varying(4) (22001)"},
                                      {{1'000, "ok", 70'000, 2}, R"(value "70000" is out of range for type smallint (22003))"},
                                      {{1'000, "ok", 1, 3}, R"(value for domain even violates check constraint "even_check" (23514))"}};
  for (const auto size : sizes) {
    for (const auto& bad : bad_rows) {
      CAPTURE(size);
      CAPTURE(bad.why);
      std::vector<std::vector<sql_value>> rows;
      for (std::size_t i = 0; i < size; ++i) rows.push_back({static_cast<std::int64_t>(i), "ok", 1, 2});
      rows[size - 2] = bad.values;
      for (const auto& conflict : {on_conflict::fail(), on_conflict::skip(), on_conflict::update({"id"})}) {
        const auto done = db.write([&](write_session& s) { return bulk_insert(s, {"t", {"id", "short", "small", "even"}}, rows, conflict); });
        CHECK(done.error().message() == "row " + std::to_string(size - 2) + ": " + std::string{bad.why});
      }
    }
  }
  CHECK(db.read([](read_session& s) { return s.query_one<std::int64_t>("SELECT count(*) FROM t"); }).value() == 0);
}

TEST_CASE("bulk.of rows one of which is refused none stays, even if nobody looks at the failure") {
  const postgres_database place;
  auto db = open(place);
  make_bulk_tables(db, "BYTEA");
  const std::string nul{"a\0b", 3};
  for (const auto size : sizes) {
    for (const auto& conflict : {on_conflict::fail(), on_conflict::skip(), on_conflict::update({"id"})}) {
      for (const auto& bad : {item_row{0, nul, 1.0}, item_row{0, "twice", std::numeric_limits<double>::quiet_NaN()}}) {
        CAPTURE(size);
        auto rows = items(0, static_cast<int>(size));
        rows[size - 2] = bad;
        (void)db.write([&](write_session& s) { (void)bulk_insert(s, item_target, rows, conflict); });
        CHECK(names_of(db).empty());
      }
    }
  }
}

TEST_CASE("bulk.few rows take one prepared statement, whichever of their values are null; other types take another") {
  const postgres_database place;
  auto db = open(place);
  make_bulk_tables(db, "BYTEA");
  db.write([&](write_session& s) {
    using row = std::vector<sql_value>;
    const auto known = [&] { return s.query_one<std::int64_t>("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT%'").value(); };
    const bulk_target target{"bulk_value", {"id", "i", "r", "t"}};
    bulk_insert(s, target, std::vector<row>{{0, nullptr, nullptr, nullptr}, {1, nullptr, 1.5, "x"}, {2, 2, nullptr, nullptr}}, on_conflict::skip()).value();
    CHECK(known() == 1);
    bulk_insert(s, target, std::vector<row>{{3, nullptr, nullptr, "x"}, {4, nullptr, 0.1, "x"}}, on_conflict::skip()).value();
    CHECK(known() == 1);
    bulk_insert(s, target, std::vector<row>{{5, 1, 0.5, "x"}, {6, 1, 1, "x"}, {7, 1.0, 1, "x"}}, on_conflict::skip()).value();
    CHECK(known() == 3);
    CHECK(s.query_one<std::string>("SELECT string_agg(coalesce(r::text, '-'), ' ' ORDER BY id) FROM bulk_value").value() == "- 1.5 - - 0.1 0.5 1 1");
  }).value();
}

TEST_CASE("bulk.rows whose types change from one to the next") {
  const postgres_database place;
  auto db = open(place);
  place.cluster.sql("CREATE TABLE t (id bigint PRIMARY KEY, price numeric)", 0, place.name);
  std::vector<std::vector<sql_value>> rows;
  for (int i = 0; i < 90; ++i) rows.push_back({i, i % 2 == 0 ? sql_value{i} : sql_value{i + 0.5}});
  for (const auto& conflict : {on_conflict::skip(), on_conflict::update({"id"})}) {
    place.cluster.sql("TRUNCATE t", 0, place.name);
    CHECK(db.write([&](write_session& s) { return bulk_insert(s, {"t", {"id", "price"}}, rows, conflict); }).value() == bulk_counts{90, 90});
    CHECK(place.cluster.value("SELECT sum(price) FROM t", 0, place.name) == "4027.5");
  }
}

TEST_CASE("bulk.many rows are skipped as ON CONFLICT would, whatever the table is like") {
  const postgres_database place;
  auto db = open(place);
  struct like {
    std::string_view table;
    std::vector<std::string> columns{"a", "b", "v"};
    std::vector<std::vector<sql_value>> odd{};  // rows behind the others
    bool texts{false};
  };
  const std::vector<std::string> all{"a", "b", "v"};
  const std::vector<like> tables{{"(a int PRIMARY KEY, b int, v int)"},
                                 {"(a int, b int NOT NULL, v int, PRIMARY KEY (b, a))"},
                                 {"(a int NOT NULL, b int, v int, UNIQUE (a) INCLUDE (b))"},
                                 {"(a numeric PRIMARY KEY, b numeric, v text DEFAULT 'none')", {"a", "b"}},
                                 {"(a varchar(8) PRIMARY KEY, b char(9), v \"char\")", all, {}, true},
                                 {R"((a text COLLATE "C" PRIMARY KEY, b text, v text))", all, {}, true},
                                 {"(a int PRIMARY KEY, b int UNIQUE, v int)"},
                                 {"(a int UNIQUE, b int, v int)", all, {{nullptr, 1, 1}, {nullptr, 1, 1}}},
                                 {"(a int NOT NULL, b int, v int, UNIQUE (a, b))", all, {{3, nullptr, 1}, {3, nullptr, 1}}},
                                 {"(a int, b int, v int)", all, {{nullptr, 1, 1}}},
                                 {"(a int PRIMARY KEY, b int NOT NULL, v int)", all, {{1, nullptr, 1}}},
                                 {"(a int PRIMARY KEY, b int CHECK (b < 1100), v int)", all, {{1, 1'200, 1}}},
                                 {"(a int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, b int, v int)"},
                                 {"(a int PRIMARY KEY, b int, v int, EXCLUDE USING btree (b WITH =))"},
                                 {"(id serial PRIMARY KEY, a int, b int, v int)"},
                                 {"(a int PRIMARY KEY, b int, v int GENERATED ALWAYS AS (1 / (b - 500)) STORED)", {"a", "b"}},
                                 {"(a int PRIMARY KEY, b int, v int) PARTITION BY HASH (a)"}};
  const auto seed = std::random_device{}();
  MESSAGE("seed " << seed);
  std::mt19937 random{seed};
  for (const auto& one : tables) {
    CAPTURE(one.table);
    const auto number_of_table = std::to_string(&one - tables.data());
    const auto mine = "ours_" + number_of_table;
    const auto other = "theirs_" + number_of_table;
    for (const auto& name : {mine, other}) {
      auto sql = "CREATE TABLE " + name + " " + std::string{one.table};
      if (one.table.ends_with("HASH (a)")) sql += "; CREATE TABLE " + name + "_0 PARTITION OF " + name + " FOR VALUES WITH (MODULUS 1, REMAINDER 0)";
      sql += "; INSERT INTO " + name + " (a, b) SELECT i, i FROM generate_series(1, 900, 7) AS i";
      place.cluster.sql(sql, 0, place.name);
    }
    std::deque<std::string> texts;
    const auto number = [&](auto value) { return one.texts ? sql_value{texts.emplace_back(std::to_string(value))} : sql_value{static_cast<int>(value)}; };
    std::vector<std::vector<sql_value>> rows;
    for (int i = 0; i < 2'500; ++i) {
      rows.push_back({});
      for (std::size_t c = 0; c < one.columns.size(); ++c) rows.back().push_back(number(random() % (c == 2 ? 10 : 1'100)));
    }
    rows.insert(rows.end(), one.odd.begin(), one.odd.end());
    const auto ours = db.write([&](write_session& s) { return bulk_insert(s, {mine, one.columns}, rows, on_conflict::skip()); });
    // What one statement after the other comes to.
    std::uint64_t inserted{0};
    const auto theirs = db.write([&](write_session& s) -> result<void, db_error> {
      const std::string places = one.columns.size() == 2 ? "(a, b) VALUES ($1, $2)" : "(a, b, v) VALUES ($1, $2, $3)";
      for (const auto& row : rows) {
        const auto done = s.execute("INSERT INTO " + other + " " + places + " ON CONFLICT DO NOTHING", row);
        if (!done) return done.error();
        inserted += *done;
      }
      return {};
    });
    const auto why = theirs ? std::string{} : std::string{theirs.error().what()};
    CAPTURE(why);
    REQUIRE(ours.has_value() == theirs.has_value());
    if (!ours) {
      CHECK(ours.error().code() == theirs.error().code());
      CHECK(ours.error().message().find("spillway_bulk") == std::string_view::npos);
      continue;
    }
    CHECK(ours->written == inserted);
    CHECK(place.cluster.value("SELECT count(*) FROM (TABLE " + mine + " EXCEPT ALL TABLE " + other + ") AS differing", 0, place.name) == "0");
  }
}

TEST_CASE("bulk.a row that another program inserts meanwhile is skipped, too") {
  const postgres_database place;
  auto db = open(place);
  make_bulk_tables(db, "BYTEA");
  std::thread writer;
  db.write([&](write_session& s) {
    s.execute("INSERT INTO bulk_item (id, name) VALUES (70, 'theirs')").value();
    writer = std::thread{[&] { CHECK(insert_items(db, items(0, 3'000), on_conflict::skip()).value() == bulk_counts{3'000, 2'999}); }};
    while (place.cluster.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'", 0, place.name) == "0") std::this_thread::yield();
  }).value();
  writer.join();
  const auto names = names_of(db);
  CHECK(names.size() == 3'000);
  CHECK(names.at(70) == "theirs");
  CHECK(names.at(71) == "name 71");
}

TEST_CASE("bulk.any number of rows and columns, those that are known skipped") {
  const postgres_database place;
  auto db = open(place);
  for (const std::size_t width : {1U, 300U, 1'000U}) {
    CAPTURE(width);
    bulk_target target{"wide", {}};
    std::string columns;
    for (std::size_t i = 0; i < width; ++i) {
      target.columns.push_back("c" + std::to_string(i));
      columns += (i == 0 ? "" : ", ") + target.columns.back() + (i == 0 ? " int PRIMARY KEY" : " int");
    }
    place.cluster.sql("DROP TABLE IF EXISTS wide; CREATE TABLE wide (" + columns + ")", 0, place.name);
    std::int64_t known{0};
    for (const std::int64_t count : {1, 16, 31, 100, 255, 256, 257, 600}) {
      CAPTURE(count);
      std::vector<std::vector<sql_value>> rows;
      for (std::int64_t i = 0; i < count; ++i) rows.emplace_back(width, sql_value{i});
      const auto done = db.write([&](write_session& s) { return bulk_insert(s, target, rows, on_conflict::skip()); }).value();
      CHECK(done.skipped() == static_cast<std::uint64_t>(known));
      known = count;
      CHECK(db.read([](read_session& s) { return s.query_one<std::int64_t>("SELECT count(*) FROM wide"); }).value() == count);
    }
  }
}

TEST_CASE("bulk.goes into partitioned tables, columns of other types, and beside triggers") {
  const postgres_database place;
  auto db = open(place);
  db.write([](write_session& s) {
    return s.execute_script(R"(
      CREATE TABLE event (at timestamptz NOT NULL, id uuid NOT NULL, ok boolean NOT NULL, price numeric(10, 2), body jsonb, tags text[],
                          PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
      CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
      CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');)");
  }).value();
  const bulk_target target{"public.event", {"at", "id", "ok", "price", "body", "tags"}};
  for (const int count : {3, 500}) {
    std::vector<std::vector<sql_value>> rows;
    std::vector<std::string> ids;
    for (int i = 0; i < count; ++i) ids.push_back("00000000-0000-0000-0000-" + std::to_string(100'000'000'000 + i));
    for (int i = 0; i < count; ++i) {
      rows.push_back({i % 2 == 0 ? "2026-01-05 10:00:00+00" : "2026-02-05 10:00:00+00", ids[static_cast<std::size_t>(i)], i % 3 == 0, 1.25,
                      R"({"a": "\"x\\y\""})", R"({a,"b c"})"});
    }
    for (const auto& conflict : {on_conflict::skip(), on_conflict::update({"at", "id"})}) {
      CHECK(db.write([&](write_session& s) { return bulk_insert(s, target, rows, conflict); }).value().given == rows.size());
    }
    const auto stored = db.read([](read_session& s) {
      return s.query_one<std::int64_t>("SELECT count(*) FROM event WHERE body->>'a' = $1 AND tags[2] = 'b c' AND price = 1.25", R"("x\y")");
    });
    CHECK(stored.value() == count);
  }
}

TEST_CASE("bulk.of rows with equal keys the last is counted, few of them or many") {
  const postgres_database place;
  auto db = open(place);
  db.write([](write_session& s) {
    return s.execute_script("CREATE TABLE t (id numeric PRIMARY KEY, v text); CREATE TABLE loose (id numeric, v text); INSERT INTO loose VALUES (1, 'a'), (1, 'b')");
  }).value();
  for (const int others : {1, 100}) {
    std::vector<std::pair<std::string, std::string>> rows{{"1", "first"}, {"1.0", "last"}};  // the database alone knows that they are equal
    for (int i = 0; i < others; ++i) rows.emplace_back(std::to_string(i + 2), "other");
    const auto given = rows.size();
    const auto upsert = [&](write_session& s) { return bulk_insert(s, {"t", {"id", "v"}}, rows, on_conflict::update({"id"})); };
    for (int round = 0; round < 2; ++round) CHECK(db.write(upsert).value() == bulk_counts{given, given - 1});
    CHECK(db.write([&](write_session& s) { return bulk_update(s, "t", {"id"}, {"v"}, rows); }).value() == given - 1);
    CHECK(db.write([&](write_session& s) { return bulk_update(s, "loose", {"id"}, {"v"}, rows); }).value() == 2);
    CHECK(db.read([](read_session& s) { return s.query_one<std::string>("SELECT v FROM t WHERE id = 1"); }).value() == "last");
  }
}

TEST_CASE("bulk.two upserts of the same rows in opposite orders do not lock each other out") {
  const postgres_database place;
  auto db = open(place);
  make_bulk_tables(db, "BYTEA");
  const auto up = items(0, 2'000);
  const std::vector<item_row> down{up.rbegin(), up.rend()};
  std::vector<std::thread> writers;
  for (int t = 0; t < 4; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; i < 5; ++i) {
        const auto done = insert_items(db, (t + i) % 2 == 0 ? up : down, on_conflict::update({"id"}));
        CHECK(done.has_value());
        if (!done) MESSAGE(done.error());
      }
    });
  }
  for (auto& writer : writers) writer.join();
  CHECK(names_of(db).size() == 2'000);
}

TEST_CASE("bulk.a deadline ends it, and the session is as good as before") {
  const postgres_database place;
  auto db = open(place);
  make_bulk_tables(db, "BYTEA");
  const auto endless = std::views::iota(0) | std::views::transform([](int i) { return std::tuple{i, std::string{"x"}, 1.0}; });
  const auto done = db.write([&](write_session& s) { return bulk_insert(s, item_target, endless); }, std::chrono::milliseconds{100});
  CHECK(done.error() == db_errc::timed_out);
  CHECK(names_of(db).empty());
  CHECK(insert_items(db, items(0, 100)).has_value());
}
