// SPDX-License-Identifier: Apache-2.0
#include "http/connection_timeouts.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace spillway;
using namespace spillway::detail;
using namespace std::chrono_literals;

TEST_CASE("connection_timeouts.are_judged_by_phase") {
  constexpr connection_timeouts limits{.idle = 60s, .head = 10s, .body = 30s, .write = 20s};
  struct row {
    connection_phase phase;
    std::chrono::nanoseconds limit;
    timeout_verdict verdict;
  };
  for (const auto& row : std::vector<row>{{connection_phase::fresh, 10s, timeout_verdict::close},
                                          {connection_phase::idle, 60s, timeout_verdict::close},
                                          {connection_phase::head, 10s, timeout_verdict::tell_client},
                                          {connection_phase::body, 30s, timeout_verdict::tell_client},
                                          {connection_phase::writing, 20s, timeout_verdict::close},
                                          {connection_phase::lingering, 1s, timeout_verdict::close}}) {
    constexpr time_point since{1000s};
    CHECK(judge(row.phase, since, since, limits) == timeout_verdict::wait);
    CHECK(judge(row.phase, since, since + row.limit - 1ns, limits) == timeout_verdict::wait);
    CHECK(judge(row.phase, since, since + row.limit, limits) == row.verdict);
    CHECK(judge(row.phase, since, since + 24h, limits) == row.verdict);
  }
  CHECK(judge(connection_phase::handling, time_point{}, time_point{24h}, limits) == timeout_verdict::wait);
}
