// SPDX-License-Identifier: Apache-2.0
/// @file
/// A counter that many threads add to without waiting for each other.
#pragma once

#include <spillway/core/export.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace spillway {

namespace detail {

inline constexpr std::size_t cache_line_bytes{64};
inline constexpr std::size_t stripe_count{8};

[[nodiscard]] SPILLWAY_EXPORT std::size_t next_stripe() noexcept;

/// The stripe of the calling thread: threads take turns, so few share one.
[[nodiscard]] inline std::size_t this_thread_stripe() noexcept {
  thread_local const std::size_t stripe{next_stripe() % stripe_count};
  return stripe;
}

}  // namespace detail

/// A sum kept in several cells, each on a cache line of its own; a thread always adds to the same cell.
///
/// Threads: `add` and `value` may be called from any thread. `value` is exact once writers are quiet, and never runs backwards for a reader
///          as long as only positive amounts are added.
/// Cost:    `add` is one relaxed atomic addition; 512 bytes a counter.
class striped_counter {
 public:
  void add(std::int64_t amount = 1) noexcept {
    cells_[detail::this_thread_stripe()].value.fetch_add(amount, std::memory_order_relaxed);
  }

  [[nodiscard]] std::int64_t value() const noexcept {
    std::int64_t sum{0};
    for (const auto& cell : cells_) sum += cell.value.load(std::memory_order_relaxed);
    return sum;
  }

 private:
  struct alignas(detail::cache_line_bytes) padded_cell {
    std::atomic<std::int64_t> value{0};
  };
  std::array<padded_cell, detail::stripe_count> cells_;
};

}  // namespace spillway
