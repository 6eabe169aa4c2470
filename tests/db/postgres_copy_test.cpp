// SPDX-License-Identifier: Apache-2.0
#include "db/postgres_fixture.hpp"

#include <spillway/db/postgres.hpp>
#include <spillway/db/sqlite.hpp>

#include "support/temp_dir.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using tests::postgres_fixture;

namespace {

/// Gives `rows` lines "N<tab>text" in pieces of a few hundred bytes, cut anywhere.
class numbered_lines {
 public:
  explicit numbered_lines(int rows) {
    for (int i = 0; i < rows; ++i) text_ += std::to_string(i) + "\ttext of row " + std::to_string(i) + "\n";
  }
  std::string_view operator()() {
    const auto piece = std::string_view{text_}.substr(at_, 333);
    at_ += piece.size();
    return piece;
  }

 private:
  std::string text_;
  std::size_t at_{0};
};

}  // namespace

TEST_CASE("postgres_copy.data_go_in_and_come_out_again") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  numbered_lines lines{20'000};
  const auto copied = db.write([&](write_session& s) {
    s.execute("CREATE TABLE t (id int PRIMARY KEY, x text)").value();
    const auto rows = copy_in(s, "COPY t FROM STDIN", [&] { return lines(); }).value();
    CHECK(s.query_one<int>("SELECT count(*) FROM t").value() == 20'000);  // the session works on
    return rows;
  });
  CHECK(copied.value() == 20'000);
  std::vector<std::string> rows;
  const auto given = db.read([&](read_session& s) {
    return copy_out(s, "COPY (SELECT * FROM t WHERE id < 3 ORDER BY id) TO STDOUT", [&](std::string_view row) {
      rows.emplace_back(row);
      return true;
    });
  });
  CHECK(given.value() == 3);
  CHECK(rows == std::vector<std::string>{"0\ttext of row 0\n", "1\ttext of row 1\n", "2\ttext of row 2\n"});
}

TEST_CASE("postgres_copy.a_piece_may_be_large") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  const std::string text(10U << 20U, 'x');
  const std::string line = text + "\n";
  bool given{false};
  CHECK(db.write([&](write_session& s) {
    s.execute("CREATE TABLE t (x text)").value();
    return copy_in(s, "COPY t FROM STDIN", [&] { return std::exchange(given, true) ? std::string_view{} : std::string_view{line}; });
  }).value() == 1);
  CHECK(fixture.value("SELECT length(x) FROM t") == std::to_string(text.size()));
}

TEST_CASE("postgres_copy.what_is_wrong_with_the_data_fails_the_transaction_and_not_the_session") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.writers = 1;
  auto db = open_postgres(config).value();
  fixture.sql("CREATE TABLE t (id int PRIMARY KEY, x text)");
  const auto copy = [&](std::vector<std::string_view> pieces) {
    return db.write([&](write_session& s) {
      std::size_t next{0};
      return copy_in(s, "COPY t FROM STDIN", [&] { return next < pieces.size() ? pieces[next++] : std::string_view{}; });
    });
  };
  CHECK(copy({"1\ta\n1\tb\n"}).error() == db_errc::unique_violation);
  CHECK(copy({"x\ta\n"}).error() == db_errc::type_mismatch);
  CHECK(copy({"1\ta"}).value() == 1);
  const auto failed = db.write([&](write_session& s) {
    return copy_in(s, "COPY nowhere FROM STDIN", [] { return std::string_view{}; });
  });
  CHECK(failed.error() == db_errc::no_such_object);
  CHECK(fixture.value("SELECT count(*) FROM t") == "1");
  // An error in the middle of very many rows.
  numbered_lines lines{100'000};
  CHECK(db.write([&](write_session& s) { return copy_in(s, "COPY t FROM STDIN", [&] { return lines(); }); }).error() == db_errc::unique_violation);
  CHECK(db.write([](write_session& s) { return s.query_one<int>("SELECT 1"); }).value() == 1);
}

TEST_CASE("postgres_copy.only_a_copy_of_the_right_direction_is_taken") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  fixture.sql("CREATE TABLE t (x int)");
  const auto in = [&](std::string_view sql) {
    return db.write([&](write_session& s) { return copy_in(s, sql, [] { return std::string_view{}; }); }).error().code();
  };
  const auto out = [&](std::string_view sql) {
    return db.read([&](read_session& s) { return copy_out(s, sql, [](std::string_view) { return true; }); }).error().code();
  };
  CHECK(in("INSERT INTO t VALUES (1)") == make_error_code(db_errc::invalid_statement));
  CHECK(in("") == make_error_code(db_errc::invalid_statement));
  CHECK(in("COPY t FROM STDIN; DROP TABLE t") == make_error_code(db_errc::multiple_statements));
  CHECK(in("COPY t TO STDOUT") == make_error_code(db_errc::invalid_statement));
  CHECK(out("COPY t FROM STDIN") == make_error_code(db_errc::read_only));
  CHECK(out("SELECT 1") == make_error_code(db_errc::invalid_statement));
  CHECK(db.read([](read_session& s) { return s.query_one<int>("SELECT 1"); }).value() == 1);
  CHECK(fixture.value("SELECT count(*) FROM t") == "0");
}

