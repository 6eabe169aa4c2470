// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spillway/core/latency_histogram.hpp>
#include <spillway/pool/pool.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

inline std::chrono::nanoseconds since(clock_type::time_point start) { return clock_type::now() - start; }

/// How often this program has called operator new so far, on all threads.
std::uint64_t allocations() noexcept;

struct arguments {
  std::string pool{"spillway"};
  std::string mode{"fast"};
  std::size_t threads{1};
  std::size_t resources{8};
  std::chrono::microseconds hold{0};
  double seconds{3};
};

enum class phase : int { warming, counting, timing, stopped };

/// What a load has seen. `record` may be called from any thread.
struct outcome {
  std::vector<std::uint64_t> cycles;
  double seconds{1};
  spillway::latency_histogram times;
  std::atomic<std::int64_t> held_ns{0};
  std::atomic<std::uint64_t> holds{0};
  std::atomic<std::int64_t> max_ns{0};
  std::string more;  // further members of the line of JSON

  void record(std::chrono::nanoseconds time) {
    times.record(time);
    auto seen = max_ns.load(std::memory_order_relaxed);
    while (seen < time.count() && !max_ns.compare_exchange_weak(seen, time.count())) {
    }
  }
};

/// Stands for a connection.
struct stub {
  std::uint64_t freed{0};  // see the order phase of `contended`
};

/// Opens at once, or after a time.
class stub_connector final : public spillway::pool_connector<stub> {
 public:
  stub_connector(std::chrono::milliseconds takes, boost::asio::any_io_executor executor) : takes_{takes}, executor_{std::move(executor)} {}

  void open(spillway::open_request<stub> request) override {
    ++begun;
    if (takes_.count() == 0) {
      ++opened;
      request.succeed({});
      return;
    }
    auto timer = std::make_shared<boost::asio::steady_timer>(executor_, takes_);
    timer->async_wait([this, timer, request = std::make_shared<spillway::open_request<stub>>(std::move(request))](const spillway::error_code&) {
      ++opened;
      request->succeed({});
    });
  }

  std::atomic<int> begun{0};
  std::atomic<int> opened{0};

 private:
  std::chrono::milliseconds takes_;
  boost::asio::any_io_executor executor_;
};

inline spillway::pool_config config_of(const arguments& asked) {
  spillway::pool_config config;
  config.max = asked.resources;
  config.acquire_timeout = 60s;
  config.slow_acquire = 0ms;
  return config;
}

void run_contended(const arguments& asked, outcome& what);
void run_async(const arguments& asked, outcome& what);
