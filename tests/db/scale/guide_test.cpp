// SPDX-License-Identifier: Apache-2.0
// The code of docs/guide/db_scale.md, compiled and run.
#include "db/support/postgres_cluster.hpp"
#include "support/temp_dir.hpp"

#include <spillway/db/bulk.hpp>
#include <spillway/db/keyset.hpp>
#include <spillway/db/partitions.hpp>
#include <spillway/db/postgres.hpp>
#include <spillway/db/shard_map.hpp>
#include <spillway/db/sqlite.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

// [bulk]
std::uint64_t import_items(spillway::database& db, const std::vector<std::tuple<std::int64_t, std::string, int>>& items) {
  const spillway::bulk_target target{"item", {"id", "name", "stock"}};
  const auto done = db.write([&](spillway::write_session& s) {
    return spillway::bulk_insert(s, target, items, spillway::on_conflict::skip());
  }, 30s).value();
  return done.written;  // done.skipped() were there already
}
// [bulk]

// [upsert]
void take_inventory(spillway::database& db, const std::vector<std::tuple<std::int64_t, std::string, int>>& items) {
  db.write([&](spillway::write_session& s) {
    return spillway::bulk_insert(s, {"item", {"id", "name", "stock"}}, items, spillway::on_conflict::update({"id"}, {"stock"}));
  }, 30s).value();
}
// [upsert]

// [update]
std::uint64_t set_stock(spillway::database& db, const std::vector<std::pair<std::int64_t, int>>& stock) {
  return db.write([&](spillway::write_session& s) { return spillway::bulk_update(s, "item", {"id"}, {"stock"}, stock); }, 30s).value();
}
// [update]

// [pager]
spillway::keyset_pager make_pager(std::vector<std::string> keys) {
  spillway::keyset_config config{.select = "id, name, stock", .from = "item", .where = "stock >= $1"};
  config.sort = {{"stock", spillway::sort_direction::descending}, {"id"}};
  config.keys = std::move(keys);  // the newest first; cursors signed with the others are still good
  return spillway::keyset_pager{config};
}
// [pager]

// [page]
spillway::keyset_page items_page(spillway::database& db, const spillway::keyset_pager& pager, const std::string& cursor, int least) {
  const auto place = pager.open(cursor, {least}).value();  // the errors of a client's cursor are errc::invalid
  return db.read([&](spillway::read_session& s) { return pager.read(s, place, {least}, {.size = 2}); }).value();
}
// [page]

// [shards]
std::int64_t count_notes(spillway::shard_map& shards) {
  const auto count = [](spillway::read_session& s) { return s.query_one<std::int64_t>("SELECT count(*) FROM note").value().value(); };
  auto counts = shards.scatter(count, 500ms);
  if (!counts.complete()) return -1;  // or make do with std::move(counts).partial()
  std::int64_t total{0};
  for (const auto one : std::move(counts).all().value()) total += one;
  return total;
}
// [shards]

// [scatter]
boost::asio::awaitable<std::size_t> silent_shards(spillway::shard_map& shards) {
  const auto ask = [](spillway::read_session& s) { return s.query_one<int>("SELECT 1").value().value(); };
  const spillway::session_options options{500ms};
  const auto answers = co_await shards.async_scatter(ask, options, boost::asio::use_awaitable);
  co_return answers.failed();
}
// [scatter]

