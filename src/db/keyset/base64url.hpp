// SPDX-License-Identifier: Apache-2.0
// Bytes as text for URLs: RFC 4648, section 5, without padding.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::detail {

[[nodiscard]] constexpr std::size_t base64url_chars(std::size_t bytes) noexcept { return (bytes * 4 + 2) / 3; }
[[nodiscard]] std::string base64url_encoded(std::string_view bytes);
/// Whether it has no characters but those of the encoding.
[[nodiscard]] bool is_base64url(std::string_view text) noexcept;
/// Nothing unless it is exactly what the encoding of some bytes gives.
[[nodiscard]] std::optional<std::string> base64url_decoded(std::string_view text);

}  // namespace spillway::detail
