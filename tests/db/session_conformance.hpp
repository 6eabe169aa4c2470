// SPDX-License-Identifier: Apache-2.0
// What a session must do on any engine. A backend's test calls session_conformance once, inside a test case.
#pragma once

#include <spillway/db/database.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace spillway::tests {

struct conformance_subject {
  /// Opens an empty database.
  std::function<database(const database_config&)> open;
  std::string_view blob_type;
  /// Never ends by itself, and returns one row.
  std::string_view endless_query{"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"};
};

inline std::int64_t count_of(database& db, std::string_view table) {
  const auto sql = "SELECT count(*) FROM " + std::string{table};
  return db.read([&](read_session& s) { return s.query_one<std::int64_t>(sql); }).value().value();
}

inline void conformance_of_values(const conformance_subject& subject) {
  auto db = subject.open({});
  const auto schema = "CREATE TABLE v (id BIGINT PRIMARY KEY, i BIGINT, r DOUBLE PRECISION, t TEXT, b " + std::string{subject.blob_type} + ")";
  REQUIRE(db.write([&](write_session& s) { return s.execute(schema); }));
  const auto insert = [&](std::int64_t id, sql_value i, sql_value r, sql_value t, sql_value b) {
    return db.write([&](write_session& s) { return s.execute("INSERT INTO v VALUES ($1, $2, $3, $4, $5)", {id, i, r, t, b}); }).value();
  };
  using row = std::tuple<std::optional<std::int64_t>, std::optional<double>, std::optional<std::string>, std::optional<std::vector<std::byte>>>;
  const auto stored = [&](std::int64_t id) {
    return db.read([&](read_session& s) { return s.query_one<row>("SELECT i, r, t, b FROM v WHERE id = $1", id); }).value().value();
  };

  SUBCASE("extreme values come back as they went in") {
    constexpr auto least = std::numeric_limits<std::int64_t>::min();
    constexpr auto most = std::numeric_limits<std::int64_t>::max();
    std::vector<std::byte> bytes;
    for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<std::byte>(i));
    const std::string text{"Zürich 東京 '$1' \"x\" ; -- \n\t"};
    CHECK(insert(1, least, -2.5e-308, text, bytes) == 1);
    CHECK(insert(2, most, 1e308, "", std::span<const std::byte>{}) == 1);
    CHECK(stored(1) == row{least, -2.5e-308, text, bytes});
    CHECK(stored(2) == row{most, 1e308, "", std::vector<std::byte>{}});
  }
  SUBCASE("null is neither empty nor zero") {
    insert(1, nullptr, nullptr, nullptr, nullptr);
    CHECK(stored(1) == row{});
  }
  SUBCASE("a value that is not a number is refused, as not every engine keeps it") {
    const auto done = db.write([](write_session& s) {
      return s.execute("INSERT INTO v (id, r) VALUES ($1, $2)", 1, std::numeric_limits<double>::quiet_NaN());
    });
    CHECK(done.error() == db_errc::type_mismatch);
    CHECK(done.error().message() == "parameter $2: NaN cannot be stored");
    CHECK(count_of(db, "v") == 0);
  }
  SUBCASE("large values come back whole") {
    const std::string text(3U << 20U, 'x');
    std::vector<std::byte> bytes(2U << 20U, std::byte{7});
    insert(1, 0, 0.0, text, bytes);
    CHECK(stored(1) == row{0, 0.0, text, bytes});
  }
  SUBCASE("a parameter is a value, never SQL") {
    insert(1, 1, 1.0, "'); DROP TABLE v; --", nullptr);
    CHECK(count_of(db, "v") == 1);
  }
}