// [double]
/// Copies what must go from shard i to i + n, once n shards have become 2 n.
std::uint64_t copy_moving(spillway::database& from, spillway::database& to, std::size_t n) {
  std::uint64_t copied{0};
  std::vector<std::pair<std::string, std::string>> batch;
  const auto flush = [&] {
    copied += to.write([&](spillway::write_session& s) {
      return spillway::bulk_insert(s, {"note", {"tenant", "text"}}, batch, spillway::on_conflict::skip());
    }, 1min).value().written;
    batch.clear();
  };
  from.read([&](spillway::read_session& s) {
    return s.stream("SELECT tenant, text FROM note", {}, [&](spillway::row_view row) {
      if (!spillway::shard_key{row.get<std::string_view>(0)}.moves_when_doubled(n)) return;
      batch.push_back(row.as<std::pair<std::string, std::string>>());
      if (batch.size() == 10'000) flush();
    });
  }, 10min).value();
  flush();
  return copied;
}
// [double]

// [partitions]
std::chrono::seconds keep_events(spillway::database& db) {
  spillway::partition_config config{.table = "event"};
  config.months_ahead = 3;
  config.keep_months = 12;
  spillway::partition_manager events{db, config};
  const auto done = events.run();  // once an hour
  if (!done) throw spillway::db_exception{done.error()};
  return events.status().value().runway;  // alert below a month
}
// [partitions]

// [copy]
std::string export_items(spillway::database& db) {
  std::string csv;
  db.read([&](spillway::read_session& s) {
    return spillway::copy_out(s, "COPY (SELECT id, name FROM item ORDER BY id) TO STDOUT (FORMAT csv)", [&](std::string_view line) {
      csv += line;
      return true;
    });
  }).value();
  return csv;
}
// [copy]

void rows_and_pages(spillway::database& db) {
  db.write([](spillway::write_session& s) {
    return s.execute("CREATE TABLE item (id BIGINT PRIMARY KEY, name TEXT NOT NULL, stock BIGINT NOT NULL)");
  }).value();
  CHECK(import_items(db, {{1, "nails", 100}, {2, "glue", 2}, {3, "saws", 5}}) == 3);
  CHECK(import_items(db, {{1, "screws", 1}, {4, "planes", 7}}) == 1);
  take_inventory(db, {{1, "whatever", 90}, {5, "files", 4}});
  CHECK(set_stock(db, {{2, 3}, {99, 1}}) == 1);

  const auto pager = make_pager({"the newest secret of all", "an older one, still good"});
  const auto first = items_page(db, pager, {}, 3);
  CHECK(first.rows[0].get<std::string>("name") == "nails");
  CHECK(first.rows[0].get<int>("stock") == 90);
  const auto second = items_page(db, pager, first.next, 3);
  CHECK(second.rows[0].get<std::string>("name") == "saws");
  CHECK(items_page(db, pager, second.previous, 3).rows[1].get<std::string>("name") == "planes");
}

void notes_on(spillway::shard_map& shards) {
  for (std::size_t i = 0; i < shards.size(); ++i) {
    shards.at(i).write([](spillway::write_session& s) { return s.execute("CREATE TABLE note (tenant TEXT NOT NULL UNIQUE, text TEXT NOT NULL)"); }).value();
  }
  for (int i = 0; i < 50; ++i) {
    const auto tenant = "tenant-" + std::to_string(i);
    shards.on(tenant).write([&](spillway::write_session& s) { return s.execute("INSERT INTO note VALUES ($1, 'x')", tenant); }).value();
  }
}

}  // namespace

TEST_CASE("guide.db_scale.rows and pages on SQLite") {
  const spillway::tests::temp_dir directory;
  auto db = spillway::open_sqlite({.path = (directory.path() / "shop.db").string()}).value();
  rows_and_pages(db);
}

TEST_CASE("guide.db_scale.rows, pages and partitions on PostgreSQL") {
  const spillway::tests::postgres_database place;
  auto db = spillway::open_postgres({.url = place.url()}).value();
  rows_and_pages(db);
  CHECK(export_items(db).starts_with("1,nails\n2,glue\n"));
  db.write([](spillway::write_session& s) { return s.execute("CREATE TABLE event (at timestamptz NOT NULL) PARTITION BY RANGE (at)"); }).value();
  CHECK(keep_events(db) > std::chrono::days{80});
}

TEST_CASE("guide.db_scale.shards") {
  const spillway::tests::temp_dir directory;
  const auto open = [&](int i) { return spillway::open_sqlite({.path = (directory.path() / ("s" + std::to_string(i))).string()}).value(); };
  std::vector<spillway::database> two;
  two.push_back(open(0));
  two.push_back(open(1));
  spillway::shard_map shards{std::move(two)};
  notes_on(shards);
  CHECK(count_notes(shards) == 50);
  boost::asio::io_context context;
  std::size_t silent{9};
  const auto run = [&]() -> boost::asio::awaitable<void> { silent = co_await silent_shards(shards); };
  boost::asio::co_spawn(context, run, boost::asio::detached);
  context.run();
  CHECK(silent == 0);

  auto fourth = open(3);
  fourth.write([](spillway::write_session& s) { return s.execute("CREATE TABLE note (tenant TEXT NOT NULL UNIQUE, text TEXT NOT NULL)"); }).value();
  const auto copied = copy_moving(shards.at(1), fourth, 2);
  CHECK(copied > 0);
  CHECK(copy_moving(shards.at(1), fourth, 2) == 0);
  const auto strangers = fourth.read([](spillway::read_session& s) {
    int wrong{0};
    s.stream("SELECT tenant FROM note", {}, [&](spillway::row_view row) {
      wrong += spillway::shard_key{row.get<std::string_view>(0)}.shard_of(4) == 3 ? 0 : 1;
    }).value();
    return wrong;
  });
  CHECK(strangers.value() == 0);
}
