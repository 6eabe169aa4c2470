// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "db/backends/postgres/route_types.hpp"
#include "support/literal_time.hpp"

namespace spillway::testing {

/// Asked then, and answered a millisecond later unless said otherwise.
constexpr detail::measured when(std::chrono::nanoseconds asked, std::chrono::nanoseconds took = std::chrono::milliseconds{1}) {
  return {at(asked), at(asked + took)};
}

}  // namespace spillway::testing
