// SPDX-License-Identifier: Apache-2.0
#include <spillway/metrics/instruments.hpp>

#include "metrics/series_store.hpp"

#include <algorithm>

namespace spillway {

namespace detail {

histogram_cells::histogram_cells(std::span<const std::chrono::nanoseconds> bounds)
    : lines_per_row_{(bounds.size() + 2 + cells_per_line - 1) / cells_per_line},
      rows_{std::make_unique<line[]>(stripe_count * lines_per_row_)} {
  for (const auto bound : bounds) bounds_ns_.push_back(bound.count());
  for (std::size_t width = 1; width < first_bucket_.size(); ++width) {
    const auto least = std::uint64_t{1} << (width - 1);  // of that width
    const auto below = std::count_if(bounds_ns_.begin(), bounds_ns_.end(),
                                     [least](std::int64_t bound) { return static_cast<std::uint64_t>(bound) < least; });
    first_bucket_[width] = static_cast<std::uint8_t>(below);
  }
}

template <class Number>
Number histogram_cells::total(std::size_t cell) const noexcept {
  Number sum{0};
  for (std::size_t stripe = 0; stripe < stripe_count; ++stripe) {
    const line* row = rows_.get() + stripe * lines_per_row_;
    sum += static_cast<Number>(
        static_cast<std::uint64_t>(row[cell / cells_per_line].cells[cell % cells_per_line].load(std::memory_order_relaxed)));
  }
  return sum;
}

std::vector<std::uint64_t> histogram_cells::counts() const {
  std::vector<std::uint64_t> counts;
  for (std::size_t bucket = 0; bucket <= bounds_ns_.size(); ++bucket) counts.push_back(total<std::uint64_t>(bucket + 1));
  return counts;
}

// Each stripe has room for 584 years. One that is full begins again, which reads as a restart, and the sum is never negative.
std::chrono::duration<double> histogram_cells::sum() const noexcept {
  return std::chrono::duration<double, std::nano>{total<double>(0)};
}

void read_cell(const histogram_cells& cell, prometheus::ClientMetric& to) {
  constexpr double ns_per_second{1e9};
  const auto counts = cell.counts();
  const auto& bounds = cell.bounds_ns();
  std::uint64_t seen{0};
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    seen += counts[i];
    to.histogram.bucket.push_back({seen, static_cast<double>(bounds[i]) / ns_per_second});
  }
  to.histogram.sample_count = seen + counts.back();  // from the buckets, so that the two always agree
  to.histogram.sample_sum = cell.sum().count();
}

}  // namespace detail

counter_family::counter_family(std::shared_ptr<detail::series_store<striped_counter>> store) noexcept : store_{std::move(store)} {}
counter counter_family::with(std::span<const std::string_view> values) const { return counter{store_->with(values)}; }

gauge_family::gauge_family(std::shared_ptr<detail::series_store<std::atomic<double>>> store) noexcept : store_{std::move(store)} {}
gauge gauge_family::with(std::span<const std::string_view> values) const { return gauge{store_->with(values)}; }

histogram_family::histogram_family(std::shared_ptr<detail::series_store<detail::histogram_cells>> store) noexcept
    : store_{std::move(store)} {}
histogram histogram_family::with(std::span<const std::string_view> values) const { return histogram{store_->with(values)}; }

}  // namespace spillway
