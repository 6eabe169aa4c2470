// SPDX-License-Identifier: Apache-2.0
// Decisions, by literal times.
#include "pool/pool_core.hpp"
#include "support/literal_time.hpp"

#include <doctest/doctest.h>

#include <array>
#include <deque>

using namespace spillway;
using namespace std::chrono_literals;
using detail::opening_question;
using detail::pool_core;
using detail::pool_limits;
using detail::wait_node;
using testing::at;

namespace {

constexpr auto never = time_point::max();

/// A core, and what it last decided.
struct pool_under_test {
  explicit pool_under_test(const pool_limits& limits) : core{limits} {}

  wait_node& join(std::chrono::milliseconds now = 0ms, deadline until = deadline::never(), bool critical = false) {
    auto& node = nodes.emplace_back();
    node.until = until;
    node.critical = critical;
    out.clear();
    REQUIRE(core.join(node, at(now), out).has_value());
    return node;
  }
  pool_core::resource_id open(std::chrono::milliseconds now = 0ms, std::chrono::milliseconds took = 0ms, time_point expires = never) {
    out.clear();
    return core.opened(at(now), expires, took, false, false, out);
  }
  /// A resource that is idle.
  pool_core::resource_id open_idle(std::chrono::milliseconds now = 0ms, time_point expires = never, std::chrono::milliseconds took = 0ms) {
    out.clear();
    core.missed(at(now), out);
    REQUIRE(out.open == 1);
    return open(now, took, expires);
  }
  std::optional<pool_core::resource_id> take(std::chrono::milliseconds now = 0ms, bool critical = false) {
    out.clear();
    return core.take(at(now), critical, out);
  }
  void give_back(pool_core::resource_id id, std::chrono::milliseconds now = 0ms, bool keep = true) {
    out.clear();
    core.give_back(id, at(now), keep, out);
  }
  void tick(std::chrono::milliseconds now) {
    out.clear();
    core.tick(at(now), out);
  }

  pool_core core;
  pool_core::actions out;
  std::deque<wait_node> nodes;
};

pool_limits limits_of(std::size_t max) {
  pool_limits limits;
  limits.max = max;
  limits.failure_is_fresh = 1s;
  return limits;
}

}  // namespace

TEST_CASE("pool_core.openings_to_begin_is_the_least_of_need_hands_and_room") {
  struct row {
    opening_question question;
    std::size_t answer;
  };
  // room, connecting, allowed, demand, floor
  for (const auto& [question, answer] : std::array<row, 9>{{{{10, 0, 2, 0, 0}, 0},
                                                           {{10, 0, 2, 1, 0}, 1},
                                                           {{10, 0, 2, 5, 0}, 2},
                                                           {{10, 0, 2, 0, 5}, 2},
                                                           {{10, 1, 2, 5, 0}, 1},
                                                           {{10, 2, 2, 5, 0}, 0},
                                                           {{10, 1, 2, 1, 1}, 0},
                                                           {{1, 0, 2, 5, 0}, 1},
                                                           {{0, 0, 2, 5, 5}, 0}}}) {
    CAPTURE(question.demand);
    CAPTURE(question.floor);
    CHECK(detail::openings_to_begin(question) == answer);
  }
}

TEST_CASE("pool_core.lends_what_came_back_last") {
  pool_under_test pool{limits_of(3)};
  const auto first = pool.open_idle();
  pool.core.missed(at(0ms), pool.out);
  CHECK(pool.core.opening() == 0);  // there is one already
  CHECK(pool.take() == first);
  auto& a = pool.join();
  CHECK(pool.out.open == 1);
  const auto second = pool.open();
  REQUIRE(pool.out.grants.size() == 1);
  CHECK(pool.out.grants[0].waiter == &a);
  CHECK(pool.out.grants[0].resource == second);
  pool.give_back(first);
  pool.give_back(second);
  CHECK(pool.take() == second);
  CHECK(pool.take() == first);
  CHECK_FALSE(pool.take());
}

