// SPDX-License-Identifier: Apache-2.0
/// @file
/// Words to the operator.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <utility>

namespace analysis {

/// Prints to standard error. If nobody can read it, that stops nothing: unlike fmt::print this does not throw then.
template <class... T>
void say(fmt::format_string<T...> text, T&&... values) {
  const auto line = fmt::format(text, std::forward<T>(values)...);
  (void)std::fputs(line.c_str(), stderr);
}

}  // namespace analysis
