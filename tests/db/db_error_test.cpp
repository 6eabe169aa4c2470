// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/db_error.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace spillway;

TEST_CASE("db_error.every_code_has_a_name_a_message_and_a_condition") {
  std::set<std::string> messages;
  std::set<std::string_view> names;
  for (int value = 1; value <= db_errc_count; ++value) {
    const auto code = make_error_code(static_cast<db_errc>(value));
    CHECK(&code.default_error_condition().category() == &condition_category());
    messages.insert(code.message());
    names.insert(to_string(static_cast<db_errc>(value)));
  }
  CHECK(messages.size() == db_errc_count);
  CHECK(names.size() == db_errc_count);
  CHECK_FALSE(names.contains("unknown"));
  CHECK(to_string(db_errc::unique_violation) == "unique_violation");
}

TEST_CASE("db_error.codes_are_instances_of_the_shared_conditions") {
  CHECK(make_error_code(db_errc::busy) == errc::overloaded);
  CHECK(make_error_code(db_errc::queue_full) == errc::overloaded);
  CHECK(make_error_code(db_errc::timed_out) == errc::timed_out);
  CHECK(make_error_code(db_errc::cancelled) == errc::cancelled);
  CHECK(make_error_code(db_errc::shutting_down) == errc::shutting_down);
  CHECK(make_error_code(db_errc::unique_violation) == errc::conflict);
  CHECK(make_error_code(db_errc::read_only) == errc::permission_denied);
  CHECK(make_error_code(db_errc::syntax_error) == errc::invalid);
  CHECK(make_error_code(db_errc::corrupt) == errc::internal);
  CHECK(make_error_code(db_errc::disk_full) == errc::unavailable);
  CHECK(make_error_code(db_errc::not_supported) == errc::invalid);
  CHECK(make_error_code(db_errc::cursor_tampered) == errc::invalid);
  CHECK(make_error_code(db_errc::partition_conflict) == errc::conflict);
  CHECK(make_error_code(db_errc::serialization_failure) == errc::conflict);
  CHECK(make_error_code(db_errc::deadlock_detected) == errc::conflict);
  CHECK(make_error_code(db_errc::connection_lost) == errc::unavailable);
  CHECK(make_error_code(db_errc::commit_unknown) == errc::internal);
  CHECK(make_error_code(db_errc::not_primary) == errc::unavailable);
  CHECK(make_error_code(db_errc::authentication_failed) == errc::internal);
  CHECK(make_error_code(db_errc::stale_statement) == errc::conflict);
  CHECK(make_error_code(db_errc::permission_denied) == errc::permission_denied);
}

TEST_CASE("db_error.says_what_the_engine_said_and_which_statement") {
  const db_error error{db_errc::unique_violation, "UNIQUE constraint failed: city.name", 2067, "INSERT INTO city VALUES ($1)"};
  CHECK(error == db_errc::unique_violation);
  CHECK(error == errc::conflict);
  CHECK(error.native_code() == 2067);
  CHECK(error.what() ==
        "unique constraint violated: UNIQUE constraint failed: city.name in: INSERT INTO city VALUES ($1)");
  CHECK(db_error{db_errc::busy}.what() == "no session is free, or a lock is held");
  CHECK_FALSE(db_error{}.failed());
}

TEST_CASE("db_error.prefixed_keeps_the_failure_and_says_more") {
  const auto error = db_error{db_errc::syntax_error, "near x", 1, "SELEC x"}.prefixed("migration 3: ");
  CHECK(error == db_errc::syntax_error);
  CHECK(error.what() == "syntax error: migration 3: near x in: SELEC x");
}

TEST_CASE("db_error.a_long_statement_is_cut") {
  const std::string sql(10'000, 'x');
  const db_error error{db_errc::syntax_error, {}, 0, sql};
  CHECK(error.sql().size() == db_error::sql_limit_bytes);
  CHECK(error.sql().ends_with("x..."));
}

TEST_CASE("db_error.value_of_a_failed_result_throws_all_of_it") {
  const result<int, db_error> failed{db_error{db_errc::syntax_error, "near \"SELEC\"", 1, "SELEC 1"}};
  try {
    (void)failed.value();
    FAIL("nothing was thrown");
  } catch (const boost::system::system_error& thrown) {
    CHECK(thrown.code() == errc::invalid);
    CHECK(std::string{thrown.what()}.find("near \"SELEC\" in: SELEC 1") != std::string::npos);
    CHECK(dynamic_cast<const db_exception&>(thrown).error().native_code() == 1);
  }
}
