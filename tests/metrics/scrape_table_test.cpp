// SPDX-License-Identifier: Apache-2.0
#include "metrics/scrape_table.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

using namespace spillway::detail;
using prometheus::MetricType;

namespace {

using labels = std::vector<prometheus::ClientMetric::Label>;

prometheus::ClientMetric value(double number, labels with = {}) {
  prometheus::ClientMetric metric;
  metric.label = std::move(with);
  metric.counter.value = metric.gauge.value = number;
  return metric;
}

prometheus::ClientMetric buckets(std::vector<prometheus::ClientMetric::Bucket> of, labels with = {}) {
  prometheus::ClientMetric metric;
  metric.label = std::move(with);
  metric.histogram = {of.empty() ? 0 : of.back().cumulative_count, 1, std::move(of)};
  return metric;
}

constexpr std::size_t cap{3};
constexpr std::size_t most_families{5};

struct scrape {
  explicit scrape(admission_book& to) : book{to} {}
  admission_book& book;
  scrape_table table{book, cap, most_families};

  void counter(std::string_view name, double number, labels with = {}) {
    table.add(name, "Help.", MetricType::Counter, value(number, std::move(with)), true);
  }
  std::vector<prometheus::MetricFamily> finish() {
    table.settle();
    return table.take();
  }
  void gauge(std::string_view name, double number, labels with = {}) {
    table.add(name, "Help.", MetricType::Gauge, value(number, std::move(with)), true);
  }
};

std::optional<double> number_of(const std::vector<prometheus::MetricFamily>& families, std::string_view name, const labels& with = {}) {
  for (const auto& family : families) {
    if (family.name != name) continue;
    for (const auto& metric : family.metric) {
      if (metric.label == with) return metric.counter.value;
    }
  }
  return std::nullopt;
}

std::uint64_t rejected(const admission_book& book, const std::string& metric, rejection why) {
  const auto found = book.rejected.find({metric, why});
  return found == book.rejected.end() ? 0 : found->second;
}

}  // namespace

TEST_CASE("scrape_table.merges_one_family_from_several_sources") {
  admission_book book;
  scrape one{book};
  one.counter("b_total", 1, {{"pool", "x"}});
  one.counter("a_total", 2);
  one.counter("b_total", 3, {{"pool", "y"}});
  const auto families = one.finish();
  REQUIRE(families.size() == 2);
  CHECK(families[0].name == "a_total");  // sorted
  CHECK(families[1].metric.size() == 2);
  CHECK(number_of(families, "b_total", {{"pool", "y"}}) == 3);
}

TEST_CASE("scrape_table.keeps_a_conflicting_type_out") {
  admission_book book;
  scrape one{book};
  one.counter("a_total", 1);
  one.gauge("a_total", 2, {{"x", "1"}});
  const auto families = one.finish();
  REQUIRE(families.size() == 1);
  CHECK(families[0].type == MetricType::Counter);
  CHECK(families[0].metric.size() == 1);
  CHECK(rejected(book, "a_total", rejection::conflicting_type) == 1);
}

TEST_CASE("scrape_table.keeps_a_family_out_whose_samples_have_another_family's_name") {
  admission_book book;
  scrape one{book};
  one.table.add("t_seconds", "Help.", MetricType::Histogram, buckets({{1, 0.1}}), true);
  one.gauge("t_seconds_count", 1);
  one.gauge("t_seconds_bucket", 1);
  one.gauge("u_sum", 1);
  one.table.add("u", "Help.", MetricType::Summary, value(1), true);
  const auto families = one.finish();
  REQUIRE(families.size() == 2);
  CHECK(families[0].name == "t_seconds");
  CHECK(families[1].name == "u_sum");
  CHECK(rejected(book, "t_seconds_count", rejection::conflicting_type) == 1);
  CHECK(rejected(book, "t_seconds_bucket", rejection::conflicting_type) == 1);
  CHECK(rejected(book, "u", rejection::conflicting_type) == 1);
}

