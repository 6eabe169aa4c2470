// SPDX-License-Identifier: Apache-2.0
/// @file
/// The numbers a program counts itself: handles that are cheap to write to, and the families they come from.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/core/striped_counter.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway {

namespace detail {

template <class Cell>
class series_store;

/// Counts per bucket, and their sum, kept in stripes: one row of cells a stripe, each row on cache lines of its own.
class SPILLWAY_EXPORT histogram_cells {
 public:
  explicit histogram_cells(std::span<const std::chrono::nanoseconds> bounds);

  void record(std::chrono::nanoseconds duration) noexcept {
    const std::int64_t value = std::max<std::int64_t>(duration.count(), 0);
    std::size_t bucket = first_bucket_[static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(value)))];
    while (bucket < bounds_ns_.size() && bounds_ns_[bucket] < value) ++bucket;
    line* row = rows_.get() + this_thread_stripe() * lines_per_row_;
    add(row, bucket + 1, 1);
    add(row, 0, std::min(value, longest_summed.count()));
  }

  /// How many recordings fell into each bucket, the last one unbounded.
  [[nodiscard]] std::vector<std::uint64_t> counts() const;
  [[nodiscard]] std::chrono::duration<double> sum() const noexcept;
  [[nodiscard]] const std::vector<std::int64_t>& bounds_ns() const noexcept { return bounds_ns_; }

 private:
  static constexpr std::chrono::nanoseconds longest_summed{std::chrono::hours{24 * 30}};
  static constexpr std::size_t cells_per_line{cache_line_bytes / sizeof(std::atomic<std::int64_t>)};
  struct alignas(cache_line_bytes) line {
    std::atomic<std::int64_t> cells[cells_per_line];
  };

  static void add(line* row, std::size_t cell, std::int64_t amount) noexcept {
    row[cell / cells_per_line].cells[cell % cells_per_line].fetch_add(amount, std::memory_order_relaxed);
  }
  /// The sum over all stripes.
  template <class Number>
  [[nodiscard]] Number total(std::size_t cell) const noexcept;

  std::vector<std::int64_t> bounds_ns_;
  std::array<std::uint8_t, 65> first_bucket_{};  // by bit width: the first bucket a value of that width can fall into
  std::size_t lines_per_row_;
  std::unique_ptr<line[]> rows_;  // cell 0 of a row is the sum, then one per bucket
};

}  // namespace detail

/// A sum that only grows.
///
/// Threads:  every member may be called from any thread, also on one handle.
/// Lifetime: shares its number with the registry and may outlive it. Copies count into the same number.
/// Cost:     `add` is one relaxed atomic addition, on a cell few threads share. Look the handle up once and keep it.
class counter {
 public:
  void add(std::uint64_t amount = 1) noexcept { cell_->add(static_cast<std::int64_t>(amount)); }
  [[nodiscard]] std::uint64_t value() const noexcept { return static_cast<std::uint64_t>(cell_->value()); }

 private:
  friend class counter_family;
  explicit counter(std::shared_ptr<striped_counter> cell) noexcept : cell_{std::move(cell)} {}
  std::shared_ptr<striped_counter> cell_;
};

/// A level that goes up and down. Threads and Lifetime as for `counter`.
class gauge {
 public:
  void set(double value) noexcept { cell_->store(value, std::memory_order_relaxed); }
  void add(double amount) noexcept { cell_->fetch_add(amount, std::memory_order_relaxed); }
  [[nodiscard]] double value() const noexcept { return cell_->load(std::memory_order_relaxed); }

 private:
  friend class gauge_family;
  explicit gauge(std::shared_ptr<std::atomic<double>> cell) noexcept : cell_{std::move(cell)} {}
  std::shared_ptr<std::atomic<double>> cell_;
};

/// Durations, counted in buckets with fixed bounds. Threads and Lifetime as for `counter`.
///
/// Cost: `record` is two relaxed atomic additions.
class histogram {
 public:
  /// A negative duration counts as zero, and one above 30 days as 30 days in the sum; one equal to a bound falls below it.
  void record(std::chrono::nanoseconds duration) noexcept { cell_->record(duration); }

 private:
  friend class histogram_family;
  explicit histogram(std::shared_ptr<detail::histogram_cells> cell) noexcept : cell_{std::move(cell)} {}
  std::shared_ptr<detail::histogram_cells> cell_;
};

/// All counters of one name, told apart by the values of its labels. Made by `metrics_registry::add_counter_family`.
///
/// Threads:  every member may be called from any thread.
/// Lifetime: shares its state with the registry and may outlive it.
/// Errors:   `with` throws std::invalid_argument if the number of values is not that of the label names.
/// Cost:     `with` is a shared lock and a hash look-up: call it when a handle can be kept, not for every event.
class SPILLWAY_EXPORT counter_family {
 public:
  /// The counter of these label values, in the order of the label names; it is exported from now on, beginning at zero. Values are made
  /// valid UTF-8 and cut at 256 bytes. Once the family holds as many series as the registry allows, every new set of values gets
  /// one common series whose label values are all `other`.
  [[nodiscard]] counter with(std::initializer_list<std::string_view> values) const { return with(std::span{values.begin(), values.size()}); }
  [[nodiscard]] counter with(std::span<const std::string_view> values) const;

 private:
  friend class metrics_registry;
  explicit counter_family(std::shared_ptr<detail::series_store<striped_counter>> store) noexcept;
  std::shared_ptr<detail::series_store<striped_counter>> store_;
};

/// As `counter_family`, for gauges.
class SPILLWAY_EXPORT gauge_family {
 public:
  [[nodiscard]] gauge with(std::initializer_list<std::string_view> values) const { return with(std::span{values.begin(), values.size()}); }
  [[nodiscard]] gauge with(std::span<const std::string_view> values) const;

 private:
  friend class metrics_registry;
  explicit gauge_family(std::shared_ptr<detail::series_store<std::atomic<double>>> store) noexcept;
  std::shared_ptr<detail::series_store<std::atomic<double>>> store_;
};

/// As `counter_family`, for histograms.
class SPILLWAY_EXPORT histogram_family {
 public:
  [[nodiscard]] histogram with(std::initializer_list<std::string_view> values) const { return with(std::span{values.begin(), values.size()}); }
  [[nodiscard]] histogram with(std::span<const std::string_view> values) const;

 private:
  friend class metrics_registry;
  explicit histogram_family(std::shared_ptr<detail::series_store<detail::histogram_cells>> store) noexcept;
  std::shared_ptr<detail::series_store<detail::histogram_cells>> store_;
};

}  // namespace spillway
