// SPDX-License-Identifier: Apache-2.0
#include "pool/wait_queue.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <list>
#include <random>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using detail::wait_node;
using detail::wait_queue;

TEST_CASE("wait_queue.serves_in_order_and_critical_ones_first") {
  wait_queue queue;
  wait_node first;
  wait_node second;
  wait_node urgent;
  urgent.critical = true;
  queue.push(first);
  queue.push(second);
  queue.push(urgent);
  CHECK(queue.front() == &urgent);
  CHECK(queue.has_critical());
  queue.remove(urgent);
  CHECK(queue.front() == &first);
  queue.remove(first);
  CHECK(queue.front() == &second);
  CHECK(queue.most_urgent() == nullptr);  // nobody has a deadline
  queue.remove(second);
  CHECK(queue.empty());
  CHECK_FALSE(second.queued);
}

TEST_CASE("wait_queue.agrees_with_sorted_lists_in_any_order_of_events") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random{seed};
  wait_queue queue;
  std::list<wait_node> nodes;
  std::deque<wait_node*> lines[2];
  for (int step = 0; step < 20'000; ++step) {
    if (nodes.empty() || random() % 2 == 0) {
      auto& node = nodes.emplace_back();
      node.critical = random() % 5 == 0;
      node.since = time_point{std::chrono::nanoseconds{step}};
      if (random() % 4 != 0) node.until = deadline{time_point{std::chrono::nanoseconds{random() % 100}}};
      queue.push(node);
      lines[node.critical ? 0 : 1].push_back(&node);
    } else {
      auto which = nodes.begin();
      std::advance(which, static_cast<std::ptrdiff_t>(random() % std::min<std::size_t>(nodes.size(), 50)));
      queue.remove(*which);
      std::erase(lines[which->critical ? 0 : 1], &*which);
      nodes.erase(which);
    }
    REQUIRE(queue.size() == nodes.size());
    REQUIRE(queue.front() == (!lines[0].empty() ? lines[0].front() : !lines[1].empty() ? lines[1].front() : nullptr));
    const auto soonest = std::ranges::min_element(nodes, {}, [](const wait_node& node) { return node.until.at(); });
    if (soonest == nodes.end() || soonest->until.is_never()) {
      REQUIRE(queue.most_urgent() == nullptr);
    } else {
      REQUIRE(queue.most_urgent()->until == soonest->until);
    }
    const auto oldest = std::ranges::min_element(nodes, {}, &wait_node::since);
    REQUIRE(queue.oldest() == (oldest == nodes.end() ? std::nullopt : std::optional{oldest->since}));
  }
}
