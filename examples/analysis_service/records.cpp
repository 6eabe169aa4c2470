// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/records.hpp"

#include <array>

namespace analysis {

namespace {
constexpr std::array<std::string_view, 5> status_names{"queued", "running", "complete", "failed", "cancelled"};
}

std::string_view to_string(analysis_status status) noexcept { return status_names[static_cast<std::size_t>(status)]; }

std::optional<analysis_status> analysis_status_named(std::string_view name) noexcept {
  for (std::size_t i = 0; i < status_names.size(); ++i) {
    if (status_names[i] == name) return static_cast<analysis_status>(i);
  }
  return std::nullopt;
}

}  // namespace analysis
