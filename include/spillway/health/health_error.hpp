// SPDX-License-Identifier: Apache-2.0
/// @file
/// The error codes of module health.
#pragma once

#include <spillway/core/error.hpp>

namespace spillway {

enum class health_errc {
  already_running = 1,  ///< The monitor was started before. errc::conflict.
  stopped,              ///< The monitor was stopped, and stays so. errc::shutting_down.
  unreadable,           ///< The system does not tell, or tells nonsense. errc::unavailable.
};

[[nodiscard]] SPILLWAY_EXPORT const boost::system::error_category& health_category() noexcept;

[[nodiscard]] inline error_code make_error_code(health_errc code) noexcept { return {static_cast<int>(code), health_category()}; }

}  // namespace spillway

template <>
struct boost::system::is_error_code_enum<spillway::health_errc> : std::true_type {};
