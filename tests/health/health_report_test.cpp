// SPDX-License-Identifier: Apache-2.0
#include <spillway/health/health_report.hpp>

#include "health/message_text.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <doctest/doctest.h>

#include <random>
#include <string>

using namespace spillway;
using namespace std::chrono_literals;

TEST_CASE("health_report.hides_the_checks_from_the_public") {
  health_report report;
  report.checks.emplace_back().name = "secret-database";
  CHECK(to_json(report) == R"({"status":"ok","weight":1})");
}

TEST_CASE("health_report.tells_operators_everything") {
  health_report report;
  report.state = health_state::degraded;
  report.weight_ratio = 0.5;
  report.reason = "check_degraded";
  auto& check = report.checks.emplace_back();
  check.name = "database";
  check.state = health_state::degraded;
  check.criticality = health_criticality::non_critical;
  check.message = "12 s \"behind\"\n";
  check.age = 1500ms;
  check.duration = 2ms;
  check.changed_at = wall_time_point{std::chrono::seconds{946'684'800}};
  check.consecutive_failures = 2;
  check.hung = true;
  report.checks.emplace_back().name = "cache";
  CHECK(to_json(report, health_detail::full) ==
        R"({"status":"degraded","reason":"check_degraded","weight":0.5,"checks":[)"
        R"({"name":"database","status":"degraded","criticality":"non_critical","message":"12 s \"behind\"\n","age_seconds":1.500,)"
        R"("duration_seconds":0.002000,"since":"2000-01-01T00:00:00Z","consecutive_failures":2,"hung":true},)"
        R"({"name":"cache","status":"unknown","criticality":"critical","duration_seconds":0.000000}]})");
}

TEST_CASE("message_text.any_message_becomes_valid_json") {
  const auto seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937 generator{seed};
  std::uniform_int_distribution<int> byte{0, 255};
  for (int round = 0; round < 5'000; ++round) {
    std::string text(static_cast<std::size_t>(byte(generator)) * 4, ' ');
    for (auto& c : text) c = static_cast<char>(byte(generator));
    health_report report;
    report.checks.emplace_back().message = detail::clean_message(text);
    REQUIRE(report.checks[0].message.size() <= 512);
    boost::system::error_code invalid;
    boost::json::parse(to_json(report, health_detail::full), invalid);
    REQUIRE_FALSE(invalid);
  }
}

TEST_CASE("message_text.keeps_valid_text_and_cuts_it_between_characters") {
  CHECK(detail::clean_message("na\xC3\xAFve \xF0\x9F\x98\x80") == "na\xC3\xAFve \xF0\x9F\x98\x80");
  CHECK(detail::clean_message("caf\xE9") == "caf?");
  CHECK(detail::clean_message(std::string(510, 'a') + "\xF0\x9F\x98\x80") == std::string(510, 'a'));
  CHECK(detail::clean_message(std::string(508, 'a') + "\xF0\x9F\x98\x80zzz") == std::string(508, 'a') + "\xF0\x9F\x98\x80");
}
