// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/version.hpp>

__attribute__((visibility("default"))) bool plugin_works() { return spillway::version().size() >= 5; }
