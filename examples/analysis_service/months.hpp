// SPDX-License-Identifier: Apache-2.0
/// @file
/// Months, as results are kept by them: those of UTC.
#pragma once

#include "analysis_service/records.hpp"

namespace analysis {

/// The beginning of the month in which a moment lies.
[[nodiscard]] unix_ms month_of(unix_ms time) noexcept;

}  // namespace analysis
