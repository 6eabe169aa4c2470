// SPDX-License-Identifier: Apache-2.0
#include "lane_tools.hpp"

#include <fmt/format.h>

namespace spillway::detail {

std::string_view date_cache::text(time_point now, const clock_source& clock) {
  if (now < until_) return {text_.data(), text_.size()};
  at_ = now;
  wall_ = clock.wall_now();
  const auto second = std::chrono::floor<std::chrono::seconds>(wall_);
  until_ = now + (std::chrono::seconds{1} - std::chrono::duration_cast<std::chrono::nanoseconds>(wall_ - second));

  static constexpr std::array<std::string_view, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(second);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{second - day};
  fmt::format_to_n(text_.data(), text_.size(), "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",  //
                   days[std::chrono::weekday{day}.c_encoding()], static_cast<unsigned>(date.day()),
                   months[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()), time.hours().count(),
                   time.minutes().count(), time.seconds().count());
  return {text_.data(), text_.size()};
}

}  // namespace spillway::detail
