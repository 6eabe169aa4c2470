// SPDX-License-Identifier: Apache-2.0
// Results behind TLS, whose records end anywhere.
#include "db/postgres_fixture.hpp"
#include "db/support/tls_relay.hpp"

#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

using namespace spillway;
using namespace spillway::tests;
using namespace std::chrono_literals;

TEST_CASE("postgres_tls.what_lies_decrypted_already_is_not_waited_for") {
  const postgres_fixture fixture;
  tls_relay relay{fixture.place.cluster.port()};
  auto config = fixture.config();
  config.url = "postgresql://spillway@127.0.0.1:" + std::to_string(relay.port()) + "/" + fixture.place.name + "?sslmode=require";
  config.query_connections = 1;
  auto db = open_postgres(config).value();
  std::function<std::size_t(const std::string&)> rows_of;
  SUBCASE("by a session") {
    rows_of = [&](const std::string& text) { return db.read([&](read_session& s) { return s.query(text); }, 5s).value().size(); };
  }
  SUBCASE("by the connections that many share") {
    rows_of = [&](const std::string& text) { return db.async_query(sql_query{text}, 5s, boost::asio::use_future).get().value().size(); };
  }
  SUBCASE("by COPY") {
    rows_of = [&](const std::string& text) {
      const auto all = [](std::string_view) { return true; };
      return db.read([&](read_session& s) { return copy_out(s, "COPY (" + text + ") TO STDOUT", all); }, 5s).value();
    };
  }
  for (int i = 0; i < 60; ++i) {
    CAPTURE(i);
    REQUIRE(rows_of("SELECT repeat('x', " + std::to_string(5'000 + 53 * i) + ") FROM generate_series(1, 20)") == 20);
  }
}

TEST_CASE("postgres_tls.a_server_that_falls_silent_is_waited_for_to_the_deadline") {
  const postgres_fixture fixture;
  tls_relay relay{fixture.place.cluster.port()};
  auto config = fixture.config();
  config.url = "postgresql://spillway@127.0.0.1:" + std::to_string(relay.port()) + "/" + fixture.place.name + "?sslmode=require";
  auto db = open_postgres(config).value();
  CHECK(db.read([](read_session& s) { return s.query("SELECT pg_sleep(0.2)"); }, 60s).has_value());
  CHECK(db.read([](read_session& s) { return s.query("SELECT pg_sleep(600)"); }, 100ms).error() == db_errc::timed_out);
  CHECK(db.read([](read_session& s) { return s.query_one<int>("SELECT 1"); }).value() == 1);
}
