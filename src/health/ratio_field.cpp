// SPDX-License-Identifier: Apache-2.0
#include "health/ratio_field.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace spillway::detail {

void check_ratio(std::string_view field, double value, double least) {
  if (value > 0.0 && value >= least && value <= 1.0) return;
  throw std::invalid_argument(fmt::format("{} is {}; it must be in {}{}, 1]", field, value, least == 0.0 ? '(' : '[', least));
}

}  // namespace spillway::detail
