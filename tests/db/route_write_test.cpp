// SPDX-License-Identifier: Apache-2.0
// Where writes go, and when nowhere.
#include "db/route_fixture.hpp"

#include <array>

using namespace spillway;
using namespace spillway::testing;

namespace {

void is_write(const write_answer& answer, node_index node) {
  CHECK(answer.action == route_action::use);
  CHECK(answer.ticket.node == node);
  CHECK(answer.ticket.use == route_use::write);
}
void is_held(const write_answer& answer, db_route_refusal why) {
  CHECK(answer.action == route_action::wait);
  CHECK(answer.why == why);
}
void is_refusal(const write_answer& answer, db_route_refusal why) {
  CHECK(answer.action == route_action::refuse);
  CHECK(answer.why == why);
}
std::vector<node_index> due(router& r, std::chrono::milliseconds now) {
  std::vector<node_index> probe;
  r.core.tick(at(now), 0, probe);
  return probe;
}

}  // namespace

TEST_CASE("route_write.goes_to_the_primary_with_its_epoch") {
  router r{2};
  r.all_well();
  const auto answer = r.write(1ms);
  is_write(answer, 0);
  CHECK(answer.ticket.epoch == r.core.epoch());
  CHECK(r.core.holds(answer.ticket));
  CHECK(r.core.stats(at(1ms)).nodes[0].in_flight == 1);
}

