// SPDX-License-Identifier: Apache-2.0
/// @file
/// Code in the documentation is cut from files that are compiled and run.
#pragma once

#include "layers/source_text.hpp"

namespace spillway::testing {

/// Every fenced `cpp` block of README.md and docs/guide/*.md that does not stand, but for its indentation, in a guide_test.cpp below tests/ or
/// an example: between two lines `// [name]`, or as the whole file without its licence line.
std::vector<finding> check_snippets(const std::filesystem::path& root);

}  // namespace spillway::testing
