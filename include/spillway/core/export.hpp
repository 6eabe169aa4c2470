// SPDX-License-Identifier: Apache-2.0
/// @file
/// Marks what a spillway library exports. Everything else is hidden.
#pragma once

#if defined(__GNUC__) || defined(__clang__)
#define SPILLWAY_EXPORT __attribute__((visibility("default")))
#else
#define SPILLWAY_EXPORT
#endif
