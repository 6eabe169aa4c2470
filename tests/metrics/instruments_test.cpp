// SPDX-License-Identifier: Apache-2.0
#include "metrics/has_line.hpp"

#include <spillway/metrics/instruments.hpp>
#include <spillway/metrics/metrics_registry.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace spillway;
using testing::has_line;
using namespace std::chrono_literals;

namespace {

std::size_t lines_with(const std::string& text, std::string_view start) {
  std::size_t count{0};
  for (std::size_t at = 0; (at = text.find(start, at)) != std::string::npos; ++at) count += at == 0 || text[at - 1] == '\n';
  return count;
}

}  // namespace

TEST_CASE("instruments.begin_at_zero") {
  metrics_registry registry;
  (void)registry.add_counter("orders_total", "Orders.");
  (void)registry.add_gauge("depth", "Depth.");
  (void)registry.add_counter_family("sent_total", "Sent.", {"kind"}).with({"mail"});
  constexpr std::array bounds{std::chrono::nanoseconds{1ms}};
  (void)registry.add_histogram("wait_seconds", "Wait.", bounds);
  const auto text = expose(registry);
  CHECK(has_line(text, "orders_total 0"));
  CHECK(has_line(text, "depth 0"));
  CHECK(has_line(text, "sent_total{kind=\"mail\"} 0"));
  CHECK(has_line(text, "wait_seconds_bucket{le=\"0.001\"} 0"));
  CHECK(has_line(text, "wait_seconds_count 0"));
}

