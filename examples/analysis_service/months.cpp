// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/months.hpp"

#include <chrono>

namespace analysis {

unix_ms month_of(unix_ms time) noexcept {
  using namespace std::chrono;
  const year_month_day day{floor<days>(sys_time<milliseconds>{milliseconds{time}})};
  const sys_days first{day.year() / day.month() / 1};
  return duration_cast<milliseconds>(first.time_since_epoch()).count();
}

}  // namespace analysis
