// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/months.hpp"

#include <doctest/doctest.h>

using namespace analysis;

TEST_CASE("months.begin_at_midnight_utc_of_their_first_day") {
  constexpr unix_ms january_2026{1'767'225'600'000};
  constexpr unix_ms february_2026{1'769'904'000'000};
  CHECK(month_of(january_2026) == january_2026);
  CHECK(month_of(january_2026 - 1) < january_2026);
  CHECK(month_of(february_2026 - 1) == january_2026);
  CHECK(month_of(february_2026) == february_2026);
  CHECK(month_of(0) == 0);
}
