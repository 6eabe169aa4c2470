// SPDX-License-Identifier: Apache-2.0
/// @file
/// Durations, counted by size without a lock.
#pragma once

#include <spillway/core/export.hpp>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace spillway {

/// What a latency_histogram held at one moment.
struct SPILLWAY_EXPORT latency_snapshot {
  std::vector<std::uint64_t> counts;  ///< One per bucket, see `latency_histogram::upper_bound`.
  std::uint64_t count{0};             ///< Sum of `counts`.
  std::chrono::nanoseconds sum{0};

  /// The duration below which a share `q_ratio` in [0, 1] of the recordings lies, at most 12.5 % too high. Zero if nothing was recorded.
  [[nodiscard]] std::chrono::nanoseconds quantile(double q_ratio) const noexcept;

  /// How many recordings were not above `bound`, counted by whole buckets: exact for a bound that is a bucket's upper bound.
  [[nodiscard]] std::uint64_t count_at_most(std::chrono::nanoseconds bound) const noexcept;
};

/// Counts durations in buckets that grow with the duration: eight to each power of two, so a quantile is at most 12.5 % off at any size.
/// Source of the layout: Gil Tene, HdrHistogram.
///
/// Threads: `record` and `snapshot` may be called from any thread. A snapshot taken during recordings may lack the newest of them.
/// Cost:    `record` is two relaxed atomic additions; about 20 KB a histogram, made once.
class SPILLWAY_EXPORT latency_histogram {
 public:
  static constexpr std::size_t bucket_count{312};  ///< The last one takes everything from 34 minutes on.

  latency_histogram();
  ~latency_histogram();
  latency_histogram(const latency_histogram&) = delete;
  latency_histogram& operator=(const latency_histogram&) = delete;

  /// A negative duration counts as zero.
  void record(std::chrono::nanoseconds duration) noexcept;

  [[nodiscard]] latency_snapshot snapshot() const;

  [[nodiscard]] static constexpr std::size_t bucket_of(std::chrono::nanoseconds duration) noexcept {
    const auto value = duration.count() < 0 ? std::uint64_t{0} : static_cast<std::uint64_t>(duration.count());
    if (value < 8) return static_cast<std::size_t>(value);
    const auto exponent = static_cast<std::size_t>(std::bit_width(value)) - 1;  // value is in [2^exponent, 2^(exponent+1))
    const auto bucket = (exponent - 2) * 8 + static_cast<std::size_t>((value >> (exponent - 3)) & 7U);
    return bucket < bucket_count ? bucket : bucket_count - 1;
  }

  /// The largest duration that falls into the bucket; the last bucket has none and answers nanoseconds::max().
  [[nodiscard]] static constexpr std::chrono::nanoseconds upper_bound(std::size_t bucket) noexcept {
    if (bucket < 8) return std::chrono::nanoseconds{static_cast<std::int64_t>(bucket)};
    if (bucket >= bucket_count - 1) return std::chrono::nanoseconds::max();
    const auto exponent = bucket / 8 + 2;
    return std::chrono::nanoseconds{static_cast<std::int64_t>(((bucket % 8 + 9) << (exponent - 3)) - 1)};
  }

 private:
  struct stripe;
  std::unique_ptr<stripe[]> stripes_;
};

}  // namespace spillway
