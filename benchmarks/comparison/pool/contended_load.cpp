// SPDX-License-Identifier: Apache-2.0
// Mode `contended`: more threads than resources, each held for a while. First how fast, then, for a second more, in which order.
#include "barging_pool.hpp"
#include "load.hpp"

#include <boost/asio/io_context.hpp>

#include <fmt/format.h>

#include <memory>
#include <semaphore>
#include <thread>

namespace {

template <class Acquire>
void measure_speed(const arguments& asked, outcome& what, Acquire acquire) {
  std::atomic<phase> now{phase::warming};
  what.cycles.assign(asked.threads, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < asked.threads; ++t) {
    threads.emplace_back([&, t] {
      while (now.load() != phase::stopped) {
        const auto asked_at = clock_type::now();
        auto held = acquire();
        const auto got_at = clock_type::now();
        // A wait is kept if it ends after the warm-up, be it after the last counted cycle: the longest are those.
        if (now.load() != phase::warming) what.record(got_at - asked_at);
        std::this_thread::sleep_for(asked.hold);
        const auto time = since(got_at);
        held.release();
        if (now.load() != phase::counting) continue;
        ++what.cycles[t];
        what.held_ns += time.count();
        ++what.holds;
      }
    });
  }
  std::this_thread::sleep_for(300ms);
  const auto began = clock_type::now();
  now = phase::counting;
  std::this_thread::sleep_for(std::chrono::duration<double>{asked.seconds});
  now = phase::stopped;
  what.seconds = std::chrono::duration<double>{since(began)}.count();
  for (auto& thread : threads) thread.join();
}

/// Looks for grants that overtook a caller who had joined the queue earlier, and counts only what is proved. All events take their number from
/// one counter:
///   began   before the call of acquire
///   joined  after the caller was seen in the queue
///   got     after acquire has returned
///   freed   by whoever gives a resource back, before, written on the resource itself
/// That B overtook A is proved by
///   joined(A) < began(B)             A was in the queue before B called, and
///   got(B) < freed(what A was lent)  B had its resource before A's came back, so before A can have been granted.
/// Numbers taken before the call and after the grant alone would prove neither: a thread may be preempted between its number and the queue, and
/// between the grant and its number.
///
/// To see callers in the queue costs too much under full load, so the load comes in rounds: all resources are held; the first half of the threads
/// join one by one, each let go when the one before is seen waiting; then the other half starts all at once, the resources are released, and all
/// of them go round as in the phase before until the last of the first half was served.
class order_check {
 public:
  explicit order_check(const arguments& asked) : hold_{asked.hold}, callers_(asked.threads), early_{std::max<std::size_t>(asked.threads / 2, 1)} {}

  template <class Acquire, class Waiting>
  void run(std::size_t resources, Acquire acquire, Waiting waiting) {
    std::vector<std::thread> threads;
    for (auto& each : callers_) {
      threads.emplace_back([&] {
        for (each.start.acquire(); !ended_; each.start.acquire()) {
          do {
            cycle(each, acquire);
          } while (!over_);
          finished_.release();
        }
      });
    }
    for (const auto began = clock_type::now(); since(began) < 1s; ++rounds_) {
      play_round(resources, acquire, waiting);
      judge();
    }
    ended_ = true;
    for (auto& each : callers_) each.start.release();
    for (auto& thread : threads) thread.join();
  }

  [[nodiscard]] std::string json() const {
    return fmt::format(R"(,"inversions":{},"grants_checked":{},"order_rounds":{})", inversions_, grants_, rounds_);
  }

 private:
  struct grant {
    std::uint64_t began;
    std::uint64_t got;
    std::uint64_t freed;
  };
  struct caller {
    std::binary_semaphore start{0};
    std::uint64_t joined{0};
    std::vector<grant> grants;  // of this round
  };

  template <class Acquire>
  void cycle(caller& each, Acquire& acquire) {
    const auto began = next_++;
    auto held = acquire();
    each.grants.push_back({began, next_++, held->freed});
    if (each.grants.size() == 1 && &each < &callers_[early_] && ++served_ == early_) over_ = true;
    std::this_thread::sleep_for(hold_);
    held->freed = next_++;
    held.release();
  }

  template <class Acquire, class Waiting>
  void play_round(std::size_t resources, Acquire& acquire, Waiting& waiting) {
    for (auto& each : callers_) each.grants.clear();
    served_ = 0;
    over_ = false;
    std::vector<decltype(acquire())> all;
    while (all.size() < resources) all.push_back(acquire());
    for (std::size_t i = 0; i < early_; ++i) {
      callers_[i].start.release();
      while (waiting() != i + 1) std::this_thread::sleep_for(5us);  // a loop without it would keep the pool's lock from the caller
      callers_[i].joined = next_++;
    }
    for (std::size_t i = early_; i < callers_.size(); ++i) callers_[i].start.release();
    for (auto& each : all) {
      each->freed = next_++;
      each.release();
    }
    for (std::size_t i = 0; i < callers_.size(); ++i) finished_.acquire();
  }

  void judge() {
    for (const auto& each : callers_) {
      grants_ += each.grants.size();
      for (const auto& later : each.grants) inversions_ += overtook_any(later) ? 1U : 0U;
    }
  }
  [[nodiscard]] bool overtook_any(const grant& later) const {
    return std::any_of(callers_.begin(), callers_.begin() + static_cast<std::ptrdiff_t>(early_),
                       [&](const caller& first) { return first.joined < later.began && later.got < first.grants.front().freed; });
  }

  std::chrono::microseconds hold_;
  std::vector<caller> callers_;
  std::size_t early_;
  std::atomic<std::uint64_t> next_{1};
  std::atomic<std::size_t> served_{0};
  std::atomic<bool> over_{false};
  std::atomic<bool> ended_{false};
  std::counting_semaphore<> finished_{0};
  std::uint64_t inversions_{0};
  std::uint64_t grants_{0};
  std::uint64_t rounds_{0};
};

template <class Acquire, class Waiting>
void measure(const arguments& asked, outcome& what, Acquire acquire, Waiting waiting) {
  measure_speed(asked, what, acquire);
  order_check order{asked};
  order.run(asked.resources, acquire, waiting);
  what.more += order.json();
}

}  // namespace

void run_contended(const arguments& asked, outcome& what) {
  if (asked.pool == "barging") {
    barging_pool pool{asked.resources};
    measure(asked, what, [&] { return pool.acquire(); }, [&] { return pool.waiting(); });
    return;
  }
  boost::asio::io_context unused;
  spillway::pool<stub> pool{config_of(asked), std::make_shared<stub_connector>(0ms, unused.get_executor())};
  measure(asked, what, [&] { return pool.acquire().value(); }, [&] { return pool.stats().waiting; });
}
