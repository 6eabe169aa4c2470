// SPDX-License-Identifier: Apache-2.0
#include "core/config_value.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>
#include <vector>

namespace spillway::detail {

namespace {

template <class T>
std::optional<T> parse_number(std::string_view text) noexcept {
  T value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct unit {
  std::string_view name;
  std::uint64_t size;
};

constexpr std::array<unit, 7> time_units{{{"d", 86'400'000'000'000},
                                          {"h", 3'600'000'000'000},
                                          {"m", 60'000'000'000},
                                          {"s", 1'000'000'000},
                                          {"ms", 1'000'000},
                                          {"us", 1'000},
                                          {"ns", 1}}};
constexpr std::array<unit, 4> byte_units{
    {{"TiB", 1ULL << 40U}, {"GiB", 1ULL << 30U}, {"MiB", 1ULL << 20U}, {"KiB", 1ULL << 10U}}};

/// Splits "1.5s" into its number and its unit.
std::pair<std::string_view, std::string_view> split_unit(std::string_view text) noexcept {
  const auto digits = std::ranges::find_if(text, [](char c) { return (c < '0' || c > '9') && c != '.'; });
  const auto length = static_cast<std::size_t>(digits - text.begin());
  return {text.substr(0, length), text.substr(length)};
}

}  // namespace

std::optional<std::int64_t> parse_signed(std::string_view text) noexcept { return parse_number<std::int64_t>(text); }
std::optional<std::uint64_t> parse_unsigned(std::string_view text) noexcept { return parse_number<std::uint64_t>(text); }

std::optional<double> parse_double(std::string_view text) noexcept {
  const auto value = parse_number<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::optional<bool> parse_bool(std::string_view text) noexcept {
  if (text == "true" || text == "1" || text == "on") return true;
  if (text == "false" || text == "0" || text == "off") return false;
  return std::nullopt;
}

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) noexcept {
  const auto [number, name] = split_unit(text);
  const auto found = std::ranges::find(time_units, name, &unit::name);
  const auto value = parse_double(number);
  if (found == time_units.end() || !value) return std::nullopt;
  const double total = *value * static_cast<double>(found->size);
  if (total >= 9.2e18) return std::nullopt;
  return std::chrono::nanoseconds{std::llround(total)};
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) noexcept {
  const auto [number, name] = split_unit(text);
  const auto value = parse_unsigned(number);
  if (!value) return std::nullopt;
  if (name.empty()) return value;
  const auto found = std::ranges::find(byte_units, name, &unit::name);
  if (found == byte_units.end() || *value > UINT64_MAX / found->size) return std::nullopt;
  return *value * found->size;
}

std::string duration_text(std::chrono::nanoseconds value) {
  const auto count = value.count();
  if (count == 0) return "0s";
  for (const auto& unit : time_units) {
    const auto size = static_cast<std::int64_t>(unit.size);
    if (count % size == 0) return std::to_string(count / size).append(unit.name);
  }
  return std::to_string(count) + "ns";
}

std::string bytes_text(std::uint64_t value) {
  for (const auto& unit : byte_units) {
    if (value != 0 && value % unit.size == 0) return std::to_string(value / unit.size).append(unit.name);
  }
  return std::to_string(value);
}

std::optional<std::string> nearest_name(std::string_view wrong, std::span<const std::string> names) {
  std::optional<std::string> best;
  std::size_t best_edits{std::max<std::size_t>(1, wrong.size() / 3) + 1};
  for (const auto& name : names) {
    // Levenshtein distance, one row at a time.
    std::vector<std::size_t> row(name.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < wrong.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i + 1;
      for (std::size_t j = 0; j < name.size(); ++j) {
        const std::size_t replace = diagonal + (wrong[i] == name[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({replace, row[j + 1] + 1, row[j] + 1});
      }
    }
    if (row.back() < best_edits) {
      best_edits = row.back();
      best = name;
    }
  }
  return best;
}

}  // namespace spillway::detail
