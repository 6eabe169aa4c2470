// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/io_runner.hpp>
#include <spillway/http/shutdown_signal.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <csignal>
#include <future>
#include <sys/wait.h>
#include <unistd.h>

using namespace spillway;
namespace asio = boost::asio;

namespace {

io_runner_config one_thread() {
  io_runner_config config;
  config.threads = 1;
  return config;
}

}  // namespace

TEST_CASE("shutdown_signal.wakes_all_who_wait_and_who_come_late") {
  io_runner runner{one_thread()};
  shutdown_signal signal{runner.executor()};
  runner.start();
  auto wait = [&signal]() -> asio::awaitable<int> { co_return co_await signal.async_wait(asio::use_awaitable); };
  auto first = asio::co_spawn(runner.executor(), wait, asio::use_future);
  ::raise(SIGTERM);
  CHECK(first.get() == SIGTERM);
  CHECK(signal.wait() == SIGTERM);
}

TEST_CASE("shutdown_signal.that_came_before_the_first_wait_is_not_lost") {
  io_runner runner{one_thread()};
  shutdown_signal signal{runner.executor()};
  ::raise(SIGINT);
  runner.start();
  CHECK(signal.wait() == SIGINT);
}

TEST_CASE("shutdown_signal.destroyed_it_ends_waits_with_zero") {
  io_runner runner{one_thread()};
  runner.start();
  std::future<int> waiting;
  {
    shutdown_signal signal{runner.executor()};
    waiting = signal.async_wait(asio::use_future);
  }
  CHECK(waiting.get() == 0);
}

TEST_CASE("shutdown_signal.a_second_signal_ends_the_program") {
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    io_runner runner{one_thread()};
    shutdown_signal signal{runner.executor()};
    runner.start();
    ::raise(SIGTERM);
    if (signal.wait() == SIGTERM) ::raise(SIGTERM);
    ::_exit(0);
  }
  int status{0};
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGTERM);
}
