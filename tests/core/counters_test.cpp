// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/latency_histogram.hpp>
#include <spillway/core/striped_counter.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>

using namespace spillway;
using namespace std::chrono_literals;

TEST_CASE("striped_counter.adds_up_what_many_threads_added") {
  striped_counter counter;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 12; ++t) {
    threads.emplace_back([&counter] {
      for (int i = 0; i < 20'000; ++i) counter.add();
      counter.add(5);
    });
  }
  std::int64_t last{0};
  for (int i = 0; i < 1000; ++i) {  // never backwards for a reader beside the writers
    const auto now = counter.value();
    REQUIRE(now >= last);
    last = now;
  }
  threads.clear();
  CHECK(counter.value() == 12 * 20'005);
}

TEST_CASE("latency_histogram.every_duration_lies_within_its_bucket") {
  std::mt19937_64 generator{3};
  for (int i = 0; i < 200'000; ++i) {
    const std::chrono::nanoseconds duration{static_cast<std::int64_t>(generator() >> (generator() % 60U + 4U))};
    const auto bucket = latency_histogram::bucket_of(duration);
    REQUIRE(bucket < latency_histogram::bucket_count);
    REQUIRE(duration <= latency_histogram::upper_bound(bucket));
    if (bucket > 0) REQUIRE(duration > latency_histogram::upper_bound(bucket - 1));
  }
}

TEST_CASE("latency_histogram.buckets_are_at_most_an_eighth_wide") {
  for (std::size_t b = 9; b + 1 < latency_histogram::bucket_count; ++b) {
    const auto low = latency_histogram::upper_bound(b - 1).count() + 1;
    const auto high = latency_histogram::upper_bound(b).count();
    REQUIRE(static_cast<double>(high - low + 1) <= 0.125 * static_cast<double>(low) + 1e-9);
  }
}

TEST_CASE("latency_histogram.quantiles_are_within_an_eighth_of_the_exact_ones") {
  std::mt19937_64 generator{4};
  std::lognormal_distribution<double> draw{13.0, 1.5};  // around half a millisecond, with a long tail
  latency_histogram histogram;
  std::vector<std::int64_t> exact;
  for (int i = 0; i < 50'000; ++i) {
    exact.push_back(static_cast<std::int64_t>(draw(generator)));
    histogram.record(std::chrono::nanoseconds{exact.back()});
  }
  std::ranges::sort(exact);
  const auto taken = histogram.snapshot();
  CHECK(taken.count == exact.size());
  for (const double q : {0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    CAPTURE(q);
    const auto index = static_cast<std::size_t>(std::ceil(q * static_cast<double>(exact.size()))) - 1;
    const auto answer = taken.quantile(q).count();
    CHECK(answer >= exact[index]);
    CHECK(static_cast<double>(answer) <= 1.125 * static_cast<double>(exact[index]) + 1.0);
  }
}

TEST_CASE("latency_histogram.takes_every_duration_even_absurd_ones") {
  latency_histogram histogram;
  histogram.record(-5s);
  histogram.record(0ns);
  histogram.record(std::chrono::nanoseconds::max());
  const auto taken = histogram.snapshot();
  CHECK(taken.count == 3);
  CHECK(taken.counts.front() == 2);
  CHECK(taken.counts.back() == 1);
  CHECK(taken.count_at_most(1h) == 2);
}

TEST_CASE("latency_histogram.an_empty_one_answers_zero") { CHECK(latency_histogram{}.snapshot().quantile(0.99) == 0ns); }

TEST_CASE("latency_histogram.loses_nothing_between_threads") {
  latency_histogram histogram;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&histogram] {
        for (int i = 1; i <= 10'000; ++i) histogram.record(std::chrono::microseconds{i});
      });
    }
    for (int i = 0; i < 50; ++i) REQUIRE(histogram.snapshot().count <= 80'000);
  }
  const auto taken = histogram.snapshot();
  CHECK(taken.count == 80'000);
  CHECK(taken.sum == 8 * std::chrono::microseconds{10'000LL * 10'001 / 2});
}
