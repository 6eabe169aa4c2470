// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/latency_histogram.hpp>

#include <spillway/core/striped_counter.hpp>

#include <algorithm>
#include <cmath>

namespace spillway {

struct alignas(detail::cache_line_bytes) latency_histogram::stripe {
  std::array<std::atomic<std::uint64_t>, bucket_count> counts{};
  std::atomic<std::int64_t> sum_ns{0};
};

latency_histogram::latency_histogram() : stripes_{std::make_unique<stripe[]>(detail::stripe_count)} {}
latency_histogram::~latency_histogram() = default;

void latency_histogram::record(std::chrono::nanoseconds duration) noexcept {
  auto& mine = stripes_[detail::this_thread_stripe()];
  mine.counts[bucket_of(duration)].fetch_add(1, std::memory_order_relaxed);
  mine.sum_ns.fetch_add(std::max<std::int64_t>(duration.count(), 0), std::memory_order_relaxed);
}

latency_snapshot latency_histogram::snapshot() const {
  latency_snapshot taken;
  taken.counts.resize(bucket_count);
  for (std::size_t s = 0; s < detail::stripe_count; ++s) {
    for (std::size_t b = 0; b < bucket_count; ++b) {
      taken.counts[b] += stripes_[s].counts[b].load(std::memory_order_relaxed);
    }
    taken.sum += std::chrono::nanoseconds{stripes_[s].sum_ns.load(std::memory_order_relaxed)};
  }
  for (const auto count : taken.counts) taken.count += count;
  return taken;
}

std::chrono::nanoseconds latency_snapshot::quantile(double q_ratio) const noexcept {
  if (count == 0) return std::chrono::nanoseconds{0};
  const auto rank = std::clamp<std::uint64_t>(
      static_cast<std::uint64_t>(std::ceil(std::clamp(q_ratio, 0.0, 1.0) * static_cast<double>(count))), 1, count);
  std::uint64_t seen{0};
  for (std::size_t b = 0; b < counts.size(); ++b) {
    seen += counts[b];
    if (seen >= rank) return latency_histogram::upper_bound(b);
  }
  return std::chrono::nanoseconds::max();
}

std::uint64_t latency_snapshot::count_at_most(std::chrono::nanoseconds bound) const noexcept {
  std::uint64_t seen{0};
  for (std::size_t b = 0; b < counts.size() && latency_histogram::upper_bound(b) <= bound; ++b) seen += counts[b];
  return seen;
}

}  // namespace spillway
