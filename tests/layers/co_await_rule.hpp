// SPDX-License-Identifier: Apache-2.0
/// @file
/// g++ 12 destroys closures and aggregates twice when they are temporaries of an expression that contains co_await.
#pragma once

#include "layers/source_text.hpp"

namespace spillway::testing {

/// Every lambda with a copying capture and everything braced inside an expression of `source` that contains co_await, `type name{co_await f()}`
/// included. The compiler harms only aggregates and closures with a destructor that matters; the text does not tell which, so all must be named
/// first.
std::vector<finding> check_co_await(const std::string& file, std::string_view source);

/// The same for every C++ file of the tree.
std::vector<finding> check_co_await_below(const std::filesystem::path& root);

}  // namespace spillway::testing
