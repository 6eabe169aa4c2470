// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/io_runner.hpp>

#include <boost/asio/post.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <latch>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

using namespace spillway;
namespace asio = boost::asio;

namespace {

io_runner_config with(std::size_t threads, runner_shape shape) {
  io_runner_config config;
  config.threads = threads;
  config.shape = shape;
  return config;
}

}  // namespace

TEST_CASE("io_runner.spreads_executors_over_its_threads") {
  io_runner runner{with(3, runner_shape::context_per_thread)};
  runner.start();
  CHECK(runner.context_count() == 3);
  std::mutex mutex;
  std::set<std::thread::id> ids;
  std::latch done{6};
  for (int i = 0; i < 6; ++i) {
    asio::post(runner.executor(), [&] {
      {
        const std::scoped_lock lock{mutex};
        ids.insert(std::this_thread::get_id());
      }
      done.count_down();
    });
  }
  done.wait();
  CHECK(ids.size() == 3);
}

TEST_CASE("io_runner.a_shared_context_runs_blocking_work_side_by_side") {
  io_runner runner{with(4, runner_shape::shared_context)};
  runner.start();
  CHECK(runner.context_count() == 1);
  std::latch together{4};  // passes only if four run at the same time
  std::latch done{4};
  for (int i = 0; i < 4; ++i) {
    asio::post(runner.executor(), [&] {
      together.arrive_and_wait();
      done.count_down();
    });
  }
  done.wait();
}

TEST_CASE("io_runner.drain_finishes_what_was_posted") {
  io_runner runner{with(2, runner_shape::shared_context)};
  std::atomic<int> ran{0};
  for (int i = 0; i < 1000; ++i) asio::post(runner.executor(), [&ran] { ++ran; });
  runner.start();
  runner.drain();
  CHECK(ran == 1000);
  runner.drain();
  runner.stop();
}

TEST_CASE("io_runner.stop_may_come_first_and_often") {
  io_runner runner{with(2, runner_shape::context_per_thread)};
  runner.stop();
  io_runner started{with(2, runner_shape::context_per_thread)};
  started.start();
  started.start();
  started.stop();
  started.stop();
}

TEST_CASE("io_runner.an_exception_is_reported_and_the_thread_goes_on") {
  std::promise<std::string> reported;
  io_runner_config config = with(1, runner_shape::context_per_thread);
  config.on_exception = [&reported](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& failure) {
      reported.set_value(failure.what());
    }
  };
  io_runner runner{config};
  runner.start();
  asio::post(runner.executor(), [] { throw std::runtime_error{"boom"}; });
  CHECK(reported.get_future().get() == "boom");
  std::promise<void> alive;
  asio::post(runner.executor(), [&alive] { alive.set_value(); });
  alive.get_future().get();
}

TEST_CASE("io_runner.too_many_threads_are_refused_by_name") {
  CHECK_THROWS_WITH_AS(io_runner{with(5000, runner_shape::shared_context)}, "io_runner_config.threads is 5000; it must be in [0, 1024]",
                       std::invalid_argument);
}