TEST_CASE("postgres_copy.a_source_or_sink_that_throws_leaves_nothing_behind") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.readers = 1;
  config.writers = 1;
  auto db = open_postgres(config).value();
  fixture.sql("CREATE TABLE t (x int)");
  int pieces{0};
  CHECK_THROWS_AS((void)db.write([&](write_session& s) {
    return copy_in(s, "COPY t FROM STDIN", [&]() -> std::string_view {
      if (++pieces > 3) throw std::runtime_error{"enough"};
      return "1\n";
    });
  }), std::runtime_error);
  CHECK_THROWS_AS((void)db.read([&](read_session& s) {
    return copy_out(s, "COPY (SELECT generate_series(1, 1000000)) TO STDOUT", [](std::string_view) -> bool { throw std::runtime_error{"enough"}; });
  }), std::runtime_error);
  CHECK(db.write([](write_session& s) { return s.query_one<int>("SELECT count(*) FROM t"); }).value() == 0);
  CHECK(db.read([](read_session& s) { return s.query_one<int>("SELECT 1"); }).value() == 1);
}

TEST_CASE("postgres_copy.a_sink_that_has_had_enough_ends_it") {
  const postgres_fixture fixture;
  auto db = fixture.open();
  int seen{0};
  const auto given = db.read([&](read_session& s) {
    return copy_out(s, "COPY (SELECT generate_series(1, 1000000000000)) TO STDOUT", [&](std::string_view) { return ++seen < 5; });
  });
  CHECK(given.value() == 5);
  const auto write = db.write([&](write_session& s) {
    (void)copy_out(s, "COPY (SELECT 1) TO STDOUT", [&](std::string_view) { return false; }).value();
  });
  CHECK(write.error() == db_errc::result_too_large);  // what it wrote would not be all there
}

TEST_CASE("postgres_copy.a_deadline_ends_it_in_either_direction") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.readers = 1;
  config.writers = 1;
  auto db = open_postgres(config).value();
  fixture.sql("CREATE TABLE t (x int)");
  const auto pid = [](read_session& s) { return s.query_one<int>("SELECT pg_backend_pid()").value().value(); };
  const int reader = db.read(pid).value();
  const int writer = db.write(pid).value();
  CHECK(db.write_for([](write_session& s) { return copy_in(s, "COPY t FROM STDIN", [] { return std::string_view{"1\n"}; }); }, 50ms).error() ==
        db_errc::timed_out);
  CHECK(db.read_for([](read_session& s) {
    return copy_out(s, "COPY (SELECT generate_series(1, 1000000000000)) TO STDOUT", [](std::string_view) { return true; });
  }, 50ms).error() == db_errc::timed_out);
  CHECK(db.read_for([](read_session& s) {
    return copy_out(s, "COPY (SELECT pg_sleep(60)) TO STDOUT", [](std::string_view) { return true; });
  }, 50ms).error() == db_errc::timed_out);
  CHECK(db.read(pid).value() == reader);
  CHECK(db.write(pid).value() == writer);
  CHECK(fixture.value("SELECT count(*) FROM t") == "0");
}

TEST_CASE("postgres_copy.other_engines_have_no_copy") {
  const tests::temp_dir folder;
  sqlite_config config;
  config.path = (folder.path() / "x.db").string();
  auto db = open_sqlite(config).value();
  CHECK(db.write([](write_session& s) { return copy_in(s, "COPY t FROM STDIN", [] { return std::string_view{}; }); }).error() == db_errc::not_supported);
  CHECK(db.read([](read_session& s) { return copy_out(s, "COPY t TO STDOUT", [](std::string_view) { return true; }); }).error() ==
        db_errc::not_supported);
  CHECK(execute_alone(db, "VACUUM").error() == db_errc::not_supported);
}