TEST_CASE("pool_core.hands_a_resource_straight_to_the_first_waiter") {
  pool_under_test pool{limits_of(1)};
  const auto only = pool.open_idle();
  REQUIRE(pool.take());
  auto& first = pool.join();
  auto& second = pool.join();
  CHECK(pool.out.open == 0);  // no room
  pool.give_back(only);
  REQUIRE(pool.out.grants.size() == 1);
  CHECK(pool.out.grants[0].waiter == &first);
  CHECK_FALSE(pool.take());  // nobody overtakes the second
  pool.give_back(only);
  CHECK(pool.out.grants[0].waiter == &second);
}

TEST_CASE("pool_core.passes_over_those_who_are_too_late") {
  pool_under_test pool{limits_of(1)};
  const auto only = pool.open_idle();
  REQUIRE(pool.take());
  auto& late = pool.join(0ms, deadline{at(10ms)});
  auto& patient = pool.join(0ms, deadline{at(30ms)});
  pool.give_back(only, 20ms);
  REQUIRE(pool.out.refusals.size() == 1);
  CHECK(pool.out.refusals[0].waiter == &late);
  CHECK(pool.out.refusals[0].why == pool_errc::timed_out);
  CHECK(pool.out.refusals[0].cause == pool_wait_cause::queue);
  REQUIRE(pool.out.grants.size() == 1);
  CHECK(pool.out.grants[0].waiter == &patient);
}

TEST_CASE("pool_core.a_waiter_who_left_is_not_served") {
  pool_under_test pool{limits_of(1)};
  const auto only = pool.open_idle();
  REQUIRE(pool.take());
  auto& gone = pool.join();
  auto& next = pool.join();
  CHECK(pool.core.leave(gone, at(0ms), pool.out));
  CHECK_FALSE(pool.core.leave(gone, at(0ms), pool.out));
  pool.give_back(only);
  REQUIRE(pool.out.grants.size() == 1);
  CHECK(pool.out.grants[0].waiter == &next);
  CHECK_FALSE(pool.core.leave(next, at(0ms), pool.out));  // served already
}

TEST_CASE("pool_core.the_queue_is_bounded_but_late_waiters_do_not_count") {
  auto limits = limits_of(1);
  limits.max_waiters = 1;
  pool_under_test pool{limits};
  (void)pool.open_idle();
  REQUIRE(pool.take());
  (void)pool.join(0ms, deadline{at(10ms)});
  wait_node another;
  CHECK(pool.core.join(another, at(5ms), pool.out).error() == pool_errc::queue_full);
  CHECK(pool.core.join(another, at(10ms), pool.out).has_value());
  REQUIRE(pool.out.refusals.size() == 1);
}

TEST_CASE("pool_core.a_deadline_that_has_passed_is_refused_at_the_door") {
  pool_under_test pool{limits_of(1)};
  wait_node late;
  late.until = deadline{at(5ms)};
  CHECK(pool.core.join(late, at(5ms), pool.out).error() == pool_errc::timed_out);
  CHECK(pool.out.open == 0);
}

TEST_CASE("pool_core.opens_two_at_a_time_from_nothing") {
  pool_under_test pool{limits_of(10)};
  for (int i = 0; i < 5; ++i) (void)pool.join();
  CHECK(pool.core.opening() == 2);
  (void)pool.open(10ms, 10ms);
  CHECK(pool.out.grants.size() == 1);
  CHECK(pool.core.opening() + pool.core.lent() >= 2);
}