TEST_CASE("route_write.is_held_for_a_while_and_by_so_many_at_most") {
  routing_config config;
  config.buffer_for = 5s;
  config.max_buffered = 3;
  router r{2, config};
  is_held(r.write(0ms), db_route_refusal::starting);
  r.all_well();
  r.fails(0, 1'000ms);
  const auto held = r.write(1'001ms, 2);
  is_held(held, db_route_refusal::primary_down);
  CHECK(held.at > at(1'001ms));
  CHECK(held.at <= at(1'100ms));
  is_refusal(r.write(1'001ms, 3), db_route_refusal::buffer_full);
  is_held(r.write(5'999ms), db_route_refusal::primary_down);
  CHECK(r.write(5'999ms).at == at(6s));
  const auto late = r.write(6'000ms);
  is_refusal(late, db_route_refusal::primary_down);
  CHECK(late.at > at(6s));
  r.primary(0, 7s);
  is_write(r.write(7'001ms), 0);
  r.fails(0, 20s);  // the time begins anew
  is_held(r.write(24'999ms), db_route_refusal::primary_down);
}

TEST_CASE("route_write.a_killed_primary_is_not_written_to_and_its_successor_is") {
  router r{3};
  r.all_well();
  const auto before = r.write(1ms);
  r.end(before.ticket, 10ms, query_end::lost);
  CHECK(due(r, 10ms) == std::vector<node_index>{0});  // at once
  r.fails(0, 11ms);
  CHECK(due(r, 11ms) == std::vector<node_index>{1, 2});  // who takes over?
  is_held(r.write(12ms), db_route_refusal::primary_down);
  CHECK(r.core.holds(before.ticket));  // nobody else is the primary yet
  r.primary(1, 100ms, 1'000, 2);
  is_write(r.write(102ms), 1);
  CHECK_FALSE(r.core.holds(before.ticket));
  CHECK(r.core.epoch() == before.ticket.epoch + 1);
  // The dead one rises and believes itself the primary still.
  r.primary(0, 200ms, 5'000, 1);
  is_write(r.write(202ms), 1);
  CHECK(contains(r.explain(202ms), "a: says that it is the primary, but is not (on timeline 1; the newest is 2)"));
  // Even if the new one is gone again.
  r.fails(1, 300ms);
  is_held(r.write(301ms), db_route_refusal::primary_down);
  r.core.role_reported(1, when(310ms), true);
  is_held(r.write(320ms), db_route_refusal::no_primary);
}

TEST_CASE("route_write.a_single_late_probe_does_not_stop_writes_but_a_second_does") {
  router r{2};
  r.all_well();
  r.fails(0, 200ms, probe_failure::timed_out);
  is_write(r.write(201ms), 0);
  r.fails(0, 500ms, probe_failure::timed_out);
  is_held(r.write(501ms), db_route_refusal::primary_down);
  r.primary(0, 600ms);
  is_write(r.write(602ms), 0);
  CHECK(r.core.epoch() == 1);  // the same as before, and so are its sessions
}

TEST_CASE("route_write.a_report_of_standby_ends_the_epoch_at_once") {
  router r{2};
  r.all_well();
  const auto ticket = r.write(1ms).ticket;
  r.core.role_reported(0, when(10ms), false);
  CHECK(r.core.holds(ticket));
  r.core.role_reported(0, when(20ms), true);
  CHECK_FALSE(r.core.holds(ticket));
  is_held(r.write(22ms), db_route_refusal::no_primary);
  CHECK(due(r, 22ms) == std::vector<node_index>{0, 1});
  // An answer that was under way is no proof of the contrary.
  r.primary(0, 15ms);
  is_held(r.write(23ms), db_route_refusal::no_primary);
  r.primary(0, 24ms);
  is_write(r.write(26ms), 0);
  CHECK(r.core.epoch() == 3);
}

TEST_CASE("route_write.a_refused_write_ends_the_epoch_unless_it_was_the_callers_doing") {
  for (const auto standby : {std::optional<bool>{}, std::optional{true}}) {
    router r{2};
    r.all_well();
    const auto ticket = r.write(1ms).ticket;
    r.core.write_refused(0, when(10ms), standby);
    CHECK_FALSE(r.core.holds(ticket));
    CHECK(r.write(12ms).action == route_action::wait);
    CHECK(due(r, 12ms) == std::vector<node_index>{0, 1});
  }
  router r{2};
  r.all_well();
  const auto ticket = r.write(1ms).ticket;
  r.core.write_refused(0, when(10ms), false);
  CHECK(r.core.holds(ticket));
  is_write(r.write(12ms), 0);
}

TEST_CASE("route_write.a_planned_switchover") {
  router r{3};
  r.all_well();
  const auto old = r.write(1ms).ticket;
  r.fails(0, 100ms, probe_failure::refused);  // shutting down
  is_held(r.write(101ms), db_route_refusal::primary_down);
  r.core.role_reported(1, when(150ms), false);  // a session notices that b is no standby any more
  const auto probed = due(r, 151ms);
  CHECK(std::ranges::find(probed, 1U) != probed.end());
  r.primary(1, 152ms, 1'100, 2);
  is_write(r.write(154ms), 1);
  CHECK_FALSE(r.core.holds(old));
  r.replica(0, 500ms, 1'200, 2);  // it comes back as a standby
  is_write(r.write(502ms), 1);
  const auto read = r.read(510ms, without(with(token(1'150, 2)), {2}));
  CHECK(read.ticket.node == 0);
  CHECK(read.how == freshness::proven);
}

TEST_CASE("route_write.two_primaries_on_one_timeline_are_refused_by_name") {
  router r{3};
  r.all_well();
  r.primary(1, 10ms, 1'000, 1);
  const auto answer = r.write(20ms);
  is_refusal(answer, db_route_refusal::two_primaries);
  CHECK(answer.at > at(20ms));
  CHECK(contains(r.explain(20ms), "two nodes are primary on the same timeline: one server listed twice"));
  SUBCASE("until one says otherwise") {
    r.replica(0, 30ms);
    is_write(r.write(32ms), 1);
  }
  SUBCASE("until one is promoted") {
    r.primary(0, 30ms, 1'000, 2);
    is_write(r.write(32ms), 0);
  }
  SUBCASE("until one has been silent for long enough") {
    r.fails(0, 30ms);
    r.primary(1, 40ms, 1'000, 1);
    is_refusal(r.write(50ms), db_route_refusal::two_primaries);
    (void)due(r, 30'029ms);
    is_refusal(r.write(30'029ms), db_route_refusal::two_primaries);
    CHECK(r.core.next_tick() <= at(30'030ms));
    (void)due(r, 30'030ms);
    is_write(r.write(30'031ms), 1);
    r.primary(0, 40s, 1'000, 1);  // it was there all the time
    is_refusal(r.write(40'002ms), db_route_refusal::two_primaries);
  }
}

TEST_CASE("route_write.a_replica_on_a_newer_timeline_means_that_the_primary_is_not") {
  router r{3};
  r.all_well();
  r.replica(2, 10ms, 1'000, 2);  // it follows somebody we have not seen yet
  is_held(r.write(12ms), db_route_refusal::no_primary);
  r.primary(1, 20ms, 1'000, 2);
  is_write(r.write(22ms), 1);
}

TEST_CASE("route_write.probes_are_one_at_a_time_and_more_often_without_a_primary") {
  router r{2};
  CHECK(due(r, 0ms) == std::vector<node_index>{0, 1});
  CHECK(due(r, 500ms).empty());  // under way
  r.primary(0, 500ms);
  r.replica(1, 500ms);
  CHECK(r.core.next_tick() == at(650ms));
  CHECK(due(r, 649ms).empty());
  CHECK(due(r, 650ms) == std::vector<node_index>{0, 1});
  r.core.probe_answered(1, when(650ms, 180ms), {db_node_role::replica, router::system, {1, 1'000}});  // it took longer than the interval
  CHECK(due(r, 830ms) == std::vector<node_index>{1});
  r.replica(1, 830ms);
  r.fails(0, 831ms);
  CHECK(due(r, 831ms) == std::vector<node_index>{1});  // somebody must be the primary
  r.replica(1, 832ms);
  CHECK(r.core.next_tick() <= at(872ms));
  auto backoff = due(r, 920ms);
  CHECK(std::ranges::find(backoff, 0U) != backoff.end());
}

TEST_CASE("route_write.news_during_a_probe_asks_for_another") {
  router r{2};
  (void)due(r, 0ms);
  r.all_well(0ms);
  CHECK(due(r, 150ms) == std::vector<node_index>{0, 1});
  r.core.role_reported(1, when(151ms), false);  // promoted, while the probe is under way
  r.replica(1, 150ms);
  CHECK(due(r, 152ms) == std::vector<node_index>{1});
}

TEST_CASE("route_write.a_failing_node_is_probed_less_and_less_often") {
  router r{2};
  r.all_well();
  std::mt19937_64 random{1};
  auto now = 100ms;
  std::chrono::nanoseconds longest{0};
  for (int i = 0; i < 50; ++i) {
    r.core.probe_failed(1, at(now), probe_failure::refused, random());
    r.primary(0, now);
    std::vector<node_index> probe;
    auto next = now;
    while (std::ranges::find(probe, 1U) == probe.end()) {
      next += 1ms;
      r.core.tick(at(next), 0, probe);
      REQUIRE(next - now <= 1'001ms);
    }
    longest = std::max<std::chrono::nanoseconds>(longest, next - now);
    now = next;
  }
  CHECK(longest > 500ms);
}

TEST_CASE("route_write.changes_are_told_in_order_and_once") {
  router r{2};
  r.all_well();
  r.fails(0, 100ms);
  r.primary(1, 200ms, 1'000, 2);
  std::vector<route_change_kind> kinds;
  for (const auto& each : r.core.take_changes()) kinds.push_back(each.kind);
  CHECK(kinds == std::vector{route_change_kind::node_up, route_change_kind::system_known, route_change_kind::primary_is, route_change_kind::node_up,
                             route_change_kind::node_down, route_change_kind::primary_is});
  CHECK(r.core.take_changes().empty());
}

TEST_CASE("route_write.words_have_text") {
  for (std::size_t i = 0; i < db_route_refusals; ++i) CHECK(to_string(static_cast<db_route_refusal>(i)) != "unknown");
  for (int i = 0; i <= static_cast<int>(db_node_state::no_comparison); ++i) CHECK(to_string(static_cast<db_node_state>(i)) != "unknown");
  for (int i = 0; i <= static_cast<int>(route_change_kind::node_returned); ++i) CHECK(to_string(static_cast<route_change_kind>(i)) != "unknown");
}
