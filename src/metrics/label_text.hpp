// SPDX-License-Identifier: Apache-2.0
// What names and texts may hold so that the exposition is always valid.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace spillway::detail {

inline constexpr std::size_t longest_name{200};
inline constexpr std::size_t longest_label_value{256};
inline constexpr std::size_t longest_help{1'024};
inline constexpr std::size_t most_labels{16};
inline constexpr std::size_t most_buckets{64};

/// [a-zA-Z_:][a-zA-Z0-9_:]*, not too long.
[[nodiscard]] bool is_metric_name(std::string_view name) noexcept;

/// [a-zA-Z_][a-zA-Z0-9_]*, not too long, not beginning with `__`.
[[nodiscard]] bool is_label_name(std::string_view name) noexcept;

/// Whether `text` is valid UTF-8 without NUL, which ends the input for some readers, and not above `most_bytes`.
[[nodiscard]] bool is_clean_text(std::string_view text, std::size_t most_bytes) noexcept;

/// `text` with each byte that cannot stay replaced by U+FFFD, cut to at most `most_bytes` between characters.
[[nodiscard]] std::string clean_text(std::string_view text, std::size_t most_bytes);

}  // namespace spillway::detail