TEST_CASE("pool_core.opens_one_more_while_others_work_and_two_once_patience_ends") {
  pool_under_test pool{limits_of(10)};
  (void)pool.join();
  (void)pool.open(100ms, 100ms);  // an opening takes 100 ms
  (void)pool.join(200ms);
  (void)pool.join(200ms);
  (void)pool.join(200ms);
  CHECK(pool.core.opening() == 1);
  CHECK(pool.core.next_wake(at(200ms)) == at(225ms));
  pool.tick(224ms);
  CHECK(pool.core.opening() == 1);
  pool.tick(225ms);  // a quarter of an opening has passed
  CHECK(pool.core.opening() == 2);
}

TEST_CASE("pool_core.keeps_min_open_and_min_idle_idle") {
  auto limits = limits_of(10);
  limits.min = 2;
  limits.min_idle = 1;
  pool_under_test pool{limits};
  pool.tick(0ms);
  CHECK(pool.out.open == 2);
  (void)pool.open();
  (void)pool.open();
  CHECK(pool.core.opening() == 0);
  REQUIRE(pool.take());
  CHECK(pool.core.opening() == 0);  // one is idle still
  REQUIRE(pool.take());
  CHECK(pool.out.open == 1);
}

TEST_CASE("pool_core.closes_what_was_idle_too_long_beyond_min") {
  auto limits = limits_of(10);
  limits.min = 1;
  limits.idle_timeout = 100ms;
  pool_under_test pool{limits};
  pool.tick(0ms);
  const auto first = pool.open();
  REQUIRE(pool.take());
  (void)pool.join();
  const auto second = pool.open();
  pool.give_back(first, 10ms);
  pool.give_back(second, 20ms);
  pool.tick(109ms);
  CHECK(pool.out.close.empty());
  pool.tick(110ms);
  REQUIRE(pool.out.close.size() == 1);
  CHECK(pool.out.close[0] == first);  // the one that was used least recently
  pool.tick(500ms);
  CHECK(pool.out.close.empty());
  CHECK(pool.core.live() == 1);
}

