// SPDX-License-Identifier: Apache-2.0
#include <spillway/testing/manual_clock.hpp>
