// SPDX-License-Identifier: Apache-2.0
#include <spillway/health/health_report.hpp>

#include "health/message_text.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <iterator>

namespace spillway {

namespace {

double seconds(std::chrono::nanoseconds duration) { return std::chrono::duration<double>{duration}.count(); }

void append_check(const health_check_report& check, std::string& out) {
  const auto to = std::back_inserter(out);
  fmt::format_to(to, R"({{"name":{},"status":"{}","criticality":"{}")", detail::json_string(check.name), to_string(check.state),
                 to_string(check.criticality));
  if (!check.message.empty()) fmt::format_to(to, R"(,"message":{})", detail::json_string(check.message));
  if (check.age) fmt::format_to(to, R"(,"age_seconds":{:.3f})", seconds(*check.age));
  fmt::format_to(to, R"(,"duration_seconds":{:.6f})", seconds(check.duration));
  if (check.changed_at != wall_time_point{}) {
    fmt::format_to(to, R"(,"since":"{:%Y-%m-%dT%H:%M:%SZ}")",
                   fmt::gmtime(std::chrono::system_clock::to_time_t(check.changed_at)));
  }
  if (check.consecutive_failures > 0) fmt::format_to(to, R"(,"consecutive_failures":{})", check.consecutive_failures);
  if (check.hung) out += R"(,"hung":true)";
  out += '}';
}

}  // namespace

std::string to_json(const health_report& report, health_detail detail) {
  std::string out;
  fmt::format_to(std::back_inserter(out), R"({{"status":"{}")", to_string(report.state));
  if (!report.reason.empty()) fmt::format_to(std::back_inserter(out), R"(,"reason":"{}")", report.reason);
  fmt::format_to(std::back_inserter(out), R"(,"weight":{})", report.weight_ratio);
  if (detail == health_detail::full) {
    out += R"(,"checks":[)";
    for (const auto& check : report.checks) {
      if (&check != &report.checks.front()) out += ',';
      append_check(check, out);
    }
    out += ']';
  }
  out += '}';
  return out;
}

}  // namespace spillway
