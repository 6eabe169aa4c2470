// SPDX-License-Identifier: Apache-2.0
// What a loan costs, and a hand-over to someone who waits.
#include <spillway/pool/pool.hpp>

#include <boost/asio/io_context.hpp>

#include <benchmark/benchmark.h>

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;

namespace {

struct nothing {};

class instant final : public pool_connector<nothing> {
 public:
  void open(open_request<nothing> request) override { request.succeed({}); }
};

/// One end of a connection to nowhere.
class socket_end {
 public:
  socket_end() {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_) != 0) std::abort();
  }
  socket_end(socket_end&& other) noexcept : ends_{std::exchange(other.ends_[0], -1), std::exchange(other.ends_[1], -1)} {}
  socket_end& operator=(socket_end&&) = delete;
  ~socket_end() {
    for (const int end : ends_) {
      if (end >= 0) ::close(end);
    }
  }
  [[nodiscard]] bool is_open() const noexcept {
    char byte{0};
    return ::recv(ends_[0], &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
  }

 private:
  int ends_[2]{-1, -1};
};

/// Looks at the socket before each loan, as a driver would.
class peeking final : public pool_connector<socket_end> {
 public:
  void open(open_request<socket_end> request) override { request.succeed({}); }
  bool is_reusable(socket_end& idle) noexcept override { return idle.is_open(); }
};

pool_config config_of(std::size_t max) {
  pool_config config;
  config.max = max;
  return config;
}

pool<nothing>& shared_pool() {
  static pool<nothing> made{config_of(8), std::make_shared<instant>()};
  return made;
}

void try_acquire(benchmark::State& state) {
  auto& from = shared_pool();
  (void)from.acquire();  // opens one
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(from.try_acquire());
}
BENCHMARK(try_acquire);

void try_acquire_exhausted(benchmark::State& state) {
  pool<nothing> from{config_of(1), std::make_shared<instant>()};
  const auto held = from.acquire();
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(from.try_acquire());
}
BENCHMARK(try_acquire_exhausted);

void acquire_release(benchmark::State& state) {
  auto& from = shared_pool();
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(from.acquire());
}
BENCHMARK(acquire_release)->Threads(1)->Threads(2)->Threads(4)->UseRealTime();

void acquire_release_with_deadline(benchmark::State& state) {
  auto& from = shared_pool();
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(from.acquire_for(1s));
}
BENCHMARK(acquire_release_with_deadline);

/// Two at a time, so the second cannot come from where this thread left its last one.
void acquire_release_two(benchmark::State& state) {
  auto& from = shared_pool();
  for ([[maybe_unused]] auto _ : state) {
    auto first = from.acquire();
    auto second = from.acquire();
    benchmark::DoNotOptimize(first);
    benchmark::DoNotOptimize(second);
  }
}
BENCHMARK(acquire_release_two);

/// The look alone is `peek` below.
void acquire_release_is_reusable(benchmark::State& state) {
  static pool<socket_end> from{config_of(8), std::make_shared<peeking>()};
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(from.acquire());
}
BENCHMARK(acquire_release_is_reusable)->Threads(1)->Threads(2)->Threads(4)->UseRealTime();

void peek(benchmark::State& state) {
  const socket_end end;
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(end.is_open());
}
BENCHMARK(peek);

/// One resource, always lent: ask, give back, be granted, called back and lent it, all on one thread.
void release_to_async_waiter(benchmark::State& state) {
  boost::asio::io_context context{1};
  pool<nothing> from{config_of(1), std::make_shared<instant>(), context.get_executor()};
  const acquire_options options{60s};
  auto held = from.acquire().value();
  for ([[maybe_unused]] auto _ : state) {
    bool granted{false};
    from.async_acquire(options, [&](result<pool<nothing>::lease, pool_error> next) {
      held = std::move(next).value();
      granted = true;
    });
    held.release();
    while (!granted) context.poll();
  }
}
BENCHMARK(release_to_async_waiter);

/// Two threads and one resource, which each gives back only when it sees the other in the queue or about to join it: mostly what the system
/// takes to wake a thread.
void release_to_blocked_thread(benchmark::State& state) {
  pool<nothing> from{config_of(1), std::make_shared<instant>()};
  std::atomic<bool> over{false};
  std::atomic<int> asking{0};
  const auto cycle = [&] {
    ++asking;
    auto held = from.acquire();
    --asking;
    while (asking == 0 && !over) std::this_thread::yield();
  };
  std::thread other{[&] {
    while (!over) cycle();
  }};
  for ([[maybe_unused]] auto _ : state) cycle();
  over = true;
  other.join();
}
BENCHMARK(release_to_blocked_thread)->UseRealTime();

void read_stats(benchmark::State& state) {
  pool<nothing> from{config_of(16), std::make_shared<instant>()};
  std::vector<pool<nothing>::lease> all;
  while (all.size() < 16) all.push_back(from.acquire().value());
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(from.stats());
}
BENCHMARK(read_stats);

}  // namespace

BENCHMARK_MAIN();
