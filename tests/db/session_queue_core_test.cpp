// SPDX-License-Identifier: Apache-2.0
#include "db/session_queue_core.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using core_type = spillway::detail::session_queue_core;
using ids = std::vector<core_type::waiter_id>;

namespace {

constexpr time_point at(std::chrono::milliseconds since_start) { return time_point{since_start}; }
constexpr deadline by(std::chrono::milliseconds since_start) { return deadline{at(since_start)}; }

core_type::waiter_id join(core_type& core, deadline until = deadline::never(), std::chrono::milliseconds now = 0ms) {
  ids expired;
  const auto id = core.join(at(now), until, expired);
  REQUIRE(id.has_value());
  return *id;
}

}  // namespace

TEST_CASE("session_queue_core.lends_the_session_returned_last") {
  core_type core{3, 10};
  CHECK(core.take() == std::size_t{0});
  CHECK(core.take() == std::size_t{1});
  CHECK(core.take() == std::size_t{2});
  CHECK(core.take() == std::nullopt);
  ids expired;
  CHECK_FALSE(core.give_back(1, at(0ms), expired));
  CHECK_FALSE(core.give_back(0, at(0ms), expired));
  CHECK(core.take() == std::size_t{0});
  CHECK(core.take() == std::size_t{1});
  CHECK(core.in_use() == 3);
}

TEST_CASE("session_queue_core.hands_a_session_straight_to_the_first_waiter") {
  core_type core{1, 10};
  REQUIRE(core.take());
  const auto first = join(core);
  const auto second = join(core);
  ids expired;
  const auto grant = core.give_back(0, at(0ms), expired);
  REQUIRE(grant);
  CHECK(grant->waiter == first);
  CHECK(grant->session == 0);
  CHECK_FALSE(core.take());  // nobody can overtake the second
  CHECK(core.waiting() == 1);
  CHECK(core.give_back(0, at(0ms), expired)->waiter == second);
}

TEST_CASE("session_queue_core.a_waiter_that_leaves_gives_its_place_on") {
  core_type core{1, 10};
  REQUIRE(core.take());
  const auto first = join(core);
  const auto second = join(core);
  CHECK(core.leave(first));
  CHECK_FALSE(core.leave(first));
  ids expired;
  CHECK(core.give_back(0, at(0ms), expired)->waiter == second);
  CHECK_FALSE(core.leave(second));  // was granted
}

TEST_CASE("session_queue_core.passes_over_who_is_too_late") {
  core_type core{1, 10};
  REQUIRE(core.take());
  const auto early = join(core, by(10ms));
  const auto late = join(core, by(30ms));
  const auto patient = join(core);
  CHECK(core.next_deadline() == at(10ms));
  ids expired;
  const auto grant = core.give_back(0, at(30ms), expired);
  CHECK(expired == ids{early, late});
  CHECK(grant->waiter == patient);
  CHECK_FALSE(core.next_deadline());
}

TEST_CASE("session_queue_core.expires_exactly_at_the_deadline") {
  core_type core{1, 10};
  REQUIRE(core.take());
  const auto waiter = join(core, by(10ms));
  ids expired;
  core.expire(at(9ms), expired);
  CHECK(expired.empty());
  core.expire(at(10ms), expired);
  CHECK(expired == ids{waiter});
  CHECK(core.waiting() == 0);
}

TEST_CASE("session_queue_core.refuses_when_the_queue_is_full_or_it_is_too_late_already") {
  core_type core{1, 1};
  REQUIRE(core.take());
  ids expired;
  CHECK(core.join(at(10ms), by(10ms), expired).error() == db_errc::timed_out);
  const auto waiter = join(core, by(20ms), 10ms);
  CHECK(core.join(at(19ms), deadline::never(), expired).error() == db_errc::queue_full);
  // Whoever is too late makes room.
  CHECK(core.join(at(20ms), deadline::never(), expired).has_value());
  CHECK(expired == ids{waiter});
}

TEST_CASE("session_queue_core.without_places_nobody_waits") {
  core_type core{1, 0};
  REQUIRE(core.take());
  ids expired;
  CHECK(core.join(at(0ms), deadline::never(), expired).error() == db_errc::queue_full);
}

