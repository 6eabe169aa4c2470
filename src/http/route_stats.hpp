// SPDX-License-Identifier: Apache-2.0
// What one route of one method has answered, counted without a lock.
#pragma once

#include <spillway/core/latency_histogram.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>

namespace spillway::detail {

/// A histogram for each status the route has answered, made when the first such answer is given. A histogram is 20 KB, and few routes use more
/// than four; past seven statuses the rest share one, so a route never takes more than 160 KB.
class route_stats {
 public:
  static constexpr std::size_t most_statuses{8};
  static constexpr int other_status{0};

  route_stats() = default;
  route_stats(const route_stats&) = delete;
  route_stats& operator=(const route_stats&) = delete;
  ~route_stats() {
    for (auto& slot : slots_) delete slot.load(std::memory_order_acquire);
  }

  /// Records nothing if memory for a new status cannot be had.
  void record(int status, std::chrono::nanoseconds duration) noexcept {
    if (auto* found = find(status)) found->durations.record(duration);
  }

  /// Calls `visit(status, histogram)`; `other_status` stands for the statuses that share one.
  template <class Visitor>
  void for_each(const Visitor& visit) const {
    for (const auto& slot : slots_) {
      if (const auto* one = slot.load(std::memory_order_acquire)) visit(one->status, one->durations);
    }
  }

 private:
  struct by_status {
    explicit by_status(int code) : status{code} {}
    int status;
    latency_histogram durations;
  };

  [[nodiscard]] by_status* find(int status) noexcept {
    for (std::size_t i = 0; i < most_statuses; ++i) {
      const int wanted = i + 1 == most_statuses ? other_status : status;
      auto* present = slots_[i].load(std::memory_order_acquire);
      if (present == nullptr) present = put(slots_[i], wanted);
      if (present == nullptr || present->status == wanted) return present;
    }
    return nullptr;
  }

  /// What stands in the slot afterwards: ours, or that of a thread that was faster.
  static by_status* put(std::atomic<by_status*>& slot, int status) noexcept {
    try {
      auto* made = new by_status{status};
      by_status* present{nullptr};
      if (slot.compare_exchange_strong(present, made, std::memory_order_acq_rel)) return made;
      delete made;
      return present;
    } catch (...) {
      return nullptr;
    }
  }

  std::array<std::atomic<by_status*>, most_statuses> slots_{};
};

}  // namespace spillway::detail
