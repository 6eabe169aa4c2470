// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace spillway::testing {

inline const std::string get_root{"GET / HTTP/1.1\r\nHost: a\r\n\r\n"};

}  // namespace spillway::testing
