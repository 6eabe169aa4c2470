// SPDX-License-Identifier: Apache-2.0
// What keeps a server from being opened, each in its own words.
#include "db/postgres_fixture.hpp"

#include "db/backends/postgres/pg_driver.hpp"
#include "db/support/tcp_relay.hpp"

#include <spillway/db/postgres.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace spillway;
using namespace std::chrono_literals;
using tests::postgres_fixture;

namespace {

/// Accepts connections, and says the same to each, or nothing.
class other_server {
 public:
  explicit other_server(std::string words) : words_{std::move(words)} {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof here;
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&here), size) == 0);
    REQUIRE(::listen(listener_, 16) == 0);
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&here), &size) == 0);
    port_ = ntohs(here.sin_port);
    if (words_.empty()) return;  // never accepts: the kernel does
    thread_ = std::thread{[this] {
      for (;;) {
        const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0) return;
        (void)::send(client, words_.data(), words_.size(), MSG_NOSIGNAL);
        ::close(client);
      }
    }};
  }
  ~other_server() {
    ::shutdown(listener_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    ::close(listener_);
  }
  other_server(const other_server&) = delete;
  other_server& operator=(const other_server&) = delete;
  [[nodiscard]] int port() const noexcept { return port_; }

 private:
  std::string words_;
  int listener_{-1};
  int port_{0};
  std::thread thread_;
};

db_error failure_of(postgres_config config) {
  auto opened = open_postgres(config);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().what().find("s3cret") == std::string::npos);
  return opened.error();
}
db_error failure_of(const std::string& url) {
  postgres_config config;
  config.url = url;
  return failure_of(config);
}

}  // namespace

TEST_CASE("postgres_open.a_database_that_is_not_there_is_told") {
  const postgres_fixture fixture;
  const auto failed = failure_of(fixture.place.cluster.url(0, "nowhere"));
  CHECK(failed == db_errc::cannot_open);
  CHECK(sqlstate_of(failed) == "3D000");
  CHECK(failed.message() == "127.0.0.1:" + std::to_string(fixture.place.cluster.port()) + ": database \"nowhere\" does not exist (3D000)");
}

TEST_CASE("postgres_open.a_wrong_or_missing_password_is_told") {
  const postgres_fixture fixture;
  auto& cluster = fixture.place.cluster;
  if (cluster.sql("SELECT 1 FROM pg_roles WHERE rolname = 'guarded'").empty()) cluster.sql("CREATE ROLE guarded LOGIN PASSWORD 'right'");
  const auto url = [&](const std::string& who) {
    return "postgresql://" + who + "@127.0.0.1:" + std::to_string(cluster.port()) + "/" + fixture.place.name + "?sslmode=disable";
  };
  const auto wrong = failure_of(url("guarded:s3cret"));
  CHECK(wrong == db_errc::authentication_failed);
  CHECK(sqlstate_of(wrong) == "28P01");
  const auto none = failure_of(url("guarded"));
  CHECK(none == db_errc::authentication_failed);
  CHECK(none.message().ends_with("the server asks for a password, and none is given"));
  CHECK(failure_of(url("nobody_at_all")) == db_errc::authentication_failed);
  auto right = fixture.config();
  right.url = url("guarded:right");
  CHECK(open_postgres(right).has_value());
}

TEST_CASE("postgres_open.where_nobody_listens_it_is_refused") {
  std::optional<other_server> gone{std::in_place, ""};
  const auto port = std::to_string(gone->port());
  gone.reset();
  const auto failed = failure_of("postgresql://ann:s3cret@127.0.0.1:" + port + "/x");
  CHECK(failed == db_errc::cannot_open);
  CHECK(failed == errc::unavailable);
  CHECK(failed.message().starts_with("127.0.0.1:" + port + ": "));
  CHECK(failed.message().find("Connection refused") != std::string_view::npos);
}

TEST_CASE("postgres_open.a_host_that_is_not_known_is_told") {
  const auto failed = failure_of("postgresql://ann:s3cret@host.invalid/x");
  CHECK(failed == db_errc::cannot_open);
  CHECK(failed.message().starts_with("host.invalid:5432: "));
}

TEST_CASE("postgres_open.a_server_of_another_kind_is_told") {
  for (const auto* words : {"HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n"}) {
    const other_server server{words};
    for (const auto* mode : {"disable", "prefer"}) {
      const auto failed = failure_of("postgresql://ann:s3cret@127.0.0.1:" + std::to_string(server.port()) + "/x?sslmode=" + mode);
      CHECK(failed == db_errc::cannot_open);
      CHECK_MESSAGE(failed.message().find("this is no PostgreSQL server") != std::string_view::npos, failed.what());
    }
  }
}

TEST_CASE("postgres_open.a_server_that_says_nothing_is_waited_for_as_long_as_configured") {
  const other_server server{""};
  postgres_config config;
  config.url = "postgresql://ann:s3cret@127.0.0.1:" + std::to_string(server.port()) + "/x";
  config.connect_timeout = 50ms;
  const auto began = std::chrono::steady_clock::now();
  const auto failed = failure_of(config);
  CHECK(failed == db_errc::cannot_open);
  CHECK(failed.message().find("in time") != std::string_view::npos);
  CHECK(std::chrono::steady_clock::now() - began < 5s);
}

