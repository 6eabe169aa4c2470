// SPDX-License-Identifier: Apache-2.0
#include "health/check_threads.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace spillway::detail {

struct check_threads::shared {
  static constexpr std::size_t spare{2};  // threads that stay when idle

  explicit shared(std::size_t most_threads) : most{most_threads} {}

  /// The last thing a thread does. Threads are never joined: a thread_local of a check may take its time, or report to the monitor.
  struct farewell {
    ~farewell() {
      const std::scoped_lock lock{to->mutex};
      --to->threads;
      --to->leaving;
      to->changed.notify_all();
    }
    const std::shared_ptr<shared> to;
  };

  void work() {
    std::unique_lock lock{mutex};
    for (;;) {
      while (!waiting.empty()) {
        auto next = std::move(waiting.front());
        waiting.pop_front();
        lock.unlock();
        next();
        next = nullptr;  // what it owned goes before the lock is taken
        lock.lock();
        --busy;
      }
      changed.notify_all();
      if (stopping || idle() > spare) break;
      changed.wait(lock, [this] { return stopping || !waiting.empty(); });
    }
    ++leaving;
    changed.notify_all();
  }

  /// Threads that can take work, less the work there is.
  [[nodiscard]] std::size_t idle() const noexcept { return threads - leaving - busy; }

  const std::size_t most;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> waiting;  // each has an idle thread that is about to take it
  std::size_t threads{0};
  std::size_t busy{0};     // work taken and not done, `waiting` included
  std::size_t leaving{0};  // threads that take no more work and are not gone yet
  bool stopping{false};
};

check_threads::check_threads(std::size_t most) : shared_{std::make_shared<shared>(most)} {}
check_threads::~check_threads() { shut_down(std::chrono::nanoseconds{0}); }

bool check_threads::try_run(std::function<void()> work) {
  const std::scoped_lock lock{shared_->mutex};
  if (shared_->stopping) return false;
  if (shared_->idle() == 0) {
    if (shared_->threads == shared_->most) return false;
    try {
      std::thread{[self = shared_] {
        thread_local const shared::farewell last{self};  // made before every thread_local of a check, so it goes after them
        self->work();
      }}.detach();
    } catch (const std::system_error&) {
      return false;
    }
    ++shared_->threads;
  }
  shared_->waiting.push_back(std::move(work));
  ++shared_->busy;
  shared_->changed.notify_all();
  return true;
}

std::size_t check_threads::shut_down(std::chrono::nanoseconds patience) {
  std::unique_lock lock{shared_->mutex};
  shared_->stopping = true;
  shared_->changed.notify_all();
  shared_->changed.wait_for(lock, patience, [this] { return shared_->threads == 0; });
  // Whoever is not in work leaves by itself now.
  shared_->changed.wait(lock, [this] { return shared_->waiting.empty() && shared_->idle() == 0; });
  return shared_->busy;
}

}  // namespace spillway::detail
