// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pool/pool_core.hpp"
#include "pool/tick_source.hpp"

#include <spillway/core/latency_histogram.hpp>
#include <spillway/core/striped_counter.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <source_location>

namespace spillway::detail {

class pool_state;

/// Of this thread and no other, now or later: a lease may outlive the thread that asked for it.
[[nodiscard]] inline std::uint64_t this_thread_number() noexcept {
  static std::atomic<std::uint64_t> last{0};
  static thread_local const std::uint64_t mine{last.fetch_add(1, std::memory_order_relaxed) + 1};
  return mine;
}

/// A place for one resource. Whoever holds the resource writes here; others only read the atomic members. Made once and used again, so a
/// reader never meets one that is gone, and its counts stay.
struct alignas(cache_line_bytes) pool_slot {
  explicit pool_slot(pool_state& state) noexcept : owner{&state} {}

  static constexpr tick_source::ticks not_lent{std::numeric_limits<tick_source::ticks>::min()};

  void count_unwaited() noexcept { add(unwaited, std::uint64_t{1}); }
  void count_loan(std::chrono::nanoseconds held) noexcept {
    add(holds[latency_histogram::bucket_of(held)], std::uint64_t{1});
    add(held_ns, held.count());
  }

  pool_state* owner;
  void* resource{nullptr};
  pool_core::resource_id id{0};
  std::uint64_t generation{0};
  tick_source::ticks expires_at{0};
  tick_source::ticks returned_at{0};

  std::atomic<tick_source::ticks> lent_at{not_lent};
  std::atomic<std::source_location> where{};
  std::atomic<const char*> label{""};
  std::atomic<std::uint64_t> asked_by{0};  // the thread that asked for it
  std::atomic<bool> leak_told{false};

  std::atomic<std::uint64_t> unwaited{0};  // loans that did not wait
  std::atomic<std::int64_t> held_ns{0};
  std::array<std::atomic<std::uint64_t>, latency_histogram::bucket_count> holds{};

 private:
  /// Only the holder writes, so no read-modify-write is needed.
  template <class T>
  static void add(std::atomic<T>& cell, T amount) noexcept {
    cell.store(cell.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
};
static_assert(std::atomic<std::source_location>::is_always_lock_free);

/// Where a thread leaves a resource for its own next loan, without a lock. At most one, so at most as many as there are stripes are out of the
/// core's sight; whoever needs them collects them.
///
/// A resource is *offered* first and *parked* after a look at the gate. Nobody takes what is only offered, so a thread that has parked need
/// not touch the pool again and the pool may be destroyed.
struct alignas(cache_line_bytes) parking_place {
  static constexpr std::uintptr_t offered{1};
  std::atomic<std::uintptr_t> word{0};
};

}  // namespace spillway::detail
