// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace spillway::detail {

using sha256_digest = std::array<unsigned char, 32>;

/// Both throw std::runtime_error if the library of ciphers is out of order.
[[nodiscard]] sha256_digest sha256(std::string_view bytes);
[[nodiscard]] sha256_digest hmac_sha256(std::string_view key, std::string_view bytes);

/// Takes the same time wherever they differ. Both must have the same length.
[[nodiscard]] bool same_bytes(std::string_view left, std::string_view right) noexcept;

}  // namespace spillway::detail
