// SPDX-License-Identifier: Apache-2.0
// Messages of checks come from anywhere: exceptions, drivers, other hosts.
#pragma once

#include <string>
#include <string_view>

namespace spillway::detail {

/// At most 512 bytes of `message`, as valid UTF-8: if it is not, every byte beyond ASCII becomes a question mark.
[[nodiscard]] std::string clean_message(std::string message);

/// As a JSON string with its quotes. `text` is valid UTF-8.
[[nodiscard]] std::string json_string(std::string_view text);

}  // namespace spillway::detail
