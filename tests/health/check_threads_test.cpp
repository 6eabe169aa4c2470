// SPDX-License-Identifier: Apache-2.0
#include "health/check_threads.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <set>
#include <mutex>
#include <thread>

using spillway::detail::check_threads;
using namespace std::chrono_literals;

TEST_CASE("check_threads.what_hangs_holds_up_nothing_else") {
  std::latch release{1};
  std::latch hanging{3};
  check_threads threads{4};
  for (int i = 0; i < 3; ++i) {
    REQUIRE(threads.try_run([&] {
      hanging.count_down();
      release.wait();
    }));
  }
  hanging.wait();
  for (int i = 0; i < 100; ++i) {
    std::latch done{1};
    // The thread is free again a moment after its work is done.
    while (!threads.try_run([&done] { done.count_down(); })) std::this_thread::yield();
    done.wait();
  }
  release.count_down();
  CHECK(threads.shut_down(10s) == 0);
}

TEST_CASE("check_threads.refuses_when_every_thread_is_busy") {
  std::latch release{1};
  check_threads threads{2};
  CHECK(threads.try_run([&release] { release.wait(); }));
  CHECK(threads.try_run([&release] { release.wait(); }));
  CHECK_FALSE(threads.try_run([] {}));
  release.count_down();
  CHECK(threads.shut_down(10s) == 0);
  CHECK_FALSE(threads.try_run([] {}));  // no more after that
}

TEST_CASE("check_threads.reuses_threads_instead_of_making_one_for_each_piece") {
  check_threads threads{8};
  std::mutex mutex;
  std::set<std::thread::id> used;
  for (int i = 0; i < 200; ++i) {
    std::latch done{1};
    while (!threads.try_run([&] {
      const std::scoped_lock lock{mutex};
      used.insert(std::this_thread::get_id());
      done.count_down();
    })) {
      std::this_thread::yield();
    }
    done.wait();
  }
  CHECK(used.size() <= 8);
  CHECK(threads.shut_down(10s) == 0);
}

TEST_CASE("check_threads.leaves_behind_what_does_not_return") {
  struct shared {
    std::latch release{1};
    std::latch ended{1};
  };
  const auto both = std::make_shared<shared>();
  {
    check_threads threads{3};
    REQUIRE(threads.try_run([both] {
      both->release.wait();
      both->ended.count_down();
    }));
    REQUIRE(threads.try_run([] {}));
    CHECK(threads.shut_down(0ms) == 1);
    CHECK(threads.shut_down(0ms) == 0);  // told once
  }
  both->release.count_down();  // its thread ends by itself, with everything else gone
  both->ended.wait();
}
