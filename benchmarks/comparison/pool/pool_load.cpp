// SPDX-License-Identifier: Apache-2.0
// spillway's pool under the load that the peers in this folder get, with the same arguments and the same line of JSON:
//   pool_load [--pool spillway|barging] --mode fast|contended|spike|async [--threads N] [--resources M] [--hold-us U] [--seconds S]
// `barging` is not for spike and async. Beyond what the peers print:
//   fast       `allocations` by all threads while cycles were counted
//   contended  `inversions`, see contended_load.cpp
//   async      N coroutines on two threads; see async_load.cpp
#include "barging_pool.hpp"
#include "load.hpp"

#include <spillway/core/version.hpp>

#include <boost/asio/io_context.hpp>

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <numeric>
#include <thread>

namespace {

/// What one reading of the clock costs, which every timed sample contains.
double clock_ns() {
  constexpr int readings{1'000'000};
  const auto from = clock_type::now();
  auto last = from;
  for (int i = 0; i < readings; ++i) last = clock_type::now();
  return std::chrono::duration<double, std::nano>{last - from}.count() / readings;
}

void print(const arguments& asked, const outcome& what) {
  const auto total = std::accumulate(what.cycles.begin(), what.cycles.end(), std::uint64_t{0});
  const auto [least, most] = std::ranges::minmax(what.cycles);
  const auto times = what.times.snapshot();
  const auto quantile = [&](double q) { return times.quantile(q).count(); };
  fmt::print(R"({{"peer":"{}","version":"{}","mode":"{}","threads":{},"resources":{},"cycles_per_s":{:.0f},"p50_ns":{},"p99_ns":{},"p999_ns":{},"max_ns":{},)"
             R"("share_min_max":{:.4f},"held_us":{:.1f}{},"clock_ns":{:.1f}}})"
             "\n",
             asked.pool, spillway::version(), asked.mode, asked.threads, asked.resources, static_cast<double>(total) / what.seconds, quantile(0.5),
             quantile(0.99), quantile(0.999), what.max_ns.load(), most == 0 ? 0.0 : static_cast<double>(least) / static_cast<double>(most),
             what.holds == 0 ? 0.0 : static_cast<double>(what.held_ns.load()) / static_cast<double>(what.holds.load()) / 1e3, what.more, clock_ns());
}

/// `cycle()` acquires and releases once.
template <class Cycle>
void measure_fast(const arguments& asked, outcome& what, Cycle cycle) {
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
  const auto allocated = allocations();
  const auto began = clock_type::now();
  now = phase::counting;
  std::this_thread::sleep_for(std::chrono::duration<double>{asked.seconds});
  now = phase::timing;
  what.seconds = std::chrono::duration<double>{since(began)}.count();
  what.more = fmt::format(R"(,"allocations":{})", allocations() - allocated);
  std::this_thread::sleep_for(1s);
  now = phase::stopped;
  for (auto& thread : threads) thread.join();
}

void run_fast(const arguments& asked, outcome& what) {
  if (asked.pool == "barging") {
    barging_pool pool{asked.resources};
    measure_fast(asked, what, [&] { (void)pool.acquire(); });
    return;
  }
  boost::asio::io_context unused;
  spillway::pool<stub> pool{config_of(asked), std::make_shared<stub_connector>(0ms, unused.get_executor())};
  measure_fast(asked, what, [&] { (void)pool.acquire(); });
}

/// The pool is warm with 5; N ask at once. Connecting takes 150 ms.
void run_spike(const arguments& asked, outcome& what) {
  spillway::io_runner_config runner_config;
  runner_config.threads = 1;
  spillway::io_runner runner{runner_config};
  runner.start();
  auto config = config_of(asked);
  config.min = 5;
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
      go.wait(false);
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
  go.notify_all();
  for (auto& thread : threads) thread.join();
  const auto begun = connector->begun.load();
  const auto opened = connector->opened.load();
  std::this_thread::sleep_for(1s);
  what.seconds = static_cast<double>(last_ns.load()) / 1e9;
  what.more = fmt::format(R"(,"opened":{},"begun":{},"opened_later":{},"all_done_ms":{:.2f})", opened, begun, connector->opened.load(),
                          static_cast<double>(last_ns.load()) / 1e6);
}

[[noreturn]] void refuse(const std::string& why) {
  fmt::print(stderr, "pool_load: {}\n", why);
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  arguments asked;
  std::map<std::string, std::string> given;
  for (int i = 1; i < argc; i += 2) {
    const std::string name{argv[i]};
    const auto known = {"--pool", "--mode", "--threads", "--resources", "--hold-us", "--seconds"};
    if (i + 1 == argc || std::ranges::find(known, name) == known.end()) refuse("unknown argument or no value: " + name);
    given[name] = argv[i + 1];
  }
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
  if (asked.threads == 0 || asked.resources == 0) refuse("--threads and --resources are at least 1");
  if (asked.pool == "barging" ? is_spike || is_async : asked.pool != "spillway") refuse("no pool '" + asked.pool + "' for this mode");
  outcome what;
  if (is_spike) run_spike(asked, what);
  else if (is_contended) run_contended(asked, what);
  else if (is_async) run_async(asked, what);
  else if (asked.mode == "fast") run_fast(asked, what);
  else refuse("--mode is fast, contended, spike or async");
  print(asked, what);
}
