// SPDX-License-Identifier: Apache-2.0
// The code of docs/guide/db.md about PostgreSQL, compiled and run.
#include "db/postgres_fixture.hpp"

#include <spillway/db/migrate.hpp>
#include <spillway/db/postgres.hpp>
#include <spillway/db/pqxx_lease.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;

namespace {

// [postgres_open]
spillway::database open_orders(const std::string& url) {
  spillway::postgres_config config;
  config.url = url;  // "postgresql://shop@db.example:5432/shop?sslmode=verify-full"
  config.readers = 8;
  config.writers = 4;
  config.application_name = "orders";
  auto db = spillway::open_postgres(config).value();
  spillway::migrate(db, {"CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL, cents bigint NOT NULL)"}).value();
  return db;
}
// [postgres_open]

// [postgres_copy]
std::uint64_t import_orders(spillway::database& db, const std::vector<std::string>& lines) {  // "ann\t1250\n"
  return db.write([&](spillway::write_session& s) {
    std::size_t next{0};
    return spillway::copy_in(s, "COPY orders (customer, cents) FROM STDIN",
                             [&] { return next < lines.size() ? std::string_view{lines[next++]} : std::string_view{}; });
  }, 60s).value();
}
// [postgres_copy]

// [postgres_alone]
void index_orders(spillway::database& db) {
  spillway::execute_alone(db, "CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_by_customer ON orders (customer)", 600s).value();
}
// [postgres_alone]

// [postgres_pqxx]
std::int64_t turnover(spillway::database& db) {
  return spillway::with_pqxx(db, [](spillway::pqxx_connection& connection) {
    pqxx::work tx{connection};  // existing code, as it is
    const auto rows = tx.exec("SELECT coalesce(sum(cents), 0) FROM orders");
    tx.commit();
    return rows[0][0].as<std::int64_t>();
  }).value();
}
// [postgres_pqxx]

}  // namespace

TEST_CASE("guide.postgres") {
  const spillway::tests::postgres_fixture fixture;
  auto db = open_orders(fixture.place.url());
  CHECK(import_orders(db, {"ann\t1250\n", "bob\t50\nann\t", "1\n"}) == 3);
  index_orders(db);
  CHECK(turnover(db) == 1301);
}