TEST_CASE("scrape_table.keeps_the_second_of_two_equal_series_out_however_it_is_written") {
  admission_book book;
  scrape one{book};
  one.counter("a_total", 1, {{"x", "1"}, {"y", "2"}});
  one.counter("a_total", 5, {{"y", "2"}, {"x", "1"}});                // other order
  one.counter("a_total", 6, {{"x", "1"}, {"y", "2"}, {"z", ""}});     // an empty label is no label
  one.counter("b_total", 1);
  one.counter("b_total", 2);
  const auto families = one.finish();
  CHECK(number_of(families, "a_total", {{"x", "1"}, {"y", "2"}}) == 1);
  CHECK(families[0].metric.size() == 1);
  CHECK(number_of(families, "b_total") == 1);
  CHECK(rejected(book, "a_total", rejection::duplicate) == 2);
  CHECK(rejected(book, "b_total", rejection::duplicate) == 1);
}

TEST_CASE("scrape_table.different_values_never_make_the_same_series") {
  admission_book book;
  scrape one{book};
  one.counter("a_total", 1, {{"x", "1y=1:2"}});
  one.counter("a_total", 2, {{"x", "1"}, {"y", "2"}});
  CHECK(one.finish()[0].metric.size() == 2);
}

TEST_CASE("scrape_table.keeps_what_is_not_valid_out") {
  admission_book book;
  scrape_table table{book, cap, 100};
  const auto counter = [&table](std::string_view name, labels with) {
    table.add(name, "Help.", MetricType::Counter, value(1, std::move(with)), true);
  };
  counter("bad name", {});
  counter("a_total", {{"bad-label", "1"}});
  counter("b_total", {{"__x", "1"}});
  counter("c_total", {{"x", "1"}, {"x", "2"}});
  table.add("d_seconds", "Help.", MetricType::Histogram, buckets({{1, 0.1}}, {{"le", "1"}}), true);
  table.add("e_seconds", "Help.", MetricType::Histogram, buckets({{1, 0.2}, {2, 0.1}}), true);
  table.settle();
  CHECK(table.take().empty());
  for (const std::string name : {"bad name", "a_total", "b_total", "c_total", "d_seconds", "e_seconds"}) {
    CHECK_MESSAGE(rejected(book, name, rejection::invalid) == 1, name);
  }
}

