// SPDX-License-Identifier: Apache-2.0
#include "health/check_threads.hpp"

#include "health/waiting.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <barrier>
#include <latch>
#include <memory>
#include <thread>
#include <utility>

using spillway::detail::check_threads;
using spillway::testing::await;
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
  std::atomic<int> made{0};
  for (int i = 0; i < 200; ++i) {
    std::latch done{1};
    while (!threads.try_run([&] {
      thread_local bool known{false};
      if (!std::exchange(known, true)) ++made;
      done.count_down();
    })) {
      std::this_thread::yield();
    }
    done.wait();
  }
  CHECK(made < 100);  // more than one only if those before were not free again yet
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
  }
  both->release.count_down();  // its thread ends by itself, with everything else gone
  both->ended.wait();
}

TEST_CASE("check_threads.a_thread_local_that_is_slow_to_go_holds_up_nothing") {
  constexpr int pieces{4};  // more threads than stay when idle
  static std::latch release{1};
  static std::atomic<int> going{0};
  static std::atomic<int> gone{0};
  struct slow_to_go {
    ~slow_to_go() {
      ++going;
      release.wait();
      ++gone;
    }
  };
  {
    check_threads threads{8};
    static std::barrier all{pieces};
    for (int i = 0; i < pieces; ++i) {
      REQUIRE(threads.try_run([] {
        thread_local slow_to_go last;
        (void)&last;
        all.arrive_and_wait();
      }));
    }
    await([] { return going > 0; });
    std::latch done{1};
    REQUIRE(threads.try_run([&done] { done.count_down(); }));
    done.wait();
    (void)threads.shut_down(0ms);
  }
  CHECK(gone == 0);
  release.count_down();
  await([] { return gone == pieces; });
}

TEST_CASE("check_threads.waits_for_thread_locals_while_it_has_patience") {
  static std::atomic<bool> gone{false};
  struct slow_to_go {
    ~slow_to_go() {
      for (int i = 0; i < 1'000; ++i) std::this_thread::yield();
      gone = true;
    }
  };
  check_threads threads{1};
  REQUIRE(threads.try_run([] {
    thread_local slow_to_go last;
    (void)&last;
  }));
  CHECK(threads.shut_down(60s) == 0);
  CHECK(gone);
}
