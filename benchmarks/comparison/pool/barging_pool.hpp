// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "load.hpp"

#include <condition_variable>
#include <mutex>

/// A mutex, a stack and a condition variable: whoever comes first after a release gets the resource. What fairness costs is measured against it.
class barging_pool {
 public:
  class lease {
   public:
    lease() noexcept = default;
    lease(barging_pool& owner, stub& lent) noexcept : owner_{&owner}, lent_{&lent} {}
    lease(lease&& other) noexcept : owner_{other.owner_}, lent_{std::exchange(other.lent_, nullptr)} {}
    lease& operator=(lease&& other) noexcept {
      release();
      owner_ = other.owner_;
      lent_ = std::exchange(other.lent_, nullptr);
      return *this;
    }
    ~lease() { release(); }
    stub* operator->() const noexcept { return lent_; }
    void release() noexcept {
      if (auto* const back = std::exchange(lent_, nullptr)) owner_->give_back(*back);
    }

   private:
    barging_pool* owner_{nullptr};
    stub* lent_{nullptr};
  };

  explicit barging_pool(std::size_t resources) : all_(resources) {
    for (auto& each : all_) idle_.push_back(&each);
  }

  lease acquire() {
    std::unique_lock lock{mutex_};
    ++waiting_;
    free_.wait(lock, [&] { return !idle_.empty(); });
    --waiting_;
    auto& lent = *idle_.back();
    idle_.pop_back();
    return {*this, lent};
  }
  std::size_t waiting() {
    const std::scoped_lock lock{mutex_};
    return waiting_;
  }

 private:
  void give_back(stub& back) noexcept {
    bool wake{false};
    {
      const std::scoped_lock lock{mutex_};
      idle_.push_back(&back);
      wake = waiting_ > 0;
    }
    if (wake) free_.notify_one();
  }

  std::vector<stub> all_;
  std::mutex mutex_;
  std::condition_variable free_;
  std::vector<stub*> idle_;
  std::size_t waiting_{0};
};
