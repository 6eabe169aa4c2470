// SPDX-License-Identifier: Apache-2.0
// The code of docs/guide/db.md, compiled and run.
#include "support/temp_dir.hpp"

#include <spillway/db/migrate.hpp>
#include <spillway/db/sqlite.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

using namespace std::chrono_literals;

namespace {

// [open]
spillway::database open_shop(const std::string& path) {
  auto db = spillway::open_sqlite({.path = path, .readers = 4}).value();
  spillway::migrate(db, {"CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, stock INTEGER NOT NULL)",
                         "CREATE INDEX item_by_stock ON item (stock)"}).value();
  return db;
}
// [open]

// [write]
std::int64_t add_item(spillway::database& db, const std::string& name, int stock) {
  const auto added = db.write([&](spillway::write_session& s) {
    return s.query_one<std::int64_t>("INSERT INTO item (name, stock) VALUES ($1, $2) RETURNING id", name, stock);
  });
  if (!added && added.error() == spillway::errc::conflict) return 0;  // there is one by that name
  return added.value().value();                                       // any other error is thrown
}
// [write]

// [transaction]
bool take_from_stock(spillway::database& db, std::int64_t id, int wanted) {
  return db.write([&](spillway::write_session& s) {
    const auto stock = s.query_one<int>("SELECT stock FROM item WHERE id = $1", id).value();
    if (!stock || *stock < wanted) return false;  // nothing was written
    s.execute("UPDATE item SET stock = stock - $2 WHERE id = $1", id, wanted).value();
    return true;  // committed when this returns
  }).value();
}
// [transaction]

// [read]
std::vector<std::string> scarce_items(spillway::database& db, int below) {
  std::vector<std::string> names;
  db.read([&](spillway::read_session& s) {
    return s.stream("SELECT name, stock FROM item WHERE stock < $1 ORDER BY name", {below}, [&](spillway::row_view row) {
      const auto [name, stock] = row.as<std::tuple<std::string, int>>();
      names.push_back(name + ": " + std::to_string(stock));
      return names.size() < 100;  // false ends the stream
    });
  }).value();
  return names;
}
// [read]

// [bulk]
std::uint64_t import_items(spillway::database& db, const std::vector<std::tuple<std::string, int>>& items) {
  return db.write([&](spillway::write_session& s) { return s.execute_many("INSERT INTO item (name, stock) VALUES ($1, $2)", items); },
                  30s).value();  // waiting and running together
}
// [bulk]

// [async]
boost::asio::awaitable<int> total_stock(spillway::database& db) {
  const auto sum = [](spillway::read_session& s) { return s.query_one<int>("SELECT coalesce(sum(stock), 0) FROM item"); };
  const auto total = co_await db.async_read(sum, 2s, boost::asio::use_awaitable);
  co_return total.value().value();
}
// [async]

}  // namespace

TEST_CASE("guide.db") {
  const spillway::tests::temp_dir directory;
  auto db = open_shop((directory.path() / "shop.db").string());
  const auto nails = add_item(db, "nails", 100);
  CHECK(nails == 1);
  CHECK(add_item(db, "nails", 1) == 0);
  CHECK(take_from_stock(db, nails, 30));
  CHECK_FALSE(take_from_stock(db, nails, 71));
  CHECK_FALSE(take_from_stock(db, 99, 1));
  CHECK(import_items(db, {{"glue", 2}, {"saws", 5}}) == 2);
  CHECK(scarce_items(db, 10) == std::vector<std::string>{"glue: 2", "saws: 5"});

  boost::asio::io_context context;
  int total{0};
  const auto run = [&]() -> boost::asio::awaitable<void> { total = co_await total_stock(db); };
  boost::asio::co_spawn(context, run, boost::asio::detached);
  context.run();
  CHECK(total == 77);
}
