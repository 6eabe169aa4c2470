// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/version.hpp>

#define SPILLWAY_TEXT_OF(x) #x
#define SPILLWAY_TEXT(x) SPILLWAY_TEXT_OF(x)

namespace spillway {

std::string_view version() noexcept {
  return SPILLWAY_TEXT(SPILLWAY_VERSION_MAJOR) "." SPILLWAY_TEXT(SPILLWAY_VERSION_MINOR) "." SPILLWAY_TEXT(SPILLWAY_VERSION_PATCH);
}

}  // namespace spillway
