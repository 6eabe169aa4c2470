// SPDX-License-Identifier: Apache-2.0
// spillway's pool under the load that the peers in this folder get, with the same arguments and the same line of JSON:
//   pool_load [--pool spillway|barging] --mode fast|contended|spike|async [--threads N] [--resources M] [--hold-us U] [--seconds S]
// `barging` is a mutex, a stack and a condition variable: whoever comes first after a release gets the resource, so it shows what fairness costs.
// `async`: N coroutines on two threads.
#include <spillway/pool/pool.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using spillway::latency_histogram;
using clock_type = std::chrono::steady_clock;

struct stub {
  int number{0};
};

/// Opens at once, or after a time.
class stub_connector final : public spillway::pool_connector<stub> {
 public:
  stub_connector(std::chrono::milliseconds takes, asio::any_io_executor executor) : takes_{takes}, executor_{std::move(executor)} {}

  void open(spillway::open_request<stub> request) override {
    ++begun;
    if (takes_.count() == 0) {
      ++opened;
      request.succeed({});
      return;
    }
    auto timer = std::make_shared<asio::steady_timer>(executor_, takes_);
    timer->async_wait([this, timer, request = std::make_shared<spillway::open_request<stub>>(std::move(request))](const spillway::error_code&) {
      ++opened;
      request->succeed({});
    });
  }

  std::atomic<int> begun{0};
  std::atomic<int> opened{0};

 private:
  std::chrono::milliseconds takes_;
  asio::any_io_executor executor_;
};

class barging_pool {
 public:
  explicit barging_pool(std::size_t resources) : idle_(resources) {}
  stub* acquire() {
    std::unique_lock lock{mutex_};
    ++waiting_;
    free_.wait(lock, [&] { return !idle_.empty(); });
    --waiting_;
    idle_.pop_back();
    return &one_;
  }
  void release() {
    bool wake{false};
    {
      const std::scoped_lock lock{mutex_};
      idle_.emplace_back();
      wake = waiting_ > 0;
    }
    if (wake) free_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable free_;
  std::vector<stub> idle_;
  std::size_t waiting_{0};
  stub one_;
};

struct arguments {
  std::string pool{"spillway"};
  std::string mode{"fast"};
  std::size_t threads{1};
  std::size_t resources{8};
  std::chrono::microseconds hold{0};
  double seconds{3};
};

enum class phase : int { warming, counting, timing, stopped };

struct outcome {
  std::vector<std::uint64_t> cycles;
  double seconds{1};
  latency_histogram times;
  std::atomic<std::int64_t> held_ns{0};
  std::atomic<std::uint64_t> holds{0};
  std::atomic<std::int64_t> max_ns{0};
  std::string more;

