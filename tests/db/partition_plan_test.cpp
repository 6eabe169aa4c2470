// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/partition_plan.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace spillway;
using namespace spillway::detail;
using namespace std::chrono_literals;
using std::chrono::month;
using std::chrono::months;
using std::chrono::sys_days;
using std::chrono::year;
using std::chrono::year_month;

namespace {

constexpr std::int64_t lowest{std::numeric_limits<std::int64_t>::min()};
constexpr std::int64_t most{std::numeric_limits<std::int64_t>::max()};
constexpr year_month this_month{year{2026} / month{1}};

std::int64_t us(sys_days day) { return std::chrono::duration_cast<std::chrono::microseconds>(day.time_since_epoch()).count(); }

partition_facts with_months(year_month first, int count) {
  partition_facts facts;
  for (int i = 0; i < count; ++i) facts.attached.push_back({partition_name("t", first + months{i}), bounds_of(first + months{i}), false});
  return facts;
}

std::vector<partition_action> plan(const partition_facts& facts, partition_wish wish) { return plan_partitions(facts, wish).value(); }

partition_wish keep_all(unsigned ahead) { return {this_month, ahead, std::nullopt, true}; }

}  // namespace

TEST_CASE("partition_plan.bounds are read as the server writes them, for each type of column") {
  using enum partition_column;
  const partition_bounds january{us(sys_days{2026y / 1 / 1}), us(sys_days{2026y / 2 / 1})};
  CHECK(bounds_of(this_month) == january);
  CHECK(parse_bounds("FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')", date) == january);
  CHECK(parse_bounds("FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2026-02-01 00:00:00+00')", timestamptz) == january);
  CHECK(parse_bounds("FOR VALUES FROM ('1767225600000') TO ('1769904000000')", epoch_ms) == january);
  CHECK(parse_bounds("FOR VALUES FROM (MINVALUE) TO (MAXVALUE)", date) == partition_bounds{lowest, most});
  CHECK(parse_bounds("FOR VALUES FROM ('-infinity') TO ('infinity')", timestamptz) == partition_bounds{lowest, most});
  CHECK(parse_bounds("FOR VALUES FROM ('4713-01-01 00:00:00+00 BC') TO ('12026-01-01 00:00:00+00')", timestamptz) == partition_bounds{lowest, most});
  CHECK(parse_bounds("FOR VALUES FROM ('-9223372036854775808') TO ('9223372036854775807')", epoch_ms) == partition_bounds{lowest, most});
  CHECK(parse_bounds("FOR VALUES FROM ('1970-01-01 00:00:00+00') TO ('1970-01-01 01:02:03.004+00')", timestamptz) ==
        partition_bounds{0, 3'723'004'000});
  CHECK(parse_bounds("FOR VALUES FROM ('1970-01-01 00:00:00.000001+00') TO ('1970-01-01 00:00:00.1+00')", timestamptz) ==
        partition_bounds{1, 100'000});
}

TEST_CASE("partition_plan.what is no such bound is none, never a guess") {
  using enum partition_column;
  for (const auto* text : {"DEFAULT", "FOR VALUES IN ('x')", "FOR VALUES FROM ('2026-01-01') TO", "FOR VALUES FROM ('2026-13-01') TO ('2026-02-01')",
                           "FOR VALUES FROM ('2026-01-01', 1) TO ('2026-02-01', 1)", "FOR VALUES FROM ('x') TO ('y')", "", "FOR VALUES FROM () TO ()"}) {
    CAPTURE(text);
    for (const auto column : {date, timestamptz, epoch_ms}) CHECK_FALSE(parse_bounds(text, column).has_value());
  }
  CHECK_FALSE(parse_bounds("FOR VALUES FROM ('2026-01-01 00:00:00+02') TO ('2026-02-01 00:00:00+02')", timestamptz).has_value());
}

TEST_CASE("partition_plan.a month is one only if it is whole") {
  CHECK(month_of(bounds_of(this_month)) == this_month);
  CHECK(month_of(bounds_of(2024y / 2)) == 2024y / 2);
  auto bounds = bounds_of(this_month);
  ++bounds.from;
  CHECK_FALSE(month_of(bounds).has_value());
  CHECK_FALSE(month_of({bounds_of(this_month).from, bounds_of(2026y / 2).to}).has_value());
  CHECK_FALSE(month_of({lowest, bounds_of(this_month).to}).has_value());
  CHECK_FALSE(month_of({bounds_of(this_month).from, most}).has_value());
  CHECK(month_at(sys_days{2026y / 1 / 31} + 24h - 1us) == this_month);
  CHECK(month_at(sys_days{1969y / 12 / 31}) == 1969y / 12);
}

TEST_CASE("partition_plan.names and literals") {
  CHECK(month_text(2026y / 1) == "2026-01");
  CHECK(parse_month("2026-01") == 2026y / 1);
  for (const auto* text : {"2026-13", "2026-00", "2026-1", "202601", "2026-01x", "x026-01", ""}) CHECK_FALSE(parse_month(text).has_value());
  CHECK(partition_name("event", 2026y / 1) == "event_p202601");
  CHECK(bound_literal(2026y / 12, partition_column::date) == "'2026-12-01'");
  CHECK(bound_literal(2026y / 1, partition_column::timestamptz) == "'2026-01-01 00:00:00+00'");
  CHECK(bound_literal(2026y / 1, partition_column::epoch_ms) == "'1767225600000'");
  CHECK(bound_literal(1969y / 12, partition_column::epoch_ms) == "'-2678400000'");
}

TEST_CASE("partition_plan.makes the current month and those ahead, over the end of a year") {
  CHECK(plan({}, {2025y / 11, 3, std::nullopt, true}) == std::vector<partition_action>{make_partition{2025y / 11}, make_partition{2025y / 12},
                                                                                       make_partition{2026y / 1}, make_partition{2026y / 2}});
  CHECK(plan(with_months(this_month, 4), keep_all(3)).empty());
  auto facts = with_months(this_month, 4);
  facts.attached.erase(facts.attached.begin() + 1);
  CHECK(plan(facts, keep_all(3)) == std::vector<partition_action>{make_partition{2026y / 2}});
}

TEST_CASE("partition_plan.detaches what is too old, drops what was detached, and neither if it is to be kept") {
  auto facts = with_months(2025y / 9, 5);
  CHECK(plan(facts, {this_month, 0, 2, true}) == std::vector<partition_action>{detach_partition{"t_p202509", 2025y / 9}, detach_partition{"t_p202510", 2025y / 10}});
  CHECK(plan(facts, {this_month, 0, 0, true}).size() == 4);
  CHECK(plan(facts, {this_month, 0, std::nullopt, true}).empty());
  facts.loose = {{"t_p202507", 2025y / 7, true}, {"t_p202512", 2025y / 12, true}, {"t_p202508", 2025y / 8, false}};
  const auto actions = plan(facts, {this_month, 0, 2, true});
  CHECK(actions.back() == partition_action{drop_table{"t_p202507"}});
  CHECK(std::ranges::count_if(actions, [](const auto& one) { return std::holds_alternative<drop_table>(one); }) == 1);
  for (const auto& action : plan(facts, {this_month, 0, 2, false})) CHECK_FALSE(std::holds_alternative<drop_table>(action));
}

TEST_CASE("partition_plan.finishes first what was begun, and waits with what it stands in the way of") {
  auto facts = with_months(2025y / 10, 4);
  facts.attached[0].pending = true;
  CHECK(plan(facts, {this_month, 0, 2, true}) == std::vector<partition_action>{finish_detaching{"t_p202510"}});
  facts.attached[3].pending = true;  // the current month: by hand
  const auto actions = plan(facts, {this_month, 0, 2, true});
  CHECK(actions == std::vector<partition_action>{finish_detaching{"t_p202510"}, finish_detaching{"t_p202601"}});
}

TEST_CASE("partition_plan.makes room for rows of the default partition, unless they are too old to keep") {
  auto facts = with_months(this_month, 1);
  facts.default_one = "t_default";
  facts.in_default = {2020y / 5, 2025y / 12, 2030y / 1};
  CHECK(plan(facts, keep_all(0)) ==
        std::vector<partition_action>{make_partition{2030y / 1}, make_partition{2020y / 5}, make_partition{2025y / 12}});
  CHECK(plan(facts, {this_month, 0, 1, true}) == std::vector<partition_action>{make_partition{2030y / 1}, make_partition{2025y / 12}});
}

TEST_CASE("partition_plan.a partition of other bounds is left alone, and refused where a month is needed") {
  partition_facts facts = with_months(this_month, 1);
  facts.attached.push_back({"history", {lowest, us(sys_days{2025y / 1 / 1})}, false});
  CHECK(plan(facts, {this_month, 0, 0, true}).empty());
  facts.attached.push_back({"half", {us(sys_days{2026y / 2 / 15}), us(sys_days{2026y / 3 / 1})}, false});
  CHECK(plan(facts, keep_all(0)).empty());
  const auto refused = plan_partitions(facts, keep_all(1));
  CHECK(refused.error() == db_errc::partition_conflict);
  CHECK(refused.error().message() ==
        "2026-02 needs a partition, and \"half\" has a part of it; only partitions of exactly one month, in UTC, are taken");
  facts.attached.back() = {"future", {us(sys_days{2026y / 2 / 1}), most}, false};
  CHECK(plan_partitions(facts, keep_all(1)).error() == db_errc::partition_conflict);
  // Of an older month it is told when there is nothing else to do.
  facts.attached.back() = {"half", {us(sys_days{2025y / 12 / 15}), us(sys_days{2026y / 1 / 1})}, false};
  facts.in_default = {2025y / 12};
  CHECK(plan(facts, keep_all(1)) == std::vector<partition_action>{make_partition{2026y / 2}});
  CHECK(plan_partitions(facts, keep_all(0)).error() == db_errc::partition_conflict);
}

TEST_CASE("partition_plan.coverage ends at the first gap, whoever made the partitions") {
  auto facts = with_months(this_month, 3);
  CHECK(covered_until(facts, this_month) == bounds_of(2026y / 4).from);
  CHECK(covered_until(facts, 2025y / 12) == bounds_of(2025y / 12).from);
  facts.attached.push_back({"quarter", {bounds_of(2026y / 4).from, bounds_of(2026y / 7).from}, false});
  facts.attached.push_back({"later", bounds_of(2026y / 9), false});
  CHECK(covered_until(facts, this_month) == bounds_of(2026y / 7).from);
  facts.attached[1].pending = true;
  CHECK(covered_until(facts, this_month) == bounds_of(2026y / 2).from);
  facts.attached.push_back({"rest", {0, most}, false});
  CHECK(covered_until(facts, this_month) == most);
}

TEST_CASE("partition_plan.carried out step by step ends in what was wished, from any beginning, and then rests") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random{seed};
  for (int round = 0; round < 500; ++round) {
    partition_facts facts;
    for (int i = -12; i < 8; ++i) {
      const auto month = this_month + months{i};
      switch (random() % 5) {
        case 0: facts.attached.push_back({partition_name("t", month), bounds_of(month), false}); break;
        case 1: facts.attached.push_back({partition_name("t", month), bounds_of(month), i < 0}); break;
        case 2: facts.loose.push_back({partition_name("t", month), month, i < 0}); break;
        default: break;
      }
    }
    if (random() % 2 == 0) facts.default_one = "t_default";
    if (facts.default_one) facts.in_default = {this_month - months{static_cast<int>(random() % 9)}, this_month + months{static_cast<int>(random() % 9)}};
    // A default partition has no rows that another one takes.
    std::erase_if(facts.in_default, [&](const auto month) {
      return std::ranges::any_of(facts.attached, [&](const auto& one) { return month_of(one.bounds) == month; });
    });
    const partition_wish wish{this_month, static_cast<unsigned>(random() % 6), static_cast<unsigned>(random() % 5), random() % 2 == 0};
    const auto oldest = this_month - months{static_cast<int>(*wish.keep_months)};
    std::set<year_month> rows{facts.in_default.begin(), facts.in_default.end()};
    int steps{0};
    for (auto actions = plan(facts, wish); !actions.empty(); actions = plan(facts, wish)) {
      REQUIRE(++steps < 100);
      const auto erase_attached = [&](const std::string& name) {
        const auto at = std::ranges::find(facts.attached, name, &partition_facts::attached_one::name);
        REQUIRE(at != facts.attached.end());
        const auto month = month_of(at->bounds).value();
        facts.attached.erase(at);
        facts.loose.push_back({name, month, true});
      };
      const auto& action = actions.front();
      if (const auto* finish = std::get_if<finish_detaching>(&action)) erase_attached(finish->name);
      if (const auto* detach = std::get_if<detach_partition>(&action)) {
        CHECK(detach->month < oldest);
        erase_attached(detach->name);
      }
      if (const auto* make = std::get_if<make_partition>(&action)) {
        std::erase_if(facts.loose, [&](const auto& one) { return one.month == make->month; });
        std::erase(facts.in_default, make->month);
        facts.attached.push_back({partition_name("t", make->month), bounds_of(make->month), false});
      }
      if (const auto* drop = std::get_if<drop_table>(&action)) {
        CHECK(wish.drop);
        std::erase_if(facts.loose, [&](const auto& one) { return one.name == drop->name; });
      }
    }
    CHECK(covered_until(facts, this_month) >= bounds_of(this_month + months{static_cast<int>(wish.months_ahead)}).to);
    for (const auto& one : facts.attached) CHECK((!one.pending && month_of(one.bounds).value() >= oldest));
    for (const auto month : facts.in_default) CHECK(month < oldest);
  }
}
