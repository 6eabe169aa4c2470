// SPDX-License-Identifier: Apache-2.0
#include <spillway/pool/pool.hpp>
#include <spillway/testing/fake_connector.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/strand.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using testing::fake_connector;
using testing::fake_resource;
using lease = pool_lease<fake_resource>;

namespace {

io_runner_config runner_of(std::size_t threads) {
  io_runner_config config;
  config.threads = threads;
  config.shape = runner_shape::shared_context;
  return config;
}

/// Nobody else may have a resource while one has it.
struct exclusive {
  explicit exclusive(std::size_t most) : users(most + 1) {}
  void enter(int number) {
    if (users[static_cast<std::size_t>(number) % users.size()].fetch_add(1) != 0) ++clashes;
  }
  void leave(int number) { --users[static_cast<std::size_t>(number) % users.size()]; }
  std::vector<std::atomic<int>> users;
  std::atomic<int> clashes{0};
};

}  // namespace

TEST_CASE("pool_concurrency.a_resource_has_one_holder_at_a_time_and_nobody_starves") {
  pool_config config;
  config.max = 3;
  auto connector = std::make_shared<fake_connector>();
  connector->answer_at_once();
  pool<fake_resource> pool{config, connector};
  exclusive check{100'000};
  std::vector<std::thread> threads;
  std::atomic<int> served{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2'000; ++i) {
        auto got = pool.acquire(1min);
        if (!got) continue;
        const auto number = (*got)->number;
        check.enter(number);
        ++served;
        check.leave(number);
        if ((i + t) % 64 == 0) got->discard();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(served == 16'000);
  CHECK(check.clashes == 0);
  CHECK(connector->most_at_once() <= 3);
  CHECK(pool.stats().wait.count == 16'000);
  CHECK(pool.stats().hold.count == 16'000);
}

TEST_CASE("pool_concurrency.random_cancels_time_outs_and_resizes_leak_nothing") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  MESSAGE("seed " << seed);
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  constexpr int calls{20'000};
#else
  constexpr int calls{100'000};
#endif
  io_runner runner{runner_of(2)};
  runner.start();
  pool_config config;
  config.max = 4;
  config.overflow = 1;
  config.max_waiters = 200;
  config.slow_acquire = 1ms;
  std::atomic<int> lines{0};
  config.log = [&lines, text = std::string(100, 'x')](const log_event& event) {
    if (event.message != text) ++lines;  // reads what a resize must leave alone
  };
  auto connector = std::make_shared<fake_connector>();
  connector->answer_at_once();
  std::atomic<int> started{0};
  std::atomic<int> answered{0};
  std::atomic<int> granted{0};
  {
    pool<fake_resource> pool{config, connector, runner.executor()};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 2; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937_64 random{seed + t};
        for (int i = 0; i < calls / 2; ++i) {
          // A few in flight, so that the queue is never long.
          while (started - answered > 100) std::this_thread::yield();
          ++started;
          auto signal = std::make_shared<asio::cancellation_signal>();
          auto strand = asio::make_strand(runner.executor());
          acquire_options options{std::chrono::microseconds{random() % 3'000}};
          if (random() % 16 == 0) options.priority = pool_priority::critical;
          const auto action = random() % 8;
          asio::post(strand, [&, signal, strand, options, action] {
            auto handler = [&, signal, action](result<lease, pool_error> got) {
              if (got) {
                ++granted;
                if (action == 7) got->discard();
                got->release();
              }
              ++answered;
            };
            pool.async_acquire(options, asio::bind_cancellation_slot(signal->slot(), asio::bind_executor(strand, std::move(handler))));
          });
          if (action < 4) asio::post(strand, [signal] { signal->emit(asio::cancellation_type::terminal); });
          if (i % 1'000 == 0) (void)pool.resize(0, 1 + random() % 4);
          if (i % 5'000 == 0) pool.invalidate();
        }
      });
    }
    for (auto& thread : threads) thread.join();
    while (answered < started) std::this_thread::yield();
    const auto stats = pool.stats();
    CHECK(stats.lent == 0);
    CHECK(stats.waiting == 0);
    CHECK(stats.hold.count == static_cast<std::uint64_t>(granted.load()));
    CHECK(stats.wait.count == static_cast<std::uint64_t>(granted.load()));
    CHECK(pool.drain_for(1min).has_value());
  }
  CHECK(started == answered);
  CHECK(granted > 0);
  CHECK(connector->most_at_once() <= 5);
  CHECK(connector->open_count() == 0);
}

TEST_CASE("pool_concurrency.a_pool_destroyed_while_leases_come_back_is_not_touched_by_them") {
  for (int round = 0; round < 300; ++round) {
    auto connector = std::make_shared<fake_connector>();
    connector->answer_at_once();
    pool_config config;
    config.max = 4;
    auto pool = std::make_unique<spillway::pool<fake_resource>>(config, connector);
    std::vector<lease> leases;
    for (int i = 0; i < 4; ++i) leases.push_back(pool->acquire(1min).value());
    std::vector<std::thread> threads;
    for (auto& each : leases) {
      threads.emplace_back([mine = std::move(each)]() mutable { mine.release(); });
    }
    pool.reset();
    for (auto& thread : threads) thread.join();
    CHECK(connector->open_count() == 0);
    CHECK(connector.use_count() == 1);
  }
}

TEST_CASE("pool_concurrency.draining_while_everybody_asks_answers_everybody") {
  for (int round = 0; round < 50; ++round) {
    auto connector = std::make_shared<fake_connector>();
    connector->answer_at_once();
    pool_config config;
    config.max = 2;
    pool<fake_resource> pool{config, connector};
    std::atomic<bool> refused_all{true};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (;;) {
          const auto got = pool.acquire(1min);
          if (got) continue;
          if (!(got.error() == pool_errc::shutting_down)) refused_all = false;
          return;
        }
      });
    }
    CHECK(pool.drain_for(1min).has_value());
    for (auto& thread : threads) thread.join();
    CHECK(refused_all);
    CHECK(connector->open_count() == 0);
  }
}
