// SPDX-License-Identifier: Apache-2.0
/// @file
/// Text to value, for configuration: pure functions that answer nothing for text that is not such a value.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace spillway::detail {

[[nodiscard]] std::optional<std::int64_t> parse_signed(std::string_view text) noexcept;
[[nodiscard]] std::optional<std::uint64_t> parse_unsigned(std::string_view text) noexcept;
[[nodiscard]] std::optional<double> parse_double(std::string_view text) noexcept;
[[nodiscard]] std::optional<bool> parse_bool(std::string_view text) noexcept;

/// `250ms`, `1.5s`, `2h`: a number that is not negative, and ns, us, ms, s, m, h or d. Nothing if it does not fit in nanoseconds.
[[nodiscard]] std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) noexcept;

/// `64KiB`, `2MiB`, `1GiB`, `1TiB`, or plain digits.
[[nodiscard]] std::optional<std::uint64_t> parse_bytes(std::string_view text) noexcept;

/// In the largest unit that leaves no remainder.
[[nodiscard]] std::string duration_text(std::chrono::nanoseconds value);
[[nodiscard]] std::string bytes_text(std::uint64_t value);

/// The name with the fewest edits to `wrong`, if that is at most a third of its length.
[[nodiscard]] std::optional<std::string> nearest_name(std::string_view wrong, std::span<const std::string> names);

}  // namespace spillway::detail
