// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/pg_scan.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace spillway::detail;
using kind = pg_statement_kind;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::vector<std::string> statements(std::string_view sql) {
  std::vector<std::string> texts;
  std::size_t at{0};
  while (const auto found = pg_next_statement(sql, at)) texts.emplace_back(found->text);
  return texts;
}

pg_statement only(std::string_view sql) {
  std::size_t at{0};
  const auto found = pg_next_statement(sql, at);
  REQUIRE(found);
  REQUIRE_FALSE(pg_next_statement(sql, at));
  return *found;
}

kind kind_of(std::string_view sql) { return only(sql).kind; }

using texts = std::vector<std::string>;

}  // namespace

TEST_CASE("postgres_scan.statements_end_at_semicolons") {
  CHECK(statements("SELECT 1; SELECT 2 ;; \n SELECT 3") == texts{"SELECT 1", "SELECT 2", "SELECT 3"});
  CHECK(statements("").empty());
  CHECK(statements(" ;; -- nothing\n /* ; */ ; ").empty());
  CHECK(statements("SELECT 1 -- and ; so on\n + 1; -- the end").size() == 1);
}

TEST_CASE("postgres_scan.semicolons_in_texts_names_and_comments_end_nothing") {
  CHECK(statements("SELECT ';', \"a;b\", 'it''s; so' /* ; /* ; */ ; */ + 1").size() == 1);
  CHECK(statements("SELECT $$ ; $$, $tag$ ; $$ ; $tag$").size() == 1);
  CHECK(statements("SELECT E'\\'; ', e'\\\\'; SELECT 2").size() == 2);
  CHECK(statements("SELECT '\\'; SELECT 2").size() == 2);  // a backslash is nothing special in a plain text
  CHECK(statements("SELECT U&'\\0061;', N';', B'1', x'f'").size() == 1);
  CHECK(statements("SELECT a$b$c; SELECT 2").size() == 2);  // a name with dollars, no text
  CHECK(statements("SELECT 'never closed; SELECT 2").size() == 1);
  CHECK(statements("SELECT $x$ never closed; SELECT 2").size() == 1);
}

TEST_CASE("postgres_scan.bodies_of_functions_and_rules_are_one_statement") {
  CHECK(statements("CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END; SELECT 2") ==
        texts{"CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END", "SELECT 2"});
  CHECK(statements("CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC INSERT INTO t VALUES (1); END").size() == 1);
  CHECK(statements("CREATE RULE r AS ON INSERT TO t DO (INSERT INTO a VALUES (1); INSERT INTO b VALUES (2)); SELECT 3").size() == 2);
  CHECK(statements("CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END; $$; SELECT 2").size() == 2);
  CHECK(statements("CREATE TABLE begin_of (a int); SELECT 2").size() == 2);
}

TEST_CASE("postgres_scan.kinds_are_told_by_words") {
  CHECK(kind_of("SELECT 1") == kind::query);
  CHECK(kind_of("  -- hm\n (SELECT 1) UNION VALUES (2)") == kind::query);
  CHECK(kind_of("WITH a AS (SELECT 1) SELECT * FROM a") == kind::query);
  CHECK(kind_of("TABLE city") == kind::query);
  CHECK(kind_of("WITH a AS (DELETE FROM t RETURNING x) SELECT * FROM a") == kind::plain);
  CHECK(kind_of("SELECT 1 INTO t") == kind::plain);
  CHECK(kind_of("INSERT INTO t VALUES (1) RETURNING x") == kind::plain);
  CHECK(kind_of("EXPLAIN SELECT 1") == kind::plain);
  for (const auto* sql : {"BEGIN", "begin work", "START TRANSACTION", "COMMIT", "END", "ABORT", "ROLLBACK", "ROLLBACK WORK AND CHAIN",
                          "PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'", "RoLLbAcK/**/;"}) {
    CHECK_MESSAGE(kind_of(sql) == kind::transaction, sql);
  }
  CHECK(kind_of("ROLLBACK TO a") == kind::rollback_to);
  CHECK(kind_of("ROLLBACK WORK TO SAVEPOINT a") == kind::rollback_to);
  CHECK(kind_of("SAVEPOINT a") == kind::plain);
  CHECK(kind_of("RELEASE a") == kind::plain);
  for (const auto* sql : {"SET TRANSACTION READ WRITE", "SET LOCAL transaction_read_only = off", "SET LOCAL \"transaction_read_only\" TO off",
                          "set local TRANSACTION_ISOLATION to 'serializable'"}) {
    CHECK_MESSAGE(kind_of(sql) == kind::transaction_mode, sql);
  }
  for (const auto* sql : {"SET search_path = a", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "SET ROLE other", "RESET ALL",
                          "DISCARD ALL", "LISTEN a", "UNLISTEN *", "PREPARE a AS SELECT 1", "DEALLOCATE a", "LOAD 'x'", "SET \"search_path\" = a"}) {
    CHECK_MESSAGE(kind_of(sql) == kind::session_state, sql);
  }
  CHECK(kind_of("SET LOCAL statement_timeout = 5") == kind::plain);
  CHECK(kind_of("SET CONSTRAINTS ALL DEFERRED") == kind::plain);
  CHECK(kind_of("NOTIFY a, 'b'") == kind::plain);
  CHECK(kind_of("COPY t FROM STDIN") == kind::copy);
}

TEST_CASE("postgres_scan.parameters_are_found_outside_of_texts") {
  CHECK(only("SELECT 1").highest_parameter == 0);
  CHECK(only("SELECT $2, $1, $2").highest_parameter == 2);
  CHECK(only("SELECT $2, $1, $2").missing_parameter == 0);
  CHECK(only("SELECT $3, $1").missing_parameter == 2);
  CHECK(only("SELECT '$1', \"$2\", $$ $3 $$, $a$ $4 $a$, a$5, /* $6 */ $1 -- $7").highest_parameter == 1);
  CHECK(only("SELECT $1::int+$2").highest_parameter == 2);
  CHECK(only("SELECT 1$1").highest_parameter == 1);
  CHECK(only("SELECT $0").highest_parameter > pg_most_parameters);
  CHECK(only("SELECT $99999999999999999999").highest_parameter > pg_most_parameters);
  CHECK(only("SELECT $65535").missing_parameter == 1);
}

TEST_CASE("postgres_scan.whatever_the_text_it_ends_and_stays_inside") {
  // Random pieces of SQL in random order, from a fixed seed: the fuzz target checks what must hold.
  constexpr std::string_view pieces[]{"SELECT ", "'", "\"", "$$", "$a$", "$1", "$", "--", "\n", "/*", "*/", ";", "(", ")", "E'", "\\", "begin ",
                                      "end ", "create ", "function ", "case ", "atomic ", "e", "1", ".", "\xc3\xa9", " ", "[", "]"};
  std::uint64_t state{20'260'101};
  const auto random = [&state](std::size_t below) {
    state = state * 6'364'136'223'846'793'005U + 1'442'695'040'888'963'407U;
    return static_cast<std::size_t>(state >> 33U) % below;
  };
  for (int round = 0; round < 20'000; ++round) {
    std::string sql;
    for (auto count = random(24); count > 0; --count) sql += pieces[random(std::size(pieces))];
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(sql.data()), sql.size());
  }
}