TEST_CASE("counter.adds_up_over_threads") {
  metrics_registry registry;
  const auto family = registry.add_counter_family("hits_total", "Hits.", {"kind"});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&family] {
      for (int i = 0; i < 5'000; ++i) family.with({i % 2 == 0 ? "a" : "b"}).add(2);
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(family.with({"a"}).value() == 20'000);
  CHECK(family.with({"b"}).value() == 20'000);
}

TEST_CASE("gauge.is_set_and_moved") {
  metrics_registry registry;
  auto depth = registry.add_gauge("depth", "Depth.");
  depth.set(2.5);
  depth.add(-4);
  CHECK(depth.value() == -1.5);
  CHECK(has_line(expose(registry), "depth -1.5"));
}

TEST_CASE("histogram.counts_a_duration_below_the_bound_it_equals") {
  metrics_registry registry;
  constexpr std::array bounds{std::chrono::nanoseconds{1ms}, std::chrono::nanoseconds{10ms}};
  auto wait = registry.add_histogram("wait_seconds", "Wait.", bounds);
  wait.record(-5ms);  // as zero
  wait.record(1ms);
  wait.record(1ms + 1ns);
  wait.record(10ms);
  wait.record(11ms);
  const auto text = expose(registry);
  CHECK(has_line(text, "wait_seconds_bucket{le=\"0.001\"} 2"));
  CHECK(has_line(text, "wait_seconds_bucket{le=\"0.01\"} 4"));
  CHECK(has_line(text, "wait_seconds_bucket{le=\"+Inf\"} 5"));
  CHECK(has_line(text, "wait_seconds_sum 0.023000001"));
}

TEST_CASE("histogram.no_duration_makes_the_sum_negative") {
  metrics_registry registry;
  auto wait = registry.add_histogram("wait_seconds", "Wait.");
  for (int i = 0; i < 3; ++i) wait.record(std::chrono::nanoseconds::max());
  const auto text = expose(registry);
  CHECK(has_line(text, "wait_seconds_sum 7776000"));  // three times 30 days
  CHECK(has_line(text, "wait_seconds_bucket{le=\"10\"} 0"));
  for (int i = 0; i < 5'000; ++i) wait.record(std::chrono::nanoseconds::max());  // beyond 2^63 ns
  CHECK(has_line(expose(registry), "wait_seconds_sum 12967776000"));
}

TEST_CASE("histogram.finds_the_bucket_of_any_duration") {
  const auto seed = std::random_device{}();
  INFO("seed ", seed);
  std::mt19937_64 generator{seed};
  for (int round = 0; round < 300; ++round) {
    std::set<std::chrono::nanoseconds> drawn;
    while (drawn.size() < 1 + generator() % 64) drawn.emplace(1 + static_cast<std::int64_t>(generator() >> (1 + generator() % 60)));
    const std::vector<std::chrono::nanoseconds> bounds(drawn.begin(), drawn.end());
    detail::histogram_cells cells{bounds};
    std::vector<std::uint64_t> expected(bounds.size() + 1);
    const auto record = [&](std::chrono::nanoseconds duration) {
      cells.record(duration);
      ++expected[static_cast<std::size_t>(std::lower_bound(bounds.begin(), bounds.end(), duration) - bounds.begin())];
    };
    for (const auto bound : bounds) {
      record(bound - 1ns);
      record(bound);
      if (bound < std::chrono::nanoseconds::max()) record(bound + 1ns);
    }
    for (int i = 0; i < 100; ++i) record(std::chrono::nanoseconds{static_cast<std::int64_t>(generator() >> (1 + generator() % 60))});
    REQUIRE(cells.counts() == expected);
  }
}

TEST_CASE("histogram.adds_up_over_threads") {
  detail::histogram_cells cells{default_duration_bounds};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&cells] {
      for (int i = 0; i < 10'000; ++i) cells.record(std::chrono::milliseconds{i % 20});
    });
  }
  for (auto& thread : threads) thread.join();
  std::uint64_t total{0};
  for (const auto count : cells.counts()) total += count;
  CHECK(total == 40'000);
  CHECK(cells.counts()[0] == 4 * 500 * 6);  // 0 to 5 ms
  CHECK(cells.sum() == 4 * 500 * 190ms);
}

TEST_CASE("counter_family.beyond_the_cap_everything_goes_to_other_exactly") {
  metrics_registry registry{{.series_per_family = 100}};
  const auto family = registry.add_counter_family("seen_total", "Seen.", {"user", "shard"});
  for (int i = 0; i < 10'000; ++i) family.with({std::to_string(i), "1"}).add(3);
  const auto text = expose(registry);
  CHECK(lines_with(text, "seen_total{") == 101);
  CHECK(has_line(text, "seen_total{user=\"99\",shard=\"1\"} 3"));
  CHECK(has_line(text, "seen_total{user=\"other\",shard=\"other\"} 29700"));
  CHECK(has_line(text, "spillway_metrics_dropped_label_sets_total{metric=\"seen_total\"} 9900"));
  CHECK(family.with({"7", "1"}).value() == 3);          // known ones keep theirs
  CHECK(family.with({"other", "other"}).value() == 29'700);
}

TEST_CASE("counter_family.a_million_values_stay_within_the_cap") {
  metrics_registry registry;
  const auto family = registry.add_counter_family("seen_total", "Seen.", {"user"});
  for (int i = 0; i < 1'000'000; ++i) family.with({std::to_string(i)}).add();
  const auto text = expose(registry);
  CHECK(lines_with(text, "seen_total{") == 1'001);
  CHECK(has_line(text, "seen_total{user=\"other\"} 999000"));
  CHECK(has_line(text, "spillway_metrics_dropped_label_sets_total{metric=\"seen_total\"} 999000"));
}

TEST_CASE("counter_family.label_values_are_made_clean") {
  metrics_registry registry;
  const auto family = registry.add_counter_family("seen_total", "Seen.", {"user"});
  family.with({"a\xFF"}).add(1);
  family.with({"a\xEF\xBF\xBD"}).add(1);  // the same, once clean
  family.with({std::string(1'000, 'x')}).add(1);
  const auto text = expose(registry);
  CHECK(has_line(text, "seen_total{user=\"a\xEF\xBF\xBD\"} 2"));
  CHECK(has_line(text, "seen_total{user=\"" + std::string(256, 'x') + "\"} 1"));
}

TEST_CASE("counter_family.the_wrong_number_of_values_throws") {
  metrics_registry registry;
  const auto family = registry.add_counter_family("seen_total", "Seen.", {"user", "shard"});
  CHECK_THROWS_WITH_AS((void)family.with({"a"}), "metric 'seen_total': with() got 1 label values; it takes 2", std::invalid_argument);
}

TEST_CASE("counter_family.values_are_not_mixed_up_across_labels") {
  metrics_registry registry;
  const auto family = registry.add_counter_family("seen_total", "Seen.", {"a", "b"});
  family.with({"ab", "c"}).add(1);
  family.with({"a", "bc"}).add(2);
  family.with({"", "abc"}).add(4);
  CHECK(family.with({"ab", "c"}).value() == 1);
  CHECK(family.with({"a", "bc"}).value() == 2);
  CHECK(family.with({"", "abc"}).value() == 4);
}

TEST_CASE("instruments.handles_outlive_the_registry") {
  auto registry = std::make_unique<metrics_registry>();
  auto orders = registry->add_counter("orders_total", "Orders.");
  const auto family = registry->add_gauge_family("depth", "Depth.", {"queue"});
  registry.reset();
  orders.add(2);
  CHECK(orders.value() == 2);
  family.with({"new"}).set(1);
}
