// SPDX-License-Identifier: Apache-2.0
#include "metrics/process_numbers.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>

namespace spillway::detail {

namespace {

/// Takes the next number off `text`.
std::optional<double> take_number(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  double value{0};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

}  // namespace

std::optional<process_numbers> parse_process_stat(std::string_view text) {
  const auto name_end = text.rfind(')');
  if (name_end == std::string_view::npos || text.size() < name_end + 4) return std::nullopt;
  text.remove_prefix(name_end + 3);  // ") S", the state
  constexpr std::size_t first_field{4};
  std::array<double, 21> fields{};  // 4 to 24
  for (auto& field : fields) {
    const auto number = take_number(text);
    if (!number) return std::nullopt;
    field = *number;
  }
  const auto at = [&fields](std::size_t field) { return fields[field - first_field]; };
  return process_numbers{at(14) + at(15), at(20), at(22), at(23), at(24)};
}

std::optional<double> parse_boot_time(std::string_view text) {
  constexpr std::string_view key{"\nbtime "};
  const auto found = text.find(key);
  if (found == std::string_view::npos) return std::nullopt;
  text.remove_prefix(found + key.size());
  return take_number(text);
}

}  // namespace spillway::detail
