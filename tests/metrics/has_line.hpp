// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace spillway::testing {

inline bool has_line(const std::string& text, const std::string& line) { return ("\n" + text).find("\n" + line + "\n") != std::string::npos; }

}  // namespace spillway::testing