TEST_CASE("session_queue_core.clear_drops_all_in_order") {
  core_type core{1, 10};
  REQUIRE(core.take());
  const auto first = join(core, by(5ms));
  const auto second = join(core);
  ids dropped;
  core.clear(dropped);
  CHECK(dropped == ids{first, second});
  CHECK(core.waiting() == 0);
  CHECK_FALSE(core.next_deadline());
}

namespace {

/// The same rules, written for clarity only.
struct reference_queue {
  struct waiter {
    core_type::waiter_id id;
    deadline until;
  };
  std::vector<std::size_t> idle;
  std::deque<waiter> queue;
  std::size_t most;

  reference_queue(std::size_t sessions, std::size_t max_waiters) : most{max_waiters} {
    for (std::size_t i = sessions; i > 0; --i) idle.push_back(i - 1);
  }
  ids expire(time_point now) {
    ids gone;
    for (const auto& one : queue) {
      if (one.until.passed(now)) gone.push_back(one.id);
    }
    std::erase_if(queue, [&](const waiter& one) { return one.until.passed(now); });
    return gone;
  }
};

ids sorted(ids list) {
  std::ranges::sort(list);
  return list;
}

}  // namespace

TEST_CASE("session_queue_core.agrees_with_a_reference_queue_in_any_order_of_events") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  MESSAGE("seed " << seed);
  std::mt19937_64 random{seed};
  const auto pick = [&](std::uint64_t below) { return random() % below; };

  for (int round = 0; round < 200; ++round) {
    const std::size_t sessions = 1 + pick(4);
    const std::size_t most = pick(8);
    core_type core{sessions, most};
    reference_queue model{sessions, most};
    std::vector<std::size_t> lent;
    std::vector<core_type::waiter_id> ever;
    auto now = 0ms;

    for (int step = 0; step < 300; ++step) {
      now += std::chrono::milliseconds{pick(3)};
      ids expired;
      switch (pick(8)) {
        case 0:
        case 1:
        case 2: {  // someone asks
          const auto session = core.take();
          if (!model.idle.empty()) {
            REQUIRE(session == model.idle.back());
            model.idle.pop_back();
            lent.push_back(*session);
            break;
          }
          REQUIRE_FALSE(session);
          const auto until = pick(3) == 0 ? deadline::never() : by(now + std::chrono::milliseconds{pick(20)});
          const auto joined = core.join(at(now), until, expired);
          REQUIRE(sorted(expired) == sorted(model.expire(at(now))));
          if (until.passed(at(now))) {
            REQUIRE(joined.error() == db_errc::timed_out);
          } else if (model.queue.size() >= most) {
            REQUIRE(joined.error() == db_errc::queue_full);
          } else {
            REQUIRE(joined.has_value());
            model.queue.push_back({*joined, until});
            ever.push_back(*joined);
          }
          break;
        }
        case 3:
        case 4:
        case 5: {  // a session comes back
          if (lent.empty()) break;
          const auto which = pick(lent.size());
          const auto session = lent[which];
          lent.erase(lent.begin() + static_cast<std::ptrdiff_t>(which));
          const auto grant = core.give_back(session, at(now), expired);
          REQUIRE(sorted(expired) == sorted(model.expire(at(now))));
          if (model.queue.empty()) {
            REQUIRE_FALSE(grant);
            model.idle.push_back(session);
          } else {
            REQUIRE(grant);
            REQUIRE(grant->waiter == model.queue.front().id);
            REQUIRE(grant->session == session);
            model.queue.pop_front();
            lent.push_back(session);
          }
          break;
        }
        case 6: {  // someone who asked once gives up
          if (ever.empty()) break;
          const auto id = ever[pick(ever.size())];
          const auto gone = std::erase_if(model.queue, [id](const auto& one) { return one.id == id; });
          REQUIRE(core.leave(id) == (gone == 1));
          break;
        }
        default: {
          core.expire(at(now), expired);
          REQUIRE(sorted(expired) == sorted(model.expire(at(now))));
          break;
        }
      }
      REQUIRE(core.waiting() == model.queue.size());
      REQUIRE(core.in_use() == lent.size());
      REQUIRE(lent.size() + model.idle.size() == sessions);
      REQUIRE((model.queue.empty() || model.idle.empty()));
    }
  }
}
