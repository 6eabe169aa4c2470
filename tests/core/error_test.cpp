// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/core_error.hpp>
#include <spillway/core/result.hpp>

#include <doctest/doctest.h>

using namespace spillway;

namespace {

const boost::system::error_category& sample_category() noexcept {
  static constexpr error_entry entries[]{{1, "the queue is full", errc::overloaded}, {2, "the peer is gone", errc::unavailable}};
  static const auto& category = make_error_category("sample", 0x5361'6d70'6c65'0001U, entries);
  return category;
}

error_code sample(int value) { return {value, sample_category()}; }

}  // namespace

TEST_CASE("error.a_modules_code_equals_its_condition_and_no_other") {
  CHECK(sample(1) == errc::overloaded);
  CHECK(sample(1) != errc::unavailable);
  CHECK(sample(2) == errc::unavailable);
  CHECK(make_error_code(core_errc::malformed) == errc::invalid);
}

TEST_CASE("error.a_code_outside_the_table_is_no_condition") {
  CHECK(sample(77) != errc::overloaded);
  CHECK(sample(77).message() == "unknown code 77");
}

TEST_CASE("error.codes_and_conditions_have_names_and_messages") {
  CHECK(sample(1).message() == "the queue is full");
  CHECK(std::string{sample(1).category().name()} == "sample");
  for (int value = 1; value <= static_cast<int>(errc::internal); ++value) {
    CHECK(condition_category().message(value) != "unknown condition");
  }
  CHECK(condition_category().message(99) == "unknown condition");
}

TEST_CASE("result.value_throws_what_the_error_stands_for") {
  const result<int> failed{sample(2)};
  CHECK_FALSE(failed.has_value());
  CHECK_THROWS_AS((void)failed.value(), boost::system::system_error);
  CHECK(result<int>{4}.value() == 4);
}
