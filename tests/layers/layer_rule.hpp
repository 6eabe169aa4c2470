// SPDX-License-Identifier: Apache-2.0
/// @file
/// Modules stand on levels, and includes only go down.
#pragma once

#include "layers/source_text.hpp"

namespace spillway::testing {

/// Every include below include/ and src/ that goes up or sideways, reaches into another module's private files, or names a
/// third-party engine outside the folder that may know it.
std::vector<finding> check_layers(const std::filesystem::path& root);

}  // namespace spillway::testing
