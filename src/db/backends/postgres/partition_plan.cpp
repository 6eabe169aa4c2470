// SPDX-License-Identifier: Apache-2.0
#include "partition_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>

namespace spillway::detail {

namespace {

using std::chrono::months;
using std::chrono::sys_days;
using std::chrono::year_month;

constexpr std::int64_t least{std::numeric_limits<std::int64_t>::min()};
constexpr std::int64_t most{std::numeric_limits<std::int64_t>::max()};
constexpr std::int64_t us_per_ms{1'000};

std::int64_t start_of(year_month month) noexcept {
  return std::chrono::duration_cast<std::chrono::microseconds>(sys_days{month / 1}.time_since_epoch()).count();
}

/// Takes a fixed piece off the front of a text.
bool take(std::string_view& text, std::string_view piece) noexcept {
  if (!text.starts_with(piece)) return false;
  text.remove_prefix(piece.size());
  return true;
}

/// Takes a number of up to so many digits.
std::optional<std::int64_t> take_number(std::string_view& text, std::size_t digits) noexcept {
  std::int64_t number{0};
  const auto piece = text.substr(0, digits);
  const auto [end, failure] = std::from_chars(piece.data(), piece.data() + piece.size(), number);
  if (failure != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - piece.data()));
  return number;
}

/// "2026-01-01", and for a time "2026-01-01 00:00:00.5+00".
std::optional<std::int64_t> parse_time(std::string_view text, bool with_time) {
  if (text == "infinity") return most;
  if (text == "-infinity" || text.ends_with(" BC")) return least;
  const auto year = take_number(text, 6);
  if (!year || *year > 9'999 || !take(text, "-")) return year ? std::optional{most} : std::nullopt;
  const auto month = take_number(text, 2);
  if (!month || !take(text, "-")) return std::nullopt;
  const auto day = take_number(text, 2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{static_cast<int>(*year)}, std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  auto us = std::chrono::duration_cast<std::chrono::microseconds>(sys_days{date}.time_since_epoch()).count();
  if (!with_time) return text.empty() ? std::optional{us} : std::nullopt;
  std::int64_t seconds{0};
  for (const std::string_view before : {" ", ":", ":"}) {
    if (!take(text, before)) return std::nullopt;
    const auto part = take_number(text, 2);
    if (!part) return std::nullopt;
    seconds = seconds * 60 + *part;
  }
  us += seconds * 1'000'000;
  if (take(text, ".")) {
    const auto digits = std::min<std::size_t>(text.size(), 6);
    const auto before = text.size();
    const auto fraction = take_number(text, digits);
    if (!fraction) return std::nullopt;
    auto scaled = *fraction;
    for (auto taken = before - text.size(); taken < 6; ++taken) scaled *= 10;
    us += scaled;
  }
  return text == "+00" ? std::optional{us} : std::nullopt;
}

std::optional<std::int64_t> parse_bound(std::string_view text, partition_column column) {
  if (text == "MINVALUE") return least;
  if (text == "MAXVALUE") return most;
  if (text.size() >= 2 && text.front() == '\'' && text.back() == '\'') text = text.substr(1, text.size() - 2);
  if (column != partition_column::epoch_ms) return parse_time(text, column == partition_column::timestamptz);
  const auto ms = take_number(text, text.size());
  if (!ms || !text.empty()) return std::nullopt;
  if (*ms > most / us_per_ms) return most;
  if (*ms < least / us_per_ms) return least;
  return *ms * us_per_ms;
}

const partition_facts::attached_one* overlapping(const partition_facts& facts, year_month month) noexcept {
  const auto wanted = bounds_of(month);
  const auto found = std::ranges::find_if(facts.attached, [&](const auto& one) { return one.bounds.from < wanted.to && wanted.from < one.bounds.to; });
  return found == facts.attached.end() ? nullptr : &*found;
}

/// The months that must have a partition, those from the current one on before older ones: what is wrong with the past must not hold up the future.
std::vector<year_month> wanted_months(const partition_facts& facts, const partition_wish& wish) {
  std::set<year_month> wanted;
  for (unsigned ahead = 0; ahead <= wish.months_ahead; ++ahead) wanted.insert(wish.current + months{static_cast<int>(ahead)});
  for (const auto month : facts.in_default) {
    // What is too old to be kept needs no partition to be dropped with.
    if (!wish.keep_months || month >= wish.current - months{static_cast<int>(*wish.keep_months)}) wanted.insert(month);
  }
  const auto current = wanted.find(wish.current);
  std::vector<year_month> ordered{current, wanted.end()};
  ordered.insert(ordered.end(), wanted.begin(), current);
  return ordered;
}

}  // namespace

partition_bounds bounds_of(year_month month) noexcept { return {start_of(month), start_of(month + months{1})}; }

std::optional<year_month> month_of(const partition_bounds& bounds) noexcept {
  if (bounds.from == least || bounds.to == most) return std::nullopt;
  const auto month = month_at(std::chrono::sys_time<std::chrono::microseconds>{std::chrono::microseconds{bounds.from}});
  return bounds_of(month) == bounds ? std::optional{month} : std::nullopt;
}

year_month month_at(std::chrono::sys_time<std::chrono::microseconds> at) noexcept {
  const std::chrono::year_month_day day{std::chrono::floor<std::chrono::days>(at)};
  return day.year() / day.month();
}

std::string month_text(year_month month) {
  return fmt::format("{:04}-{:02}", static_cast<int>(month.year()), static_cast<unsigned>(month.month()));
}

std::optional<year_month> parse_month(std::string_view text) noexcept {
  if (text.size() != 7) return std::nullopt;
  const auto year = take_number(text, 4);
  if (!year || !take(text, "-")) return std::nullopt;
  const auto month = take_number(text, 2);
  if (!month || !text.empty()) return std::nullopt;
  const auto made = std::chrono::year{static_cast<int>(*year)} / std::chrono::month{static_cast<unsigned>(*month)};
  return made.ok() ? std::optional{made} : std::nullopt;
}

std::optional<partition_bounds> parse_bounds(std::string_view text, partition_column column) {
  if (!take(text, "FOR VALUES FROM (")) return std::nullopt;
  constexpr std::string_view middle{") TO ("};
  const auto at = text.find(middle);
  if (at == std::string_view::npos || !text.ends_with(')')) return std::nullopt;
  const auto from = parse_bound(text.substr(0, at), column);
  const auto to = parse_bound(text.substr(at + middle.size(), text.size() - at - middle.size() - 1), column);
  if (!from || !to) return std::nullopt;
  return partition_bounds{*from, *to};
}

std::string bound_literal(year_month month, partition_column column) {
  if (column == partition_column::epoch_ms) return fmt::format("'{}'", start_of(month) / us_per_ms);
  return fmt::format("'{}-01{}'", month_text(month), column == partition_column::date ? "" : " 00:00:00+00");
}

std::string partition_name(std::string_view table, year_month month) {
  return fmt::format("{}_p{:04}{:02}", table, static_cast<int>(month.year()), static_cast<unsigned>(month.month()));
}

result<std::vector<partition_action>, db_error> plan_partitions(const partition_facts& facts, const partition_wish& wish) {
  std::vector<partition_action> actions;
  std::set<year_month> there;
  for (const auto& one : facts.attached) {
    if (one.pending && !one.elsewhere) actions.emplace_back(finish_detaching{one.name});
    if (const auto month = month_of(one.bounds); month && !one.pending) there.insert(*month);
  }
  for (const auto month : wanted_months(facts, wish)) {
    if (there.contains(month)) continue;
    const auto* const in_the_way = overlapping(facts, month);
    if (in_the_way == nullptr) {
      actions.emplace_back(make_partition{month});
    } else if (!in_the_way->pending && (month >= wish.current || actions.empty())) {
      return db_error{db_errc::partition_conflict, fmt::format("{} needs a partition, and \"{}\" has a part of it; only partitions of exactly one "
                                                               "month, in UTC, are taken", month_text(month), in_the_way->name)};
    }
  }
  if (!wish.keep_months) return actions;
  const auto oldest = wish.current - months{static_cast<int>(*wish.keep_months)};
  for (const auto& one : facts.attached) {
    const auto month = month_of(one.bounds);
    if (month && *month < oldest && !one.pending && !one.elsewhere) actions.emplace_back(detach_partition{one.name, *month});
  }
  if (!wish.drop) return actions;
  for (const auto& one : facts.loose) {
    if (one.detached && one.month < oldest) actions.emplace_back(drop_table{one.name});
  }
  return actions;
}

std::int64_t covered_until(const partition_facts& facts, year_month current) noexcept {
  auto until = start_of(current);
  for (bool further{true}; further && until != most;) {
    further = false;
    for (const auto& one : facts.attached) {
      if (one.pending || one.bounds.from > until || one.bounds.to <= until) continue;
      until = one.bounds.to;
      further = true;
    }
  }
  return until;
}

}  // namespace spillway::detail
