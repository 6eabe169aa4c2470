// SPDX-License-Identifier: Apache-2.0
/// @file
/// The error codes of core itself.
#pragma once

#include <spillway/core/error.hpp>

namespace spillway {

enum class core_errc {
  malformed = 1,  ///< Text that should hold a value does not. errc::invalid.
};

[[nodiscard]] SPILLWAY_EXPORT const boost::system::error_category& core_category() noexcept;

[[nodiscard]] inline error_code make_error_code(core_errc code) noexcept {
  return {static_cast<int>(code), core_category()};
}

}  // namespace spillway

template <>
struct boost::system::is_error_code_enum<spillway::core_errc> : std::true_type {};
