// SPDX-License-Identifier: Apache-2.0
#include "health/check_threads.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace spillway::detail {

struct check_threads::shared {
  static constexpr std::size_t spare{2};  // threads that stay when idle

  explicit shared(std::size_t most_threads) : most{most_threads} {}

  struct worker {
    std::thread thread;
    bool in_work{false};
    bool ended{false};
  };

  void work(worker& self) {
    std::unique_lock lock{mutex};
    for (;;) {
      while (!waiting.empty()) {
        auto next = std::move(waiting.front());
        waiting.pop_front();
        self.in_work = true;
        lock.unlock();
        next();
        next = nullptr;  // what it owned goes before the lock is taken
        lock.lock();
        self.in_work = false;
        --busy;
      }
      changed.notify_all();
      if (stopping || threads.size() - busy - ended > spare) break;
      changed.wait(lock, [this] { return stopping || !waiting.empty(); });
    }
    self.ended = true;
    ++ended;
    changed.notify_all();
  }

  /// Joins the threads that have ended. Under the lock: they no longer need it.
  void reap() {
    threads.remove_if([](worker& one) {
      if (one.ended) one.thread.join();
      return one.ended;
    });
    ended = 0;
  }

  const std::size_t most;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> waiting;  // each has an idle thread that is about to take it
  std::list<worker> threads;
  std::size_t busy{0};   // work taken and not done, `waiting` included
  std::size_t ended{0};  // threads not joined yet
  bool stopping{false};
};

check_threads::check_threads(std::size_t most) : shared_{std::make_shared<shared>(most)} {}
check_threads::~check_threads() { shut_down(std::chrono::nanoseconds{0}); }

bool check_threads::try_run(std::function<void()> work) {
  const std::scoped_lock lock{shared_->mutex};
  if (shared_->stopping) return false;
  shared_->reap();
  if (shared_->threads.size() == shared_->busy) {
    if (shared_->threads.size() == shared_->most) return false;
    auto& made = shared_->threads.emplace_back();
    try {
      made.thread = std::thread{[shared = shared_, &made] { shared->work(made); }};
    } catch (const std::system_error&) {
      shared_->threads.pop_back();
      return false;
    }
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
  const auto all = [this](auto is) { return std::all_of(shared_->threads.begin(), shared_->threads.end(), is); };
  shared_->changed.wait_for(lock, patience, [&all] { return all([](const auto& one) { return one.ended; }); });
  // Whoever is not in work ends by itself now.
  shared_->changed.wait(lock, [this, &all] {
    return shared_->waiting.empty() && all([](const auto& one) { return one.ended || one.in_work; });
  });
  std::size_t left{0};
  for (auto& one : shared_->threads) {
    if (!one.thread.joinable()) continue;  // left behind by an earlier call
    if (one.ended) {
      one.thread.join();
    } else {
      one.thread.detach();  // its entry stays: the thread still writes to it
      ++left;
    }
  }
  return left;
}

}  // namespace spillway::detail
