// SPDX-License-Identifier: Apache-2.0
/// @file
/// Every source file says under which licence it stands.
#pragma once

#include "layers/source_text.hpp"

namespace spillway::testing {

/// Every source file whose first line (second, below `#!`) is not the SPDX line.
std::vector<finding> check_licence_lines(const std::filesystem::path& root);

}  // namespace spillway::testing