TEST_CASE("scrape_table.sums_up_what_is_above_the_cap_in_other") {
  admission_book book;
  scrape one{book};
  double beyond{0};
  for (int i = 0; i < 1'000; ++i) {
    one.counter("a_total", i, {{"x", std::to_string(i)}});
    if (i >= static_cast<int>(cap)) beyond += i;
  }
  const auto families = one.finish();
  CHECK(families[0].metric.size() == cap + 1);
  CHECK(number_of(families, "a_total", {{"x", "other"}}) == beyond);
  CHECK(book.families.at("a_total").dropped == 1'000 - cap);
}

TEST_CASE("scrape_table.sums_up_histograms_bucket_by_bucket") {
  admission_book book;
  scrape one{book};
  for (int i = 0; i < 6; ++i) {
    one.table.add("t_seconds", "Help.", MetricType::Histogram, buckets({{1, 0.1}, {4, 1}}, {{"x", std::to_string(i)}}), true);
  }
  one.table.add("t_seconds", "Help.", MetricType::Histogram, buckets({{1, 0.5}}, {{"x", "odd"}}), true);  // other buckets
  const auto families = one.finish();
  REQUIRE(families[0].metric.size() == cap + 1);
  const auto& other = families[0].metric.back().histogram;
  CHECK(other.bucket[0].cumulative_count == 3);
  CHECK(other.bucket[1].cumulative_count == 12);
  CHECK(other.sample_count == 12);
  CHECK(other.sample_sum == 3);
  CHECK(rejected(book, "t_seconds", rejection::conflicting_type) == 1);
}

TEST_CASE("scrape_table.a_full_family_keeps_its_series_and_takes_no_new_ones") {
  admission_book book;
  {
    scrape first{book};
    for (const auto* x : {"1", "2", "3", "4"}) first.counter("a_total", 1, {{"x", x}});
    (void)first.finish();
  }
  scrape second{book};
  for (const auto* x : {"4", "5", "3", "2"}) second.counter("a_total", 1, {{"x", x}});  // other order, and "1" is gone
  const auto families = second.finish();
  CHECK(number_of(families, "a_total", {{"x", "2"}}) == 1);
  CHECK(number_of(families, "a_total", {{"x", "3"}}) == 1);
  CHECK_FALSE(number_of(families, "a_total", {{"x", "4"}}));  // never moves out of `other`
  CHECK(number_of(families, "a_total", {{"x", "other"}}) == 2);
}

TEST_CASE("scrape_table.a_family_within_the_cap_forgets_series_that_are_gone") {
  admission_book book;
  for (int round = 0; round < 100; ++round) {  // three at a time, always new ones
    scrape one{book};
    for (int i = 0; i < 3; ++i) one.counter("a_total", 1, {{"x", std::to_string(round * 3 + i)}});
    const auto families = one.finish();
    REQUIRE(families[0].metric.size() == 3);
    REQUIRE_FALSE(number_of(families, "a_total", {{"x", "other"}}));
    REQUIRE(book.families.at("a_total").admitted.size() == 3);
  }
  scrape empty{book};
  (void)empty.finish();
  CHECK(book.families.empty());
}

TEST_CASE("scrape_table.a_source_may_name_a_series_other_itself") {
  for (const bool before : {true, false}) {
    admission_book book;
    scrape one{book};
    if (before) one.counter("a_total", 10, {{"x", "other"}});
    for (int i = 0; i < 5; ++i) one.counter("a_total", 1, {{"x", std::to_string(i)}});
    if (!before) one.counter("a_total", 10, {{"x", "other"}});
    const auto families = one.finish();
    CHECK(number_of(families, "a_total", {{"x", "other"}}) == (before ? 13 : 12));
    CHECK(std::count_if(families[0].metric.begin(), families[0].metric.end(),
                        [](const auto& metric) { return metric.label == labels{{"x", "other"}}; }) == 1);
  }
}

TEST_CASE("scrape_table.own_series_win_and_are_not_capped") {
  admission_book book;
  scrape one{book};
  std::vector<prometheus::ClientMetric> own;
  for (int i = 0; i < 10; ++i) own.push_back(value(i, {{"x", std::to_string(i)}}));
  one.table.add_own({"a_total", "Help.", MetricType::Counter, std::move(own)});
  one.counter("a_total", 99, {{"x", "4"}});
  one.counter("a_total", 7, {{"x", "new"}});
  const auto families = one.finish();
  CHECK(families[0].metric.size() == 11);
  CHECK(number_of(families, "a_total", {{"x", "4"}}) == 4);
  CHECK(number_of(families, "a_total", {{"x", "new"}}) == 7);
  CHECK(rejected(book, "a_total", rejection::duplicate) == 1);
}

TEST_CASE("scrape_table.the_number_of_families_is_bounded") {
  admission_book book;
  scrape one{book};
  for (int i = 0; i < 20; ++i) one.counter("f" + std::to_string(i) + "_total", 1);
  CHECK(one.finish().size() == most_families);
  CHECK(rejected(book, "f5_total", rejection::too_many_families) == 1);
  CHECK(book.rejected.size() == most_families + 1);  // names kept are bounded too; the rest is `other`
  CHECK(rejected(book, "other", rejection::too_many_families) == 20 - 2 * most_families);
}

TEST_CASE("scrape_table.tells_each_kind_of_rejection_once") {
  admission_book book;
  for (int round = 0; round < 3; ++round) {
    scrape one{book};
    one.counter("a_total", 1);
    one.counter("a_total", 1);
    (void)one.finish();
  }
  CHECK(book.news.size() == 1);
  CHECK(rejected(book, "a_total", rejection::duplicate) == 3);
}
