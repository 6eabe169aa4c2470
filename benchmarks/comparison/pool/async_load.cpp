// SPDX-License-Identifier: Apache-2.0
// Mode `async`: many coroutines on two threads share few resources; what an acquire allocates when nobody else wants one; and how soon a
// cancelled wait ends.
#include "load.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <cstdlib>
#include <deque>
#include <numeric>
#include <random>
#include <thread>

namespace asio = boost::asio;

namespace {

asio::awaitable<void> borrow(spillway::pool<stub>& pool, const arguments& asked, std::atomic<phase>& now, outcome& what, std::size_t number,
                             std::atomic<std::size_t>& left) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer{executor};
  const spillway::acquire_options options{60s};
  while (now.load(std::memory_order_relaxed) != phase::stopped) {
    const auto asked_at = clock_type::now();
    auto lease = co_await pool.async_acquire(options, asio::use_awaitable);
    const auto waited = since(asked_at);
    if (!lease) std::abort();
    if (asked.hold.count() > 0) {
      timer.expires_after(asked.hold);
      co_await timer.async_wait(asio::use_awaitable);
    }
    lease->release();
    if (now.load(std::memory_order_relaxed) != phase::counting) continue;
    ++what.cycles[number];
    what.record(waited);
  }
  // The pool's timer would keep the context running.
  if (--left == 0) static_cast<asio::io_context&>(executor.context()).stop();
}

void measure_speed(const arguments& asked, outcome& what) {
  asio::io_context context{2};
  spillway::pool<stub> pool{config_of(asked), std::make_shared<stub_connector>(0ms, context.get_executor()), context.get_executor()};
  std::atomic<phase> now{phase::warming};
  what.cycles.assign(asked.threads, 0);
  std::atomic<std::size_t> left{asked.threads};
  for (std::size_t t = 0; t < asked.threads; ++t) asio::co_spawn(context, borrow(pool, asked, now, what, t, left), asio::detached);
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) threads.emplace_back([&] { context.run(); });
  std::this_thread::sleep_for(300ms);
  const auto began = clock_type::now();
  now = phase::counting;
  std::this_thread::sleep_for(std::chrono::duration<double>{asked.seconds});
  now = phase::stopped;
  what.seconds = std::chrono::duration<double>{since(began)}.count();
  for (auto& thread : threads) thread.join();
}

constexpr std::uint64_t lone_acquires{100'000};

asio::awaitable<void> borrow_alone(spillway::pool<stub>& pool, std::uint64_t& allocated) {
  const spillway::acquire_options options{60s};
  for (std::uint64_t i = 0; i < 2 * lone_acquires; ++i) {
    if (i == lone_acquires) allocated = allocations();  // the first half warms up
    auto lease = co_await pool.async_acquire(options, asio::use_awaitable);
    if (!lease) std::abort();
  }
  allocated = allocations() - allocated;
}

/// By one coroutine on this thread, nobody else about.
double allocations_per_acquire(const arguments& asked) {
  asio::io_context context{1};
  spillway::pool<stub> pool{config_of(asked), std::make_shared<stub_connector>(0ms, context.get_executor()), context.get_executor()};
  std::uint64_t allocated{0};
  asio::co_spawn(context, borrow_alone(pool, allocated), [&](const std::exception_ptr&) { context.stop(); });
  context.run();
  return static_cast<double>(allocated) / static_cast<double>(lone_acquires);
}

/// N coroutines wait in vain and are cancelled, all on one thread, in random order.
class cancellation {
 public:
  explicit cancellation(const arguments& asked)
      : pool_{config_of(asked), std::make_shared<stub_connector>(0ms, context_.get_executor()), context_.get_executor()},
        waiters_(asked.threads),
        order_(asked.threads) {
    for (std::size_t i = 0; i < asked.resources; ++i) held_.push_back(pool_.acquire().value());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::shuffle(order_.begin(), order_.end(), std::minstd_rand{1});
  }

  /// One after the other, so that each finds a queue of those after it, but not the work of those before it: what one cancellation takes.
  spillway::latency_snapshot one_by_one() {
    join();
    emit_from(0);
    wait_for_all();
    return times_.snapshot();
  }

  /// All by one handler: until the last of them has ended.
  std::chrono::nanoseconds all_at_once() {
    join();
    const auto began = clock_type::now();
    asio::post(context_, [this] {
      for (const auto i : order_) emit(i);
    });
    wait_for_all();
    return since(began);
  }

 private:
  struct waiter {
    asio::cancellation_signal signal;
    clock_type::time_point emitted;
  };

  asio::awaitable<void> wait(waiter& self) {
    const spillway::acquire_options options{60s};
    const auto lease = co_await pool_.async_acquire(options, asio::use_awaitable);
    times_.record(since(self.emitted));
    if (lease || lease.error() != spillway::pool_errc::cancelled) std::abort();
    if (--left_ == 0) context_.stop();
  }

  void join() {
    left_ = waiters_.size();
    for (auto& each : waiters_) asio::co_spawn(context_, wait(each), asio::bind_cancellation_slot(each.signal.slot(), asio::detached));
    while (pool_.stats().waiting != waiters_.size()) context_.poll();
  }
  void emit(std::size_t i) {
    waiters_[i].emitted = clock_type::now();
    waiters_[i].signal.emit(asio::cancellation_type::terminal);
  }
  void emit_from(std::size_t place) {
    if (place == order_.size()) return;
    asio::post(context_, [this, place] {
      emit(order_[place]);
      emit_from(place + 1);
    });
  }
  void wait_for_all() {
    context_.run();
    context_.restart();
  }

  asio::io_context context_{1};
  spillway::pool<stub> pool_;
  std::vector<spillway::pool<stub>::lease> held_;
  std::deque<waiter> waiters_;
  std::vector<std::size_t> order_;
  std::size_t left_{0};
  spillway::latency_histogram times_;
};

}  // namespace

void run_async(const arguments& asked, outcome& what) {
  measure_speed(asked, what);
  cancellation cancelled{asked};
  const auto times = cancelled.one_by_one();
  const auto all = cancelled.all_at_once();
  what.more += fmt::format(R"(,"allocations_per_acquire":{},"cancel_p50_ns":{},"cancel_p99_ns":{},"cancel_all_ms":{:.2f})",
                           allocations_per_acquire(asked), times.quantile(0.5).count(), times.quantile(0.99).count(),
                           std::chrono::duration<double, std::milli>{all}.count());
}