  void record(std::chrono::nanoseconds time) {
    times.record(time);
    auto seen = max_ns.load(std::memory_order_relaxed);
    while (seen < time.count() && !max_ns.compare_exchange_weak(seen, time.count())) {
    }
  }
};

void print(const arguments& asked, const outcome& what) {
  const auto total = std::accumulate(what.cycles.begin(), what.cycles.end(), std::uint64_t{0});
  const auto [least, most] = std::ranges::minmax(what.cycles);
  const auto times = what.times.snapshot();
  const auto quantile = [&](double q) { return times.quantile(q).count(); };
  fmt::print(R"({{"peer":"{}","version":"{}","mode":"{}","threads":{},"resources":{},"cycles_per_s":{:.0f},"p50_ns":{},"p99_ns":{},"p999_ns":{},"max_ns":{},)"
             R"("share_min_max":{:.4f},"held_us":{:.1f}{}}})"
             "\n",
             asked.pool, "0.1", asked.mode, asked.threads, asked.resources, static_cast<double>(total) / what.seconds, quantile(0.5), quantile(0.99),
             quantile(0.999), what.max_ns.load(), most == 0 ? 0.0 : static_cast<double>(least) / static_cast<double>(most),
             what.holds == 0 ? 0.0 : static_cast<double>(what.held_ns.load()) / static_cast<double>(what.holds.load()) / 1e3, what.more);
}

std::chrono::nanoseconds since(clock_type::time_point start) { return clock_type::now() - start; }

spillway::pool_config config_of(const arguments& asked) {
  spillway::pool_config config;
  config.max = asked.resources;
  config.acquire_timeout = 60s;
  config.slow_acquire = 0ms;
  return config;
}

/// `cycle(thread)` acquires and releases once.
template <class Cycle>
void run_fast(const arguments& asked, outcome& what, Cycle cycle) {
  std::atomic<phase> now{phase::warming};
  what.cycles.assign(asked.threads, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < asked.threads; ++t) {
    threads.emplace_back([&, t] {
      while (now.load(std::memory_order_relaxed) == phase::warming) cycle();
      std::uint64_t cycles{0};
      while (now.load(std::memory_order_relaxed) == phase::counting) {
        for (int i = 0; i < 100; ++i) cycle();
        cycles += 100;
      }
      what.cycles[t] = cycles;
      while (now.load(std::memory_order_relaxed) == phase::timing) {
        const auto start = clock_type::now();
        cycle();
        what.record(since(start));
      }
    });
  }
  std::this_thread::sleep_for(300ms);
  const auto began = clock_type::now();
  now = phase::counting;
  std::this_thread::sleep_for(std::chrono::duration<double>{asked.seconds});
  now = phase::timing;
  what.seconds = std::chrono::duration<double>{since(began)}.count();
  std::this_thread::sleep_for(1s);
  now = phase::stopped;
  for (auto& thread : threads) thread.join();
}

/// `acquire()` gives something that is released by its destructor.
template <class Acquire>
void run_contended(const arguments& asked, outcome& what, Acquire acquire) {
  std::atomic<phase> now{phase::warming};
  what.cycles.assign(asked.threads, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < asked.threads; ++t) {
    threads.emplace_back([&, t] {
      while (now.load() != phase::stopped) {
        const auto asked_at = clock_type::now();
        auto held = acquire();
        const auto got_at = clock_type::now();
        std::this_thread::sleep_for(asked.hold);
        const auto time = clock_type::now() - got_at;
        held = decltype(held){};
        if (now.load() != phase::counting) continue;
        ++what.cycles[t];
        what.record(got_at - asked_at);
        what.held_ns += std::chrono::nanoseconds{time}.count();
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

struct barging_lease {
  barging_pool* owner{nullptr};
  explicit barging_lease(barging_pool* from = nullptr) noexcept : owner{from} {}
  barging_lease(barging_lease&& other) noexcept : owner{std::exchange(other.owner, nullptr)} {}
  barging_lease& operator=(barging_lease&& other) noexcept {
    if (owner != nullptr) owner->release();
    owner = std::exchange(other.owner, nullptr);
    return *this;
  }
  ~barging_lease() {
    if (owner != nullptr) owner->release();
  }
};

void fast(const arguments& asked, outcome& what) {
  if (asked.pool == "barging") {
    barging_pool pool{asked.resources};
    run_fast(asked, what, [&] {
      (void)pool.acquire();
      pool.release();
    });
    return;
  }
  asio::io_context unused;
  spillway::pool<stub> pool{config_of(asked), std::make_shared<stub_connector>(0ms, unused.get_executor())};
  run_fast(asked, what, [&] { (void)pool.acquire(); });
}

void contended(const arguments& asked, outcome& what) {
  if (asked.pool == "barging") {
    barging_pool pool{asked.resources};
    run_contended(asked, what, [&] {
      (void)pool.acquire();
      return barging_lease{&pool};
    });
    return;
  }
  asio::io_context unused;
  spillway::pool<stub> pool{config_of(asked), std::make_shared<stub_connector>(0ms, unused.get_executor())};
  run_contended(asked, what, [&] { return pool.acquire().value(); });
}

/// The pool is warm with 5; N ask at once. Connecting takes 150 ms.
void spike(const arguments& asked, outcome& what) {
  spillway::io_runner_config runner_config;
  runner_config.threads = 1;
  spillway::io_runner runner{runner_config};
  runner.start();
  auto config = config_of(asked);
  config.min = 5;
  config.max = 50;
  auto connector = std::make_shared<stub_connector>(150ms, runner.executor());
  spillway::pool<stub> pool{config, connector, runner.executor()};
  pool.warm_up_for(5s).value();
  std::atomic<bool> go{false};
  std::atomic<std::size_t> ready{0};
  std::atomic<std::int64_t> last_ns{0};
  clock_type::time_point began;
  what.cycles.assign(asked.threads, 1);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < asked.threads; ++t) {
    threads.emplace_back([&] {
      ++ready;
      while (!go) std::this_thread::yield();
      const auto asked_at = clock_type::now();
      auto lease = pool.acquire().value();
      const auto got_at = clock_type::now();
      what.record(got_at - asked_at);
      std::this_thread::sleep_for(asked.hold);
      what.held_ns += since(got_at).count();
      ++what.holds;
      lease.release();
      const auto done = since(began).count();
      auto seen = last_ns.load();
      while (seen < done && !last_ns.compare_exchange_weak(seen, done)) {
      }
    });
  }
  while (ready < asked.threads) std::this_thread::yield();
  began = clock_type::now();
  go = true;
  for (auto& thread : threads) thread.join();
  const auto begun = connector->begun.load();
  const auto opened = connector->opened.load();
  std::this_thread::sleep_for(1s);
  what.seconds = static_cast<double>(last_ns.load()) / 1e9;
  what.more = fmt::format(R"(,"opened":{},"begun":{},"opened_later":{},"all_done_ms":{:.2f})", opened, begun, connector->opened.load(),
                          static_cast<double>(last_ns.load()) / 1e6);
}

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

void coroutines(const arguments& asked, outcome& what) {
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

}  // namespace

int main(int argc, char** argv) {
  arguments asked;
  std::map<std::string, std::string> given;
  for (int i = 1; i + 1 < argc; i += 2) given[argv[i]] = argv[i + 1];
  const auto number = [&](const char* name, double otherwise) { return given.contains(name) ? std::atof(given[name].c_str()) : otherwise; };
  if (given.contains("--mode")) asked.mode = given["--mode"];
  if (given.contains("--pool")) asked.pool = given["--pool"];
  const bool is_spike = asked.mode == "spike";
  const bool is_contended = asked.mode == "contended";
  const bool is_async = asked.mode == "async";
  asked.threads = static_cast<std::size_t>(number("--threads", is_spike ? 50 : is_contended ? 32 : is_async ? 10'000 : 1));
  asked.resources = static_cast<std::size_t>(number("--resources", is_spike ? 50 : is_contended ? 16 : 8));
  asked.hold = std::chrono::microseconds{static_cast<std::int64_t>(number("--hold-us", is_spike ? 2'000 : is_contended ? 100 : 0))};
  asked.seconds = number("--seconds", 3);
  outcome what;
  if (is_spike) spike(asked, what);
  else if (is_contended) contended(asked, what);
  else if (is_async) coroutines(asked, what);
  else fast(asked, what);
  print(asked, what);
}