inline void conformance_of_statements(const conformance_subject& subject) {
  database_config config;
  config.max_result_bytes = 64U << 10U;
  auto db = subject.open(config);
  REQUIRE(db.write([](write_session& s) {
    s.execute("CREATE TABLE city (id BIGINT PRIMARY KEY, name TEXT NOT NULL UNIQUE, size BIGINT CHECK (size >= 0))").value();
    s.execute("CREATE TABLE street (name TEXT NOT NULL, city BIGINT NOT NULL REFERENCES city (id))").value();
    return s.execute("INSERT INTO city VALUES (1, 'Bern', 134), (2, 'Basel', 178), (3, 'Biel', NULL)");
  }));
  const auto code_of = [&](std::string_view sql, const sql_parameters& parameters = {}) {
    return db.write([&](write_session& s) { return s.execute(sql, parameters); }).error().code();
  };
  const auto read_code_of = [&](std::string_view sql, const sql_parameters& parameters = {}) {
    return db.read([&](read_session& s) { return s.query(sql, parameters); }).error().code();
  };

  SUBCASE("query gives rows in order with the names of the columns") {
    const auto rows = db.read([](read_session& s) { return s.query("SELECT id, name AS label FROM city ORDER BY id DESC"); }).value();
    REQUIRE(rows.size() == 3);
    CHECK(rows.column_names() == std::vector<std::string>{"id", "label"});
    CHECK(rows[0].get<std::string>("label") == "Biel");
    CHECK(rows[2].get<std::int64_t>("id") == 1);
  }
  SUBCASE("an empty result keeps the names of its columns") {
    const auto rows = db.read([](read_session& s) { return s.query("SELECT id, name FROM city WHERE id = 9"); }).value();
    CHECK(rows.empty());
    CHECK(rows.column_names() == std::vector<std::string>{"id", "name"});
  }
  SUBCASE("parameters go by number, in any order, more than once") {
    const auto rows = db.read([](read_session& s) {
      return s.query("SELECT id FROM city WHERE name = $2 AND (id = $1 OR id = $1 + 0)", 2, "Basel");
    }).value();
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].as<std::int64_t>() == 2);
  }
  SUBCASE("query_one tells none, one and several apart") {
    const auto by_id = [&](std::int64_t id) {
      return db.read([&](read_session& s) { return s.query_one<std::string>("SELECT name FROM city WHERE id = $1", id); });
    };
    CHECK(by_id(2).value() == "Basel");
    CHECK(by_id(9).value() == std::nullopt);
    CHECK(db.read([](read_session& s) { return s.query_one<std::string>("SELECT name FROM city"); }).error() == db_errc::too_many_rows);
  }
  SUBCASE("execute counts the rows it changed") {
    const auto changed = [&](std::string_view sql) { return db.write([&](write_session& s) { return s.execute(sql); }).value(); };
    CHECK(changed("UPDATE city SET size = 1 WHERE id < 3") == 2);
    CHECK(changed("UPDATE city SET size = 1 WHERE id = 9") == 0);
    CHECK(changed("CREATE TABLE other (x BIGINT)") == 0);
    CHECK(changed("DELETE FROM city") == 3);
  }
  SUBCASE("an insert can return what it stored") {
    const auto id = db.write([](write_session& s) {
      return s.query_one<std::int64_t>("INSERT INTO city (id, name) VALUES ($1, $2) RETURNING id + 10", 4, "Chur");
    });
    CHECK(id.value() == 14);
    CHECK(count_of(db, "city") == 4);
  }
  SUBCASE("execute_many takes tuples, spans and ranges made as they go") {
    const std::vector<std::tuple<int, std::string>> first{{10, "a"}, {11, "b"}};
    const std::vector<std::vector<sql_value>> second{{12, "c"}, {13, "d"}};
    const auto changed = db.write([&](write_session& s) {
      constexpr auto sql = "INSERT INTO city (id, name) VALUES ($1, $2)";
      const auto tuples = s.execute_many(sql, first).value();
      const auto spans = s.execute_many(sql, second).value();
      const auto made = std::views::iota(20, 120) | std::views::transform([](int i) { return std::pair{i, "n" + std::to_string(i)}; });
      return tuples + spans + s.execute_many(sql, made).value();
    });
    CHECK(changed.value() == 104);
    CHECK(count_of(db, "city") == 107);
  }
  SUBCASE("execute_many names the row that failed, and nothing of it stays") {
    const std::vector<std::tuple<int, std::string>> rows{{10, "a"}, {11, "b"}, {10, "c"}};
    const auto done = db.write([&](write_session& s) { return s.execute_many("INSERT INTO city (id, name) VALUES ($1, $2)", rows); });
    CHECK(done.error() == db_errc::unique_violation);
    CHECK(done.error().message().starts_with("row 2: "));
    CHECK(count_of(db, "city") == 3);
  }
  SUBCASE("violated constraints are told apart") {
    CHECK(code_of("INSERT INTO city (id, name) VALUES (1, 'x')") == make_error_code(db_errc::unique_violation));
    CHECK(code_of("INSERT INTO city (id, name) VALUES (4, 'Bern')") == make_error_code(db_errc::unique_violation));
    CHECK(code_of("INSERT INTO city (id) VALUES (4)") == make_error_code(db_errc::not_null_violation));
    CHECK(code_of("INSERT INTO city VALUES (4, 'x', -1)") == make_error_code(db_errc::check_violation));
    CHECK(code_of("INSERT INTO street VALUES ('Gasse', 99)") == make_error_code(db_errc::foreign_key_violation));
  }
  SUBCASE("mistakes in SQL are told apart and carry the statement") {
    CHECK(read_code_of("SELEC 1") == make_error_code(db_errc::syntax_error));
    CHECK(read_code_of("") == make_error_code(db_errc::syntax_error));
    CHECK(read_code_of("SELECT * FROM nowhere") == make_error_code(db_errc::no_such_object));
    CHECK(read_code_of("SELECT absent FROM city") == make_error_code(db_errc::no_such_object));
    const auto failed = db.read([](read_session& s) { return s.query("SELECT * FROM nowhere"); });
    CHECK(failed.error().sql() == "SELECT * FROM nowhere");
    CHECK(failed.error().message().find("nowhere") != std::string_view::npos);
  }
  SUBCASE("the number of parameters must be right, and the error names both numbers") {
    const auto failed = db.read([](read_session& s) { return s.query("SELECT id FROM city WHERE id = $1 OR id = $2", 1); });
    CHECK(failed.error() == db_errc::wrong_parameters);
    CHECK(failed.error().message() == "the statement takes 2 parameters (up to $2), 1 given");
    CHECK(read_code_of("SELECT id FROM city", {1}) == make_error_code(db_errc::wrong_parameters));
    CHECK(read_code_of("SELECT id FROM city WHERE id = $2", {1, 2}) == make_error_code(db_errc::wrong_parameters));
  }
  SUBCASE("one statement a call, many in a script") {
    CHECK(code_of("DELETE FROM city; DELETE FROM city") == make_error_code(db_errc::multiple_statements));
    CHECK(count_of(db, "city") == 3);
    CHECK(db.read([](read_session& s) { return s.query("SELECT 1; -- a comment may follow"); }).has_value());
    CHECK(db.write([](write_session& s) {
      return s.execute_script("CREATE TABLE a (x BIGINT); INSERT INTO a VALUES (1);\n-- and so on\nINSERT INTO a VALUES (2);");
    }).has_value());
    CHECK(count_of(db, "a") == 2);
    CHECK(db.write([](write_session& s) { return s.execute_script("INSERT INTO a VALUES (3); INSERT INTO nowhere VALUES (1)"); }).error() ==
          db_errc::no_such_object);
    CHECK(count_of(db, "a") == 2);
  }
  SUBCASE("a read cannot write") {
    CHECK(read_code_of("INSERT INTO city (id, name) VALUES (4, 'x')") == make_error_code(db_errc::read_only));
    CHECK(read_code_of("DELETE FROM city WHERE id = 1 RETURNING id") == make_error_code(db_errc::read_only));
    CHECK(read_code_of("CREATE TABLE t (x BIGINT)") == make_error_code(db_errc::read_only));
    CHECK(count_of(db, "city") == 3);
  }
  SUBCASE("a session cannot end its own transaction") {
    CHECK(code_of("COMMIT") == make_error_code(db_errc::not_allowed));
    CHECK(code_of("ROLLBACK") == make_error_code(db_errc::not_allowed));
    CHECK(read_code_of("BEGIN") == make_error_code(db_errc::not_allowed));
  }
  SUBCASE("a result beyond the configured size is refused, and streams") {
    const std::string big(1'000, 'x');
    REQUIRE(db.write([&](write_session& s) {
      const auto rows = std::views::iota(100, 300) | std::views::transform([&](int i) { return std::pair{i, big + std::to_string(i)}; });
      return s.execute_many("INSERT INTO city (id, name) VALUES ($1, $2)", rows);
    }));
    CHECK(read_code_of("SELECT name FROM city") == make_error_code(db_errc::result_too_large));
    std::size_t bytes{0};
    const auto seen = db.read([&](read_session& s) {
      return s.stream("SELECT name FROM city WHERE id >= $1", {100}, [&](row_view row) { bytes += row.get<std::string_view>(0).size(); });
    });
    CHECK(seen.value() == 200);
    CHECK(bytes == 200 * 1'003);
  }
  SUBCASE("a stream stops when it is told to, and passes on what is thrown") {
    int seen{0};
    const auto given = db.read([&](read_session& s) {
      return s.stream("SELECT id FROM city ORDER BY id", {}, [&](row_view) { return ++seen < 2; });
    });
    CHECK(given.value() == 2);
    CHECK(seen == 2);
    CHECK_THROWS_AS((void)db.read([&](read_session& s) {
      return s.stream("SELECT id FROM city", {}, [](row_view) { throw std::runtime_error{"enough"}; });
    }), std::runtime_error);
    CHECK(count_of(db, "city") == 3);  // the session is as good as before
  }
  SUBCASE("a write whose stream ends early is carried out, and its failure is told") {
    const auto insert = [&](std::string_view sql) {
      return db.write([&](write_session& s) { return s.stream(sql, {}, [](row_view) { return false; }); });
    };
    CHECK(insert("INSERT INTO street VALUES ('a', 1), ('b', 2) RETURNING name").value() == 1);
    CHECK(count_of(db, "street") == 2);
    CHECK(insert("INSERT INTO street VALUES ('c', 1), ('d', 99) RETURNING name").error() == db_errc::foreign_key_violation);
    CHECK(count_of(db, "street") == 2);
  }
  SUBCASE("a stream may use its session, even with the same statement") {
    std::int64_t pairs{0};
    const auto done = db.read([&](read_session& s) {
      return s.stream("SELECT id FROM city", {}, [&](row_view) {
        s.stream("SELECT id FROM city", {}, [&](row_view) { ++pairs; }).value();
      });
    });
    CHECK(done.has_value());
    CHECK(pairs == 9);
  }
}

inline void conformance_of_transactions(const conformance_subject& subject) {
  auto db = subject.open({});
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x BIGINT PRIMARY KEY)"); }));
  const auto insert = [](write_session& s, std::int64_t x) { return s.execute("INSERT INTO t VALUES ($1)", x); };

  SUBCASE("what the function returns comes back, void and results too") {
    CHECK(db.write([](write_session&) { return 7; }).value() == 7);
    const result<void, db_error> nothing = db.write([](write_session&) {});
    CHECK(nothing.has_value());
    const result<std::string, db_error> flat = db.read([](read_session&) -> result<std::string, db_error> { return std::string{"x"}; });
    CHECK(flat.value() == "x");
    const result<result<int, std::string>, db_error> nested =
        db.read([](read_session&) -> result<int, std::string> { return std::string{"mine"}; });
    CHECK(nested.value().error() == "mine");
    CHECK(db.read([](read_session&) { return std::make_unique<int>(3); }).value() != nullptr);
  }
  SUBCASE("an error it returns rolls back") {
    const auto done = db.write([&](write_session& s) -> result<void, db_error> {
      insert(s, 1).value();
      return db_error{db_errc::check_violation, "I say so"};
    });
    CHECK(done.error().message() == "I say so");
    CHECK(db.write([&](write_session& s) -> result<int, std::string> {
      insert(s, 2).value();
      return std::string{"mine"};
    }).value().error() == "mine");
    CHECK(count_of(db, "t") == 0);
  }
  SUBCASE("an exception rolls back and reaches the caller, a db_exception as its error") {
    CHECK_THROWS_WITH_AS((void)db.write([&](write_session& s) {
      insert(s, 1).value();
      throw std::runtime_error{"stop"};
    }), "stop", std::runtime_error);
    const auto done = db.write([&](write_session& s) {
      insert(s, 2).value();
      insert(s, 2).value();
    });
    CHECK(done.error() == db_errc::unique_violation);
    CHECK(count_of(db, "t") == 0);
    CHECK(db.write([&](write_session& s) { return insert(s, 3); }).has_value());
  }
  SUBCASE("a write sees what it wrote, others only what is committed") {
    const auto seen = db.write([&](write_session& s) {
      insert(s, 1).value();
      return s.query_one<std::int64_t>("SELECT count(*) FROM t").value();
    });
    CHECK(seen.value() == 1);
    CHECK(count_of(db, "t") == 1);
  }
  SUBCASE("a deadline interrupts a statement, rolls back, and leaves the session usable") {
    const auto began = std::chrono::steady_clock::now();
    const auto read = db.read_for([&](read_session& s) { return s.query(subject.endless_query); }, std::chrono::milliseconds{30});
    CHECK(read.error() == db_errc::timed_out);
    const auto write = db.write_for([&](write_session& s) {
      insert(s, 1).value();
      return s.query(subject.endless_query);
    }, std::chrono::milliseconds{30});
    CHECK(write.error() == db_errc::timed_out);
    CHECK(std::chrono::steady_clock::now() - began >= std::chrono::milliseconds{60});
    CHECK(count_of(db, "t") == 0);
    CHECK(db.write([&](write_session& s) { return insert(s, 1); }).has_value());
  }
  SUBCASE("a write that ends after its deadline is not committed") {
    const auto done = db.write_for([&](write_session& s) {
      insert(s, 1).value();
      while (!s.until().passed(std::chrono::steady_clock::now())) {
      }
    }, std::chrono::milliseconds{5});
    CHECK(done.error() == db_errc::timed_out);
    CHECK(count_of(db, "t") == 0);
  }
  SUBCASE("the sooner of timeout and deadline counts") {
    session_options options{std::chrono::hours{1}};
    options.until = deadline{std::chrono::steady_clock::now() - std::chrono::seconds{1}};
    CHECK(db.read([](read_session&) {}, options).error() == db_errc::timed_out);
  }
}

inline void session_conformance(const conformance_subject& subject) {
  SUBCASE("values") { conformance_of_values(subject); }
  SUBCASE("statements") { conformance_of_statements(subject); }
  SUBCASE("transactions") { conformance_of_transactions(subject); }
}

}  // namespace spillway::tests