TEST_CASE("postgres_open.a_server_that_takes_no_more_connections_is_busy") {
  const postgres_fixture fixture;
  auto& cluster = fixture.place.cluster;
  if (cluster.sql("SELECT 1 FROM pg_roles WHERE rolname = 'few'").empty()) cluster.sql("CREATE ROLE few LOGIN CONNECTION LIMIT 1");
  const auto failed = failure_of("postgresql://few@127.0.0.1:" + std::to_string(cluster.port()) + "/" + fixture.place.name);
  CHECK(failed == db_errc::busy);
  CHECK(failed == errc::overloaded);
  CHECK(sqlstate_of(failed) == "53300");
}

TEST_CASE("postgres_open.the_sessions_are_set_up_as_promised") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.application_name = "my program";
  auto db = open_postgres(config).value();
  const auto show = [](std::string_view name) {
    return [name](read_session& s) { return s.query_one<std::string>("SELECT current_setting($1)", name).value().value(); };
  };
  CHECK(db.read(show("application_name")).value() == "my program");
  CHECK(db.read(show("default_transaction_read_only")).value() == "on");
  CHECK(db.write(show("default_transaction_read_only")).value() == "off");
  CHECK(db.read(show("transaction_isolation")).value() == "repeatable read");
  CHECK(db.read(show("transaction_read_only")).value() == "on");
  CHECK(db.write(show("transaction_isolation")).value() == "read committed");
  CHECK(db.read(show("client_encoding")).value() == "UTF8");
  CHECK(db.read(show("search_path")).value() == fixture.value("SHOW search_path"));
  const auto timeout = db.read_for(show("statement_timeout"), 10s).value();
  CHECK_MESSAGE(timeout != "0", timeout);
  CHECK(db.read(show("statement_timeout"), session_options{deadline::never()}).has_value());
  CHECK(db.read_for(show("statement_timeout"), std::chrono::nanoseconds::max()).value() == "0");
  CHECK(db.system_name() == "postgresql");
}

TEST_CASE("postgres_open.roles_of_servers_are_seen_without_asking") {
  tests::postgres_cluster cluster{1};
  postgres_config config;
  config.url = cluster.url(1);
  const auto failed = failure_of(config);
  CHECK(failed == db_errc::not_primary);
  CHECK(failed == errc::unavailable);

  detail::pg_driver driver{config};
  const auto until = deadline::after(std::chrono::steady_clock::now(), 20s);
  auto reads = driver.open(detail::session_kind::read, until).value();
  CHECK(driver.node()->in_hot_standby);
  cluster.promote(1);
  // The session that was open all the time hears of it by itself.
  tests::wait_until([&] {
    CHECK(reads->ping(until));
    return !driver.node()->in_hot_standby;
  });
  CHECK(driver.open(detail::session_kind::write, until).has_value());
}

TEST_CASE("postgres_open.a_primary_that_hands_over_refuses_writes_as_no_primary") {
  tests::postgres_cluster cluster;
  postgres_config config;
  config.url = cluster.url();
  auto db = open_postgres(config).value();
  cluster.sql("ALTER SYSTEM SET default_transaction_read_only = on");
  cluster.sql("SELECT pg_reload_conf()");
  tests::wait_until([&] { return cluster.value("SHOW default_transaction_read_only") == "on"; });
  tests::wait_until([&] {
    const auto failed = db.write([](write_session& s) { return s.execute("CREATE TABLE IF NOT EXISTS t (x int)"); });
    return !failed.has_value() && failed.error() == db_errc::not_primary;
  });
}

TEST_CASE("postgres_open.a_server_that_goes_and_comes_back_is_found_again") {
  tests::postgres_cluster cluster;
  postgres_config config;
  config.url = cluster.url();
  auto db = open_postgres(config).value();
  REQUIRE(db.ping());
  cluster.halt(0, "KILL");
  const auto down = db.read([](read_session& s) { return s.query("SELECT 1"); });
  REQUIRE_FALSE(down.has_value());
  CHECK(down.error() == errc::unavailable);
  cluster.resume(0);
  tests::wait_until([&] { return db.ping().has_value(); });
  CHECK(db.write([](write_session& s) { return s.query_one<int>("SELECT 1"); }).value() == 1);
}

TEST_CASE("postgres_open.a_session_that_is_opened_again_must_be_as_fit_as_at_first") {
  tests::postgres_cluster cluster{1};
  tests::tcp_relay relay{cluster.port()};
  postgres_config config;
  config.url = "postgresql://spillway@127.0.0.1:" + std::to_string(relay.port()) + "/postgres?sslmode=disable";
  detail::pg_driver driver{config};
  const auto opened = driver.open(detail::session_kind::write, deadline::never()).value();
  SUBCASE("on a primary") { relay.lead_to(cluster.port(1)); }
  SUBCASE("with strings that mean what they say") { relay.mishear("conforming_strings=on", "conforming_strings=no"); }
  const detail::statement_control control{deadline::never()};
  REQUIRE(opened->begin(control));
  relay.cut_at("SELECT 1", false);
  detail::dropped_rows sink;
  detail::row_data rows;
  CHECK(opened->run("SELECT 1", {}, rows, sink).error() == db_errc::connection_lost);
  opened->rollback();
  CHECK_FALSE(opened->usable());
}