TEST_CASE("pool_core.opens_the_successor_before_it_ends_an_old_resource") {
  auto limits = limits_of(2);
  limits.min = 1;
  limits.overdue_grace = 100ms;
  pool_under_test pool{limits};
  pool.tick(0ms);
  const auto old = pool.open(0ms, 0ms, at(1'000ms));
  pool.tick(1'000ms);
  CHECK(pool.out.open == 1);
  CHECK(pool.out.close.empty());
  (void)pool.open(1'010ms, 10ms);
  pool.tick(1'020ms);
  REQUIRE(pool.out.close.size() == 1);
  CHECK(pool.out.close[0] == old);
  CHECK(pool.core.live() == 1);
}

TEST_CASE("pool_core.without_room_for_a_successor_the_old_resource_goes_first") {
  auto limits = limits_of(1);
  limits.min = 1;
  pool_under_test pool{limits};
  pool.tick(0ms);
  const auto old = pool.open(0ms, 0ms, at(1'000ms));
  pool.tick(1'000ms);
  REQUIRE(pool.out.close.size() == 1);
  CHECK(pool.out.close[0] == old);
  CHECK(pool.core.opening() == 0);  // it counts until it is closed
  pool.out.clear();
  pool.core.closed(old, at(1'001ms), pool.out);
  CHECK(pool.out.open == 1);
}

TEST_CASE("pool_core.an_old_resource_is_lent_for_a_while_longer") {
  auto limits = limits_of(1);
  limits.overdue_grace = 100ms;
  pool_under_test pool{limits};
  const auto old = pool.open_idle(0ms, at(1'000ms));
  REQUIRE(pool.take(0ms) == old);
  auto& waiting = pool.join(1'000ms);
  pool.give_back(old, 1'050ms);
  REQUIRE(pool.out.grants.size() == 1);
  CHECK(pool.out.grants[0].waiter == &waiting);
  (void)pool.join(1'060ms);
  pool.give_back(old, 1'100ms);
  CHECK(pool.out.grants.empty());
  REQUIRE(pool.out.close.size() == 1);
  pool.out.clear();
  pool.core.closed(old, at(1'100ms), pool.out);
  CHECK(pool.out.open == 1);
}

TEST_CASE("pool_core.a_lent_resource_gets_its_successor_before_it_comes_back") {
  auto limits = limits_of(2);
  limits.overdue_grace = 100ms;
  pool_under_test pool{limits};
  const auto old = pool.open_idle(0ms, at(1'000ms));
  REQUIRE(pool.take(0ms) == old);
  pool.tick(1'000ms);
  CHECK(pool.out.open == 1);
  const auto successor = pool.open(1'010ms);
  pool.tick(1'020ms);
  CHECK(pool.out.open == 0);
  pool.give_back(old, 1'030ms);
  REQUIRE(pool.out.close.size() == 1);
  CHECK(pool.out.close[0] == old);
  CHECK(pool.take(1'040ms) == successor);
}

TEST_CASE("pool_core.pings_before_lending_what_was_idle_for_long") {
  auto limits = limits_of(2);
  limits.ping_after_idle = 100ms;
  pool_under_test pool{limits};
  const auto id = pool.open_idle(0ms, never, 40ms);
  CHECK_FALSE(pool.take(100ms));
  REQUIRE(pool.out.ping.size() == 1);
  auto& waiting = pool.join(100ms);
  CHECK(pool.out.open == 0);  // the ping serves it
  CHECK(pool.core.cause() == pool_wait_cause::validation);
  SUBCASE("alive: it is lent") {
    pool.out.clear();
    pool.core.pinged(id, at(101ms), true, pool.out);
    REQUIRE(pool.out.grants.size() == 1);
    CHECK(pool.out.grants[0].waiter == &waiting);
  }
  SUBCASE("dead: it is closed and another opened") {
    pool.out.clear();
    pool.core.pinged(id, at(101ms), false, pool.out);
    CHECK(pool.out.grants.empty());
    CHECK(pool.out.close.size() == 1);
    CHECK(pool.out.open == 1);
  }
}

TEST_CASE("pool_core.a_ping_that_takes_longer_than_half_an_opening_is_not_waited_for_any_more") {
  auto limits = limits_of(2);
  limits.ping_after_idle = 100ms;
  pool_under_test pool{limits};
  const auto id = pool.open_idle(0ms, never, 40ms);
  CHECK_FALSE(pool.take(100ms));
  (void)pool.join(100ms);
  CHECK(pool.out.open == 0);
  CHECK(pool.core.next_wake(at(100ms)) == at(120ms));
  pool.tick(119ms);
  CHECK(pool.out.open == 0);
  pool.tick(120ms);
  CHECK(pool.out.open == 1);
  CHECK_FALSE(pool.core.next_wake(at(120ms)));
  SUBCASE("the opening serves the caller") {
    const auto other = pool.open(160ms, 40ms);
    REQUIRE(pool.out.grants.size() == 1);
    CHECK(pool.out.grants[0].resource == other);
  }
  SUBCASE("or the ping, if it answers first") {
    pool.out.clear();
    pool.core.pinged(id, at(130ms), true, pool.out);
    REQUIRE(pool.out.grants.size() == 1);
    CHECK(pool.out.grants[0].resource == id);
  }
}

TEST_CASE("pool_core.who_does_not_wait_makes_it_open_another_when_a_ping_hangs") {
  auto limits = limits_of(2);
  limits.ping_after_idle = 100ms;
  pool_under_test pool{limits};
  (void)pool.open_idle(0ms, never, 40ms);
  CHECK_FALSE(pool.take(100ms));
  pool.core.missed(at(119ms), pool.out);
  CHECK(pool.out.open == 0);
  pool.core.missed(at(120ms), pool.out);
  CHECK(pool.out.open == 1);
}

TEST_CASE("pool_core.pings_no_more_at_a_time_than_somebody_waits_for") {
  auto limits = limits_of(3);
  limits.ping_after_idle = 100ms;
  pool_under_test pool{limits};
  std::array<pool_core::resource_id, 3> ids{};
  for (auto& id : ids) {
    (void)pool.join();
    id = pool.open(0ms, 40ms);
  }
  for (const auto id : ids) pool.give_back(id);
  CHECK_FALSE(pool.take(100ms));
  REQUIRE(pool.out.ping.size() == 1);
  CHECK(pool.out.ping[0] == ids[2]);
  CHECK_FALSE(pool.take(100ms));
  CHECK(pool.out.ping.empty());  // one is enough for somebody who does not wait
  (void)pool.join(100ms);
  CHECK(pool.out.ping.empty());  // and it will do for the first
  (void)pool.join(101ms);
  REQUIRE(pool.out.ping.size() == 1);
  CHECK(pool.out.ping[0] == ids[1]);
  CHECK(pool.core.idle() == 1);
  SUBCASE("one that is dead is followed by the next") {
    pool.out.clear();
    pool.core.pinged(ids[2], at(102ms), false, pool.out);
    REQUIRE(pool.out.ping.size() == 1);
    CHECK(pool.out.ping[0] == ids[0]);
  }
  SUBCASE("so is one that does not answer") {
    pool.tick(119ms);
    CHECK(pool.out.ping.empty());
    pool.tick(120ms);
    REQUIRE(pool.out.ping.size() == 1);
    CHECK(pool.out.ping[0] == ids[0]);
  }
  SUBCASE("one that is alive leaves the others in peace") {
    pool.out.clear();
    pool.core.pinged(ids[2], at(102ms), true, pool.out);
    pool.core.pinged(ids[1], at(102ms), true, pool.out);
    CHECK(pool.out.grants.size() == 2);
    CHECK(pool.out.ping.empty());
    CHECK(pool.core.idle() == 1);
  }
}

TEST_CASE("pool_core.what_needs_no_ping_is_lent_past_those_that_do") {
  auto limits = limits_of(2);
  limits.ping_after_idle = 100ms;
  pool_under_test pool{limits};
  const auto older = pool.open_idle(0ms, never, 40ms);
  REQUIRE(pool.take());
  (void)pool.join();
  const auto newer = pool.open(0ms, 40ms);
  pool.give_back(older, 10ms);
  pool.give_back(newer, 20ms);
  CHECK_FALSE(pool.take(130ms));
  pool.core.pinged(newer, at(131ms), true, pool.out);
  CHECK_FALSE(pool.take(300ms));
  (void)pool.join(300ms);
  (void)pool.join(300ms);
  pool.out.clear();
  pool.core.pinged(older, at(301ms), true, pool.out);
  REQUIRE(pool.out.grants.size() == 1);
  CHECK(pool.out.grants[0].resource == older);
}

TEST_CASE("pool_core.keeps_idle_resources_alive_and_in_their_order") {
  auto limits = limits_of(2);
  limits.keepalive = 100ms;
  pool_under_test pool{limits};
  const auto first = pool.open_idle();
  REQUIRE(pool.take());
  (void)pool.join();
  const auto second = pool.open();
  pool.give_back(first, 0ms);
  pool.give_back(second, 50ms);
  pool.tick(100ms);
  REQUIRE(pool.out.ping.size() == 1);
  CHECK(pool.out.ping[0] == first);
  pool.core.pinged(first, at(101ms), true, pool.out);
  CHECK(pool.take(102ms) == second);  // used last, whatever was pinged last
}

TEST_CASE("pool_core.while_the_backend_is_down_one_opening_is_tried_at_a_time") {
  pool_under_test pool{limits_of(10)};
  auto& first = pool.join();
  auto& second = pool.join();
  CHECK(pool.core.opening() == 2);
  pool.out.clear();
  pool.core.open_failed(at(10ms), at(30ms), false, pool.out);
  REQUIRE(pool.out.refusals.size() == 2);  // there is nothing to wait for
  CHECK(pool.out.refusals[0].waiter == &first);
  CHECK(pool.out.refusals[1].waiter == &second);
  CHECK(pool.out.refusals[0].why == pool_errc::backend_down);
  pool.out.clear();
  pool.core.open_failed(at(11ms), at(31ms), false, pool.out);
  CHECK(pool.core.opening() == 0);

  wait_node asking;
  CHECK(pool.core.join(asking, at(12ms), pool.out).error() == pool_errc::backend_down);
  CHECK(pool.out.open == 0);
  CHECK(pool.core.next_wake(at(12ms)) == at(31ms));
  pool.tick(31ms);
  CHECK(pool.out.open == 1);  // the one that finds out
  CHECK(pool.core.join(asking, at(32ms), pool.out).error() == pool_errc::backend_down);
  CHECK(pool.core.opening() == 1);
  (void)pool.open(33ms);
  CHECK_FALSE(pool.core.is_down(at(33ms)));
  CHECK(pool.take(33ms).has_value());
}

TEST_CASE("pool_core.a_failure_of_long_ago_refuses_nobody") {
  pool_under_test pool{limits_of(10)};
  (void)pool.join();
  pool.core.open_failed(at(10ms), at(30ms), false, pool.out);
  CHECK(pool.core.is_down(at(1'009ms)));
  CHECK_FALSE(pool.core.is_down(at(1'010ms)));
  auto& waiting = pool.join(6h);  // begins a try, and waits for it
  CHECK(pool.out.open == 1);
  pool.out.clear();
  pool.core.open_failed(at(6h), at(6h + 20ms), false, pool.out);
  REQUIRE(pool.out.refusals.size() == 1);
  CHECK(pool.out.refusals[0].waiter == &waiting);
  CHECK(pool.out.refusals[0].why == pool_errc::backend_down);
}

TEST_CASE("pool_core.no_time_is_set_for_what_cannot_be_done") {
  auto limits = limits_of(1);
  limits.min = 1;
  SUBCASE("draining while the backend is down") {
    pool_under_test pool{limits};
    pool.tick(0ms);
    pool.core.open_failed(at(10ms), at(30ms), false, pool.out);
    pool.core.missed(at(11ms), pool.out);
    pool.core.drain(at(12ms), pool.out);
    CHECK_FALSE(pool.core.next_wake(at(12ms)));
  }
  SUBCASE("an opening hangs in the only place") {
    pool_under_test pool{limits};
    pool.tick(0ms);
    pool.out.clear();
    pool.core.open_lost(at(100ms), at(120ms), pool.out);
    CHECK_FALSE(pool.core.next_wake(at(100ms)));
    pool.core.open_forgotten(at(200ms), pool.out);
    CHECK(pool.out.open == 1);
  }
  SUBCASE("the budget gives no leave while the backend is down") {
    pool_under_test pool{limits};
    pool.tick(0ms);
    pool.core.open_failed(at(10ms), at(30ms), false, pool.out);
    pool.tick(30ms);
    REQUIRE(pool.out.open == 1);
    pool.core.open_deferred(at(30ms), 1, at(130ms));
    CHECK(pool.core.next_wake(at(30ms)) == at(130ms));
  }
}

TEST_CASE("pool_core.callers_who_do_not_wait_make_it_grow_too") {
  pool_under_test pool{limits_of(3)};
  (void)pool.open_idle();
  REQUIRE(pool.take());
  pool.out.clear();
  pool.core.missed(at(0ms), pool.out);
  CHECK(pool.out.open == 1);
  pool.core.missed(at(0ms), pool.out);
  CHECK(pool.core.opening() == 1);  // one at a time
}

TEST_CASE("pool_core.nobody_asks_nobody_tries") {
  pool_under_test pool{limits_of(10)};
  (void)pool.join();
  pool.core.open_failed(at(10ms), at(30ms), false, pool.out);
  CHECK_FALSE(pool.core.next_wake(at(10ms)));
  pool.tick(1h);
  CHECK(pool.out.open == 0);
}

TEST_CASE("pool_core.those_who_can_still_be_served_wait_on_while_opening_fails") {
  pool_under_test pool{limits_of(2)};
  const auto id = pool.open_idle();
  REQUIRE(pool.take());
  auto& waiting = pool.join();
  pool.out.clear();
  pool.core.open_failed(at(10ms), at(30ms), false, pool.out);
  CHECK(pool.out.refusals.empty());
  CHECK(pool.core.cause() == pool_wait_cause::backend);
  pool.give_back(id, 20ms);
  REQUIRE(pool.out.grants.size() == 1);
  CHECK(pool.out.grants[0].waiter == &waiting);
}

TEST_CASE("pool_core.an_opening_that_hangs_keeps_its_place_and_may_still_succeed") {
  pool_under_test pool{limits_of(2)};
  (void)pool.join();
  pool.out.clear();
  pool.core.open_lost(at(100ms), at(120ms), pool.out);
  CHECK(pool.core.opening() == 0);
  CHECK(pool.core.total() == 1);
  pool.core.missed(at(100ms), pool.out);
  pool.tick(120ms);
  CHECK(pool.out.open == 1);
  CHECK(pool.core.total() == 2);
  pool.out.clear();
  pool.core.open_lost(at(200ms), at(220ms), pool.out);
  pool.core.missed(at(200ms), pool.out);
  pool.tick(300ms);
  CHECK(pool.out.open == 0);  // no room
  pool.out.clear();
  (void)pool.core.opened(at(400ms), never, 300ms, true, false, pool.out);
  CHECK(pool.core.live() == 1);
  CHECK(pool.core.total() == 2);
}

TEST_CASE("pool_core.critical_callers_go_first_and_may_use_the_overflow") {
  auto limits = limits_of(1);
  limits.overflow = 1;
  pool_under_test pool{limits};
  const auto first = pool.open_idle();
  REQUIRE(pool.take());
  auto& normal = pool.join();
  CHECK(pool.out.open == 0);
  auto& critical = pool.join(0ms, deadline::never(), true);
  CHECK(pool.out.open == 1);
  const auto extra = pool.open();
  REQUIRE(pool.out.grants.size() == 1);
  CHECK(pool.out.grants[0].waiter == &critical);
  pool.give_back(extra);
  CHECK(pool.out.grants.empty());  // not for normal callers
  CHECK(pool.out.close.size() == 1);
  pool.core.closed(extra, at(0ms), pool.out);
  pool.give_back(first);
  REQUIRE(pool.out.grants.size() == 1);
  CHECK(pool.out.grants[0].waiter == &normal);
}

TEST_CASE("pool_core.a_critical_caller_opens_no_overflow_for_the_others") {
  auto limits = limits_of(1);
  limits.overflow = 3;
  limits.max_connecting = 5;
  pool_under_test pool{limits};
  (void)pool.open_idle();
  REQUIRE(pool.take());
  for (int i = 0; i < 4; ++i) (void)pool.join();
  auto& critical = pool.join(0ms, deadline::never(), true);
  CHECK(pool.out.open == 1);
  pool.tick(1s);
  CHECK(pool.core.opening() == 1);
  (void)pool.join(1s, deadline::never(), true);
  CHECK(pool.core.opening() == 2);
  (void)pool.open(1s);
  REQUIRE(pool.out.grants.size() == 1);
  CHECK(pool.out.grants[0].waiter == &critical);
  CHECK(pool.core.opening() == 1);
  // What critical callers have already does not count against the next of them.
  (void)pool.join(1s, deadline::never(), true);
  CHECK(pool.core.opening() == 2);
}

TEST_CASE("pool_core.shrinking_closes_idle_resources_now_and_lent_ones_as_they_come_back") {
  pool_under_test pool{limits_of(3)};
  std::array<pool_core::resource_id, 3> ids{};
  for (auto& id : ids) {
    (void)pool.join();
    id = pool.open();
  }
  pool.give_back(ids[0]);
  pool.out.clear();
  pool.core.change(limits_of(1), at(0ms), pool.out);
  REQUIRE(pool.out.close.size() == 1);
  CHECK(pool.out.close[0] == ids[0]);
  pool.core.closed(ids[0], at(0ms), pool.out);
  pool.give_back(ids[1]);
  CHECK(pool.out.close.size() == 1);
  pool.core.closed(ids[1], at(0ms), pool.out);
  pool.give_back(ids[2]);
  CHECK(pool.out.close.empty());
  CHECK(pool.core.idle() == 1);
}

TEST_CASE("pool_core.invalidate_closes_everything_opened_before") {
  pool_under_test pool{limits_of(2)};
  const auto first = pool.open_idle();
  REQUIRE(pool.take());
  (void)pool.join();
  const auto second = pool.open();
  pool.give_back(second);
  pool.out.clear();
  pool.core.invalidate(at(0ms), pool.out);
  REQUIRE(pool.out.close.size() == 1);
  CHECK(pool.out.close[0] == second);
  pool.core.closed(second, at(0ms), pool.out);
  (void)pool.join();
  const auto fresh = pool.open();
  CHECK(fresh == second);  // the place is used again
  pool.give_back(first);
  REQUIRE(pool.out.close.size() == 1);
  CHECK(pool.out.close[0] == first);
  pool.give_back(fresh);
  CHECK(pool.out.close.empty());
}

TEST_CASE("pool_core.what_an_opening_from_before_an_invalidation_brings_is_closed") {
  pool_under_test pool{limits_of(1)};
  (void)pool.join();
  pool.out.clear();
  const auto id = pool.core.opened(at(5ms), never, 5ms, false, true, pool.out);
  CHECK(pool.out.grants.empty());
  REQUIRE(pool.out.close.size() == 1);
  CHECK(pool.out.close[0] == id);
  pool.out.clear();
  pool.core.closed(id, at(6ms), pool.out);
  CHECK(pool.out.open == 1);
}

TEST_CASE("pool_core.draining_refuses_everyone_and_ends_when_nothing_is_open") {
  pool_under_test pool{limits_of(1)};
  const auto id = pool.open_idle();
  REQUIRE(pool.take());
  auto& waiting = pool.join();
  pool.out.clear();
  pool.core.drain(at(0ms), pool.out);
  REQUIRE(pool.out.refusals.size() == 1);
  CHECK(pool.out.refusals[0].waiter == &waiting);
  CHECK(pool.out.refusals[0].why == pool_errc::shutting_down);
  wait_node late;
  CHECK(pool.core.join(late, at(0ms), pool.out).error() == pool_errc::shutting_down);
  pool.give_back(id);
  CHECK(pool.out.close.size() == 1);
  CHECK(pool.core.total() == 1);
  pool.core.closed(id, at(0ms), pool.out);
  CHECK(pool.core.total() == 0);
  CHECK(pool.core.opening() == 0);
}

TEST_CASE("pool_core.without_leave_from_the_budget_it_asks_again_later") {
  pool_under_test pool{limits_of(2)};
  (void)pool.join();
  REQUIRE(pool.out.open == 1);
  pool.core.open_deferred(at(0ms), 1, at(100ms));
  CHECK(pool.core.cause() == pool_wait_cause::budget);
  CHECK(pool.core.next_wake(at(0ms)) == at(100ms));
  pool.tick(99ms);
  CHECK(pool.out.open == 0);
  SUBCASE("when it is time") { pool.tick(100ms); }
  SUBCASE("or when the pool has returned some") {
    pool.core.leave_returned();
    pool.tick(99ms);
  }
  CHECK(pool.out.open == 1);
}
