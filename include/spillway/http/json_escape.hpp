// SPDX-License-Identifier: Apache-2.0
/// @file
/// Text of strangers as JSON.
#pragma once

#include <spillway/core/export.hpp>

#include <string>
#include <string_view>

namespace spillway {

/// Appends `text` as a JSON string with its quotes. Whatever the bytes, the result is valid JSON in UTF-8: each byte that is not part of valid
/// UTF-8 becomes U+FFFD.
SPILLWAY_EXPORT void append_json_string(std::string& out, std::string_view text);

}  // namespace spillway
