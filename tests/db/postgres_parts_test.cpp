// SPDX-License-Identifier: Apache-2.0
// What the PostgreSQL backend is made of, without a server.
#include "db/backends/postgres/pg_conninfo.hpp"
#include "db/backends/postgres/pg_error.hpp"
#include "db/backends/postgres/pg_statement_cache.hpp"
#include "db/backends/postgres/pg_values.hpp"

#include <spillway/db/postgres.hpp>

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

using namespace spillway;
using namespace spillway::detail;

namespace {

std::map<std::string, std::string> settings(const pg_conninfo& info, session_kind kind) {
  std::map<std::string, std::string> all;
  const auto keywords = info.keywords();
  const auto values = info.values(kind);
  for (std::size_t i = 0; keywords[i] != nullptr; ++i) all[keywords[i]] = values[i];
  return all;
}

std::string refusal(std::string_view url) {
  const auto parsed = pg_conninfo::parse(url, "app");
  return parsed ? std::string{"taken"} : parsed.error();
}

}  // namespace

TEST_CASE("postgres_conninfo.the_url_wins_over_the_defaults") {
  const auto info = (*pg_conninfo::parse("postgresql://ann:secret@db.example:5433/shop?sslmode=verify-full&application_name=mine", "app"));
  const auto all = settings(info, session_kind::write);
  CHECK(all.at("host") == "db.example");
  CHECK(all.at("password") == "secret");
  CHECK(all.at("sslmode") == "verify-full");
  CHECK(all.at("application_name") == "mine");
  CHECK(all.at("client_encoding") == "UTF8");
  CHECK(all.at("tcp_user_timeout") == "10000");
  CHECK(info.where() == "db.example:5433");
  CHECK(settings((*pg_conninfo::parse("host=/run/pg dbname=x tcp_user_timeout=7", "app")), session_kind::read).at("tcp_user_timeout") == "7");
}

TEST_CASE("postgres_conninfo.the_database_is_the_one_that_libpq_takes") {
  const auto database = [](std::string_view url) { return (*pg_conninfo::parse(url, "app")).database(); };
  CHECK(database("postgresql://ann@host/shop") == "shop");
  CHECK(database("host=h dbname=shop user=ann") == "shop");
  CHECK(database("postgresql://host/?dbname=sh%20op") == "sh op");
  CHECK(database("postgresql://ann@host") == "ann");
  CHECK_FALSE(database("postgresql://host").empty());
}

TEST_CASE("postgres_conninfo.the_same_server_is_told_by_its_name_and_port") {
  const auto same = [](std::string_view left, std::string_view right) {
    return (*pg_conninfo::parse(left, "app")).is_same_server(*pg_conninfo::parse(right, "app"));
  };
  CHECK(same("postgresql://ann@host/x", "postgresql://bob@host:5432/x"));
  CHECK_FALSE(same("postgresql://host/x", "postgresql://host:5433/x"));
  CHECK_FALSE(same("postgresql://host/x?hostaddr=127.0.0.1", "postgresql://host/x?hostaddr=127.0.0.2"));
  CHECK_FALSE(same("postgresql://host/x?hostaddr=127.0.0.1", "postgresql://host/x"));
}

TEST_CASE("postgres_conninfo.a_session_that_reads_is_read_only_on_the_server") {
  const auto info = (*pg_conninfo::parse("postgresql://localhost/?options=-c%20search_path%3Da", "app"));
  const auto reads = settings(info, session_kind::read).at("options");
  CHECK(reads.starts_with("-c search_path=a "));
  CHECK(reads.ends_with("-c default_transaction_read_only=on"));
  CHECK(settings(info, session_kind::write).at("options").find("read_only") == std::string::npos);
}

TEST_CASE("postgres_conninfo.what_is_wrong_with_a_url_is_said_without_its_password") {
  CHECK(refusal("postgresql://localhost/?nonsense=1") == "invalid URI query parameter: \"nonsense\"");
  CHECK(refusal("postgresql://localhost/?sslmode=strict") == "the sslmode is none of disable, allow, prefer, require, verify-ca, verify-full");
  for (const auto* port : {"0", "65536", "-1", "54x", "99999999999"}) {
    CHECK(refusal(std::string{"postgresql://localhost:"} + port + "/x") == "the port is no number in [1, 65535]");
  }
  for (const auto* url : {"postgresql://ann:s3@cret@host/x", "postgresql://ann:s3/cret@host/x", "postgres://ann:s/3cr/et@host", "postgresql://ann:s3/cret@host:5432/x?sslmode=disable",
                          "postgresql://host/x/y", "postgresql://host?user=ann&password=s3@cret", "postgresql://ann:s/c?s3cret=x@host/db",
                          "postgresql://ann:12/abc?host=x@h/y"}) {
    CHECK(refusal(url) == "there is an @ or / too many in it: one that belongs to a user, password or database is written %40 or %2F");
  }
  for (const auto* url : {"postgresql://ann:s3%40cr%2Fet@host:5432/x?host=/run/pg", "postgresql://ann:s?3:cret@[::1]:5432/x", "postgresql:///x?user=a@b", "postgresql://%2Frun%2Fpg/x",
                          "postgresql://host", "postgresql://"}) {
    CHECK_MESSAGE(refusal(url) == "taken", url);
  }
  CHECK(refusal("mysql://host/x").starts_with("it must be postgresql://user@host:port/database or a list of name=value: "));
  CHECK(refusal("host=a,b") == "it names several servers in \"host\"; one is taken");
  CHECK(refusal("service=x") == "it names a service; give host, port and database themselves");
  CHECK(refusal("client_encoding=LATIN1") == "client_encoding must be UTF8");
  CHECK(refusal(std::string_view{"host=a\0b", 8}) == "it contains a NUL byte");
  for (const auto* url : {"postgresql://ann:s3cret@[broken/x", "password=s3cret host", "postgresql://ann:s3cret%zz@host/x", "password='s3cret"}) {
    const auto said = refusal(url);
    CHECK_MESSAGE(said != "taken", url);
    CHECK_MESSAGE(said.find("s3cret") == std::string::npos, said);
  }
}

