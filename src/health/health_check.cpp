// SPDX-License-Identifier: Apache-2.0
#include <spillway/health/health_check.hpp>

#include <spillway/health/health_error.hpp>

namespace spillway {

std::string_view to_string(health_state state) noexcept {
  switch (state) {
    case health_state::ok: return "ok";
    case health_state::degraded: return "degraded";
    case health_state::failed: return "failed";
    case health_state::unknown: return "unknown";
  }
  return "unknown";
}

std::string_view to_string(health_criticality criticality) noexcept {
  return criticality == health_criticality::critical ? "critical" : "non_critical";
}

const boost::system::error_category& health_category() noexcept {
  static constexpr error_entry entries[]{
      {static_cast<int>(health_errc::already_running), "the health monitor was started before", errc::conflict},
      {static_cast<int>(health_errc::stopped), "the health monitor was stopped", errc::shutting_down},
      {static_cast<int>(health_errc::unreadable), "the system does not tell", errc::unavailable},
  };
  static const auto& category = make_error_category("spillway.health", 0x7350'696c'0000'0008U, entries);
  return category;
}

}  // namespace spillway
