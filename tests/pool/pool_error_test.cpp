// SPDX-License-Identifier: Apache-2.0
#include <spillway/pool/pool_error.hpp>

#include <doctest/doctest.h>

#include <array>
#include <utility>

using namespace spillway;
using namespace std::chrono_literals;

TEST_CASE("pool_errc.every_code_has_a_name_and_a_condition") {
  constexpr std::array<std::pair<pool_errc, errc>, pool_errc_count> rows{{{pool_errc::exhausted, errc::overloaded},
                                                                         {pool_errc::queue_full, errc::overloaded},
                                                                         {pool_errc::timed_out, errc::timed_out},
                                                                         {pool_errc::backend_down, errc::unavailable},
                                                                         {pool_errc::cancelled, errc::cancelled},
                                                                         {pool_errc::shutting_down, errc::shutting_down}}};
  for (const auto& [code, condition] : rows) {
    CAPTURE(to_string(code));
    CHECK(make_error_code(code) == condition);
    CHECK(to_string(code) != "unknown");
    CHECK(pool_error{code} == code);
    CHECK(pool_error{code} == condition);
  }
  CHECK(to_string(static_cast<pool_errc>(99)) == "unknown");
}

TEST_CASE("pool_error.says_everything_in_one_line") {
  pool_error::details more;
  more.cause = pool_wait_cause::leak;
  more.waited = 500ms;
  more.lent = more.open = more.most = 10;
  more.waiting = 3;
  const auto here = std::source_location::current();
  more.holders = {{here, "nightly", 93'200ms}, {here, "", 1ms}};
  const pool_error error{pool_errc::timed_out, more};
  const auto place = "pool_error_test.cpp:" + std::to_string(here.line());
  CHECK(error.what() == "nothing became free in time after 500.0 ms (cause: leak): 10 lent of at most 10, 10 open, 0 being opened, 3 others waiting; lent longest: " +
                            place + " \"nightly\" for 93.200 s, " + place + " for 0.001 s");
}

TEST_CASE("pool_error.a_backend_that_is_down_is_named_with_the_next_try") {
  pool_error::details more;
  more.cause = pool_wait_cause::backend;
  more.reason = make_error_code(boost::system::errc::connection_refused);
  more.reason_text = "db1:5432";
  more.next_try = 120ms;
  const pool_error error{pool_errc::backend_down, more};
  CHECK(error.next_try() == 120ms);
  CHECK(error.reason() == boost::system::errc::connection_refused);
  CHECK(error.what().find("opening failed: Connection refused: db1:5432; next try in 120 ms") != std::string::npos);
}

TEST_CASE("pool_error.value_of_a_failed_result_throws_it") {
  const result<int, pool_error> failed{pool_error{pool_errc::queue_full}};
  try {
    (void)failed.value();
    FAIL("no exception");
  } catch (const pool_exception& thrown) {
    CHECK(thrown.error() == pool_errc::queue_full);
    CHECK(thrown.code() == errc::overloaded);
  }
}
