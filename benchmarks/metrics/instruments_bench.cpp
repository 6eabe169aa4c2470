// SPDX-License-Identifier: Apache-2.0
// Our instruments beside those of prometheus-cpp, in one process, in alternating rounds. Ends with the median of the paired ratios of
// processor time per operation.
#include <spillway/metrics/metrics_registry.hpp>

#include <benchmark/benchmark.h>
#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr int rounds{11};
constexpr int scraped_series{900};

std::vector<double> bounds_in_seconds() {
  std::vector<double> bounds;
  for (const auto bound : spillway::default_duration_bounds) bounds.push_back(std::chrono::duration<double>{bound}.count());
  return bounds;
}

/// Durations spread over all buckets, the same for both sides.
std::vector<std::chrono::nanoseconds> durations() {
  std::vector<std::chrono::nanoseconds> made;
  for (int i = 0; i < 64; ++i) made.emplace_back(1ms + 37ms * ((i * 29) % 64));
  return made;
}

spillway::metrics_registry& ours() {
  static spillway::metrics_registry registry;
  return registry;
}
prometheus::Registry& theirs() {
  static prometheus::Registry registry;
  return registry;
}

void counter_ours(benchmark::State& state) {
  static spillway::counter counter = ours().add_counter("bench_total", "Bench.");
  for ([[maybe_unused]] auto _ : state) counter.add();
}
void counter_theirs(benchmark::State& state) {
  static prometheus::Counter& counter = prometheus::BuildCounter().Name("bench_total").Help("Bench.").Register(theirs()).Add({});
  for ([[maybe_unused]] auto _ : state) counter.Increment();
}

void histogram_ours(benchmark::State& state) {
  static spillway::histogram histogram = ours().add_histogram("bench_seconds", "Bench.");
  const auto values = durations();
  std::size_t i{0};
  for ([[maybe_unused]] auto _ : state) histogram.record(values[i++ % values.size()]);
}
void histogram_theirs(benchmark::State& state) {
  static prometheus::Histogram& histogram =
      prometheus::BuildHistogram().Name("bench_seconds").Help("Bench.").Register(theirs()).Add({}, bounds_in_seconds());
  std::vector<double> values;
  for (const auto duration : durations()) values.push_back(std::chrono::duration<double>{duration}.count());
  std::size_t i{0};
  for ([[maybe_unused]] auto _ : state) histogram.Observe(values[i++ % values.size()]);
}

void lookup_ours(benchmark::State& state) {
  static const auto family = ours().add_counter_family("lookup_total", "Bench.", {"method", "route", "status"});
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(family.with({"GET", "/v1/analyses/{id}/files", "200"}));
}
void lookup_theirs(benchmark::State& state) {
  static auto& family = prometheus::BuildCounter().Name("lookup_total").Help("Bench.").Register(theirs());
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(&family.Add({{"method", "GET"}, {"route", "/v1/analyses/{id}/files"}, {"status", "200"}}));
  }
}

void scrape_ours(benchmark::State& state) {
  spillway::metrics_registry registry;
  const auto family = registry.add_counter_family("scrape_total", "Bench.", {"method", "route"});
  for (int i = 0; i < scraped_series; ++i) family.with({"GET", "/v1/things/" + std::to_string(i)}).add(static_cast<std::uint64_t>(i));
  std::string text;
  for ([[maybe_unused]] auto _ : state) {
    text.clear();
    append_exposition(registry, text);
    benchmark::DoNotOptimize(text.data());
  }
}
void scrape_theirs(benchmark::State& state) {
  prometheus::Registry registry;
  auto& family = prometheus::BuildCounter().Name("scrape_total").Help("Bench.").Register(registry);
  for (int i = 0; i < scraped_series; ++i) family.Add({{"method", "GET"}, {"route", "/v1/things/" + std::to_string(i)}}).Increment(i);
  const prometheus::TextSerializer serializer;
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(serializer.Serialize(registry.Collect()));
}

/// Prints as usual, and keeps the processor time of every run.
class keeping_reporter final : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const auto& run : runs) times_[run.benchmark_name()].push_back(run.GetAdjustedCPUTime());
    benchmark::ConsoleReporter::ReportRuns(runs);
  }

  /// Prints the goal, or nothing if a filter left one side out.
  void judge(const char* id, const std::string& what, const std::string& threads, double most) {
    const auto& mine = times_[what + "_ours" + threads];
    const auto& other = times_[what + "_theirs" + threads];
    std::vector<double> ratios;
    for (std::size_t i = 0; i < std::min(mine.size(), other.size()); ++i) ratios.push_back(mine[i] / other[i]);
    if (ratios.empty()) return;
    const auto middle = ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2);
    std::nth_element(ratios.begin(), middle, ratios.end());
    std::printf("goal %s %.2f <= %.2f %s\n", id, *middle, most, *middle <= most ? "met" : "missed");
  }

 private:
  std::map<std::string, std::vector<double>> times_;
};

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  using body = void (*)(benchmark::State&);
  using named_bodies = std::vector<std::pair<const char*, body>>;
  constexpr double seconds{0.05};
  const named_bodies on_threads{{"counter_ours", counter_ours},
                                {"counter_theirs", counter_theirs},
                                {"histogram_ours", histogram_ours},
                                {"histogram_theirs", histogram_theirs}};
  for (const int threads : {1, 2}) {
    for (const auto& [name, run] : on_threads) benchmark::RegisterBenchmark(name, run)->Threads(threads)->MinTime(seconds);
  }
  const named_bodies alone{
      {"lookup_ours", lookup_ours}, {"lookup_theirs", lookup_theirs}, {"scrape_ours", scrape_ours}, {"scrape_theirs", scrape_theirs}};
  for (const auto& [name, run] : alone) benchmark::RegisterBenchmark(name, run)->MinTime(seconds);
  keeping_reporter reporter;
  for (int round = 0; round < rounds; ++round) benchmark::RunSpecifiedBenchmarks(&reporter);

  const std::string one{"/min_time:0.050/threads:1"};
  const std::string two{"/min_time:0.050/threads:2"};
  std::puts("");
  reporter.judge("metrics-counter-1-thread", "counter", one, 0.6);
  reporter.judge("metrics-counter-2-threads", "counter", two, 0.4);
  reporter.judge("metrics-histogram-1-thread", "histogram", one, 0.5);
  reporter.judge("metrics-histogram-2-threads", "histogram", two, 0.3);
  reporter.judge("metrics-lookup-3-labels", "lookup", "/min_time:0.050", 0.15);
  reporter.judge("metrics-scrape-900-series", "scrape", "/min_time:0.050", 0.15);
}