TEST_CASE("postgres_config.a_field_out_of_range_is_named") {
  const auto refused = [](auto change) -> std::string {
    postgres_config config;
    config.url = "postgresql://localhost/x";
    change(config);
    try {
      (void)open_postgres(config);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "taken";
  };
  CHECK(refused([](auto& c) { c.url = ""; }) == "postgres_config.url length is 0 bytes; it must be in [1, 4096]");
  CHECK(refused([](auto& c) { c.url = "mysql://x"; }).starts_with("postgres_config.url: "));
  CHECK(refused([](auto& c) { c.readers = 0; }) == "postgres_config.readers is 0; it must be in [1, 1000]");
  CHECK(refused([](auto& c) { c.writers = 1'001; }) == "postgres_config.writers is 1001; it must be in [1, 1000]");
  CHECK(refused([](auto& c) { c.application_name = std::string(64, 'x'); }) ==
        "postgres_config.application_name length is 64 bytes; it must be in [0, 63]");
  CHECK(refused([](auto& c) { c.connect_timeout = std::chrono::milliseconds{0}; }) ==
        "postgres_config.connect_timeout is 0 ms; it must be in [1, 3600000]");
  CHECK(refused([](auto& c) { c.statement_cache = 5'000; }) == "postgres_config.statement_cache is 5000; it must be in [0, 4096]");
  CHECK(refused([](auto& c) { c.cancel_timeout = std::chrono::minutes{2}; }) == "postgres_config.cancel_timeout is 120000 ms; it must be in [1, 60000]");
  CHECK(refused([](auto& c) { c.commit_timeout = std::chrono::milliseconds{0}; }) ==
        "postgres_config.commit_timeout is 0 ms; it must be in [1, 86400000]");
  CHECK(refused([](auto& c) { c.max_lifetime = std::chrono::hours{24 * 31}; }) ==
        "postgres_config.max_lifetime is 2678400000 ms; it must be in [0, 2592000000]");
  CHECK(refused([](auto& c) { c.ping_after_idle = std::chrono::hours{25}; }) ==
        "postgres_config.ping_after_idle is 90000000 ms; it must be in [0, 86400000]");
  CHECK(refused([](auto& c) { c.database.timeout = std::chrono::milliseconds{0}; }).starts_with("database_config.timeout"));
}

TEST_CASE("postgres_error.sqlstates_become_codes") {
  const auto code = [](std::string_view state) { return db_errc_of_sqlstate(state); };
  CHECK(code("40001") == db_errc::serialization_failure);
  CHECK(code("40P01") == db_errc::deadlock_detected);
  CHECK(code("40003") == db_errc::commit_unknown);
  CHECK(code("23505") == db_errc::unique_violation);
  CHECK(code("23503") == db_errc::foreign_key_violation);
  CHECK(code("23502") == db_errc::not_null_violation);
  CHECK(code("23514") == db_errc::check_violation);
  CHECK(code("23P01") == db_errc::constraint_violation);
  CHECK(code("P0001") == db_errc::constraint_violation);
  CHECK(code("42601") == db_errc::syntax_error);
  CHECK(code("42P01") == db_errc::no_such_object);
  CHECK(code("42703") == db_errc::no_such_object);
  CHECK(code("42501") == db_errc::permission_denied);
  CHECK(code("22P02") == db_errc::type_mismatch);
  CHECK(code("25006") == db_errc::read_only);
  CHECK(code("28P01") == db_errc::authentication_failed);
  CHECK(code("28000") == db_errc::authentication_failed);
  CHECK(code("53300") == db_errc::busy);
  CHECK(code("53100") == db_errc::disk_full);
  CHECK(code("55P03") == db_errc::busy);
  CHECK(code("57014") == db_errc::timed_out);
  CHECK(code("57P01") == db_errc::connection_lost);
  CHECK(code("57P02") == db_errc::connection_lost);
  CHECK(code("57P03") == db_errc::cannot_open);
  CHECK(code("08006") == db_errc::connection_lost);
  CHECK(code("0A000") == db_errc::invalid_statement);
  CHECK(code("54000") == db_errc::value_too_large);
  CHECK(code("XX001") == db_errc::corrupt);
  CHECK(code("XX000") == db_errc::engine_error);
  CHECK(code("99999") == db_errc::engine_error);
  CHECK(code("") == db_errc::engine_error);
}

TEST_CASE("postgres_error.a_sqlstate_is_a_number_and_back") {
  for (const auto* state : {"00000", "23505", "40P01", "XX000", "ZZZZZ", "0A000"}) {
    if (std::string_view{state} == "00000") {
      CHECK(sqlstate_number(state) == 0);
    } else {
      CHECK(sqlstate_text(sqlstate_number(state)) == state);
    }
  }
  CHECK(sqlstate_number("2350") == 0);
  CHECK(sqlstate_number("2350x") == 0);
  CHECK(sqlstate_text(0).empty());
  CHECK(sqlstate_text(-1).empty());
  CHECK(sqlstate_of(db_error{db_errc::unique_violation, "x", sqlstate_number("23505")}) == "23505");
  CHECK(sqlstate_of(db_error{db_errc::busy}).empty());
}

TEST_CASE("postgres_parameters.take_the_form_the_server_can_use_anywhere") {
  pg_parameters parameters;
  const std::array<std::byte, 2> blob{std::byte{0}, std::byte{255}};
  const std::array<sql_value, 6> values{sql_value{std::numeric_limits<std::int64_t>::min()}, sql_value{1.5}, sql_value{"a"}, sql_value{nullptr},
                                        sql_value{std::span<const std::byte>{blob}}, sql_value{""}};
  REQUIRE_FALSE(parameters.assign(values, "").failed());
  REQUIRE(parameters.count() == 6);
  CHECK(std::string_view{parameters.values()[0]} == "-9223372036854775808");
  CHECK(parameters.types()[0] == 0);
  CHECK(std::string_view{parameters.values()[1], 8} == std::string_view{"\x3f\xf8\0\0\0\0\0\0", 8});
  CHECK(parameters.types()[1] == 701);
  CHECK(parameters.formats()[1] == 1);
  CHECK(std::string_view{parameters.values()[2]} == "a");
  CHECK(parameters.values()[3] == nullptr);
  CHECK(parameters.lengths()[4] == 2);
  CHECK(parameters.types()[4] == 17);
  REQUIRE(parameters.values()[5] != nullptr);
  CHECK(std::string_view{parameters.values()[5]}.empty());
}

TEST_CASE("postgres_parameters.refuse_what_cannot_be_stored") {
  pg_parameters parameters;
  const std::array<sql_value, 2> with_nul{sql_value{1}, sql_value{std::string_view{"a\0b", 3}}};
  const auto refused = parameters.assign(with_nul, "INSERT");
  CHECK(refused == db_errc::type_mismatch);
  CHECK(refused.message() == "parameter $2: PostgreSQL cannot store text with a NUL byte");
  const std::array<sql_value, 1> nan{sql_value{std::numeric_limits<double>::quiet_NaN()}};
  CHECK(parameters.assign(nan, "").message() == "parameter $1: NaN cannot be stored");
}

TEST_CASE("postgres_statement_cache.keeps_those_used_last_and_tells_what_to_deallocate") {
  pg_cache_counters counters;
  pg_statement_cache cache{2, counters};
  const auto use = [&](std::string_view sql, std::span<const sql_value> parameters = {}) {
    auto found = cache.find(sql, parameters);
    if (!found) {
      std::size_t at{0};
      found = cache.add(*pg_next_statement(sql, at), sql);
      found->on_server = true;
    }
    return found;
  };
  const auto name = use("SELECT 1")->name;
  CHECK(name.starts_with("spillway_"));
  use("SELECT 2");
  CHECK(use("SELECT 1")->name == name);
  use("SELECT 3");
  const auto dropped = cache.take_dropped();
  REQUIRE(dropped.size() == 1);
  CHECK(dropped[0] != name);
  CHECK(counters.hits.value() == 1);
  CHECK(counters.misses.value() == 3);
  CHECK(counters.evictions.value() == 1);
  cache.forget_server();
  CHECK_FALSE(use("SELECT 1")->on_server);
  // The types that are sent are part of it.
  const std::array<sql_value, 1> integer{sql_value{1}};
  const std::array<sql_value, 1> real{sql_value{1.0}};
  CHECK(use("SELECT $1", integer)->name != use("SELECT $1", real)->name);
  // What is not planned is not worth it.
  CHECK(use("CREATE TABLE t (x int)")->name.empty());
}
