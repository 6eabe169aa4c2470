// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spillway/core/clock.hpp>

#include <chrono>

namespace spillway::testing {

/// Times that a test writes down.
constexpr time_point at(std::chrono::nanoseconds since_start) { return time_point{since_start}; }

}  // namespace spillway::testing
