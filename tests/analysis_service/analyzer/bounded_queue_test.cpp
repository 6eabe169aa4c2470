// SPDX-License-Identifier: Apache-2.0
#include "analyzer/bounded_queue.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

using analysis::bounded_queue;

TEST_CASE("bounded_queue.gives_items_in_order_and_ends_when_closed") {
  bounded_queue<int> queue(4);
  CHECK(queue.push(1));
  CHECK(queue.push(2));
  queue.close();
  CHECK_FALSE(queue.push(3));
  CHECK(queue.pop() == 1);
  CHECK(queue.pop() == 2);
  CHECK(queue.pop() == std::nullopt);
}

TEST_CASE("bounded_queue.drops_everything_when_cancelled") {
  bounded_queue<int> queue(4);
  CHECK(queue.push(1));
  queue.cancel();
  CHECK(queue.pop() == std::nullopt);
  CHECK_FALSE(queue.push(2));
}

TEST_CASE("bounded_queue.holds_no_more_than_its_capacity") {
  bounded_queue<int> queue(3);
  std::atomic<int> pushed{0};
  std::atomic<int> popped{0};
  std::atomic<bool> over{false};
  {
    std::vector<std::jthread> threads;
    for (int producer = 0; producer < 3; ++producer) {
      threads.emplace_back([&] {
        for (int i = 0; i < 2000; ++i) {
          queue.push(i);
          // `popped` may lag behind what has left the queue, by one for each consumer.
          if (++pushed - popped > 3 + 3 + 2) over = true;
        }
      });
    }
    for (int consumer = 0; consumer < 2; ++consumer) {
      threads.emplace_back([&] {
        while (queue.pop()) {
          if (++popped == 6000) queue.close();
        }
      });
    }
  }
  CHECK(popped == 6000);
  CHECK_FALSE(over);
}

TEST_CASE("bounded_queue.cancelling_wakes_those_who_wait") {
  bounded_queue<int> full(1);
  CHECK(full.push(1));
  bounded_queue<int> empty(1);
  std::atomic<int> refused{0};
  {
    const std::jthread producer([&] { refused += full.push(2) ? 0 : 1; });
    const std::jthread consumer([&] { refused += empty.pop() ? 0 : 1; });
    full.cancel();
    empty.cancel();
  }
  CHECK(refused == 2);
}
