// SPDX-License-Identifier: Apache-2.0
// Where reads go.
#include "db/route_fixture.hpp"

#include <array>

using namespace spillway;
using namespace spillway::testing;

namespace {

void is_replica(const read_answer& answer, node_index node, freshness how) {
  CHECK(answer.action == route_action::use);
  CHECK(answer.ticket.use == route_use::replica_read);
  CHECK(answer.ticket.node == node);
  CHECK(answer.how == how);
}
void is_fallback(const read_answer& answer, node_index node = 0) {
  CHECK(answer.action == route_action::use);
  CHECK(answer.ticket.use == route_use::fallback_read);
  CHECK(answer.ticket.node == node);
}
void is_refusal(const read_answer& answer, db_route_refusal why) {
  CHECK(answer.action == route_action::refuse);
  CHECK(answer.why == why);
}

}  // namespace

TEST_CASE("route_read.a_plain_read_goes_to_a_replica") {
  router r{2};
  r.all_well();
  is_replica(r.read(1ms), 1, freshness::not_asked);
  is_replica(r.read(10s), 1, freshness::not_asked);  // no age was asked for
}

TEST_CASE("route_read.a_token_is_proven_by_a_sample_that_is_far_enough_and_young_enough") {
  struct row {
    std::uint64_t token;
    std::chrono::milliseconds now;
    freshness how;
  };
  for (const auto& [position, now, how] : std::array<row, 5>{{{1'000, 1ms, freshness::proven},
                                                             {999, 250ms, freshness::proven},
                                                             {1'000, 250ms, freshness::proven},
                                                             {1'000, 251ms, freshness::check},
                                                             {1'001, 1ms, freshness::check}}}) {
    CAPTURE(position);
    CAPTURE(now.count());
    router r{2};
    r.all_well();
    const auto answer = r.read(now, with(token(position)));
    is_replica(answer, 1, how);
    CHECK(answer.need == position);
    if (how == freshness::proven) CHECK(answer.proof_asked == at(0ms));
  }
}

TEST_CASE("route_read.what_a_session_learned_in_band_proves_for_others") {
  router r{2};
  r.all_well();
  is_replica(r.read(2ms, with(token(1'500))), 1, freshness::check);
  r.core.replay_answered(1, when(3ms), 1'600, 1'500);
  const auto answer = r.read(5ms, with(token(1'500)));
  is_replica(answer, 1, freshness::proven);
  CHECK(answer.proof_asked == at(3ms));
}

TEST_CASE("route_read.a_replica_known_to_be_too_far_behind_is_not_asked") {
  router r{2};  // replay_wait is 50 ms
  r.primary(0, 0ms, 1'000);
  r.primary(0, 100ms, 2'000);
  r.replica(1, 140ms, 1'000);  // at 2'000 the primary was 39 ms before, at least
  is_replica(r.read(150ms, with(token(2'000))), 1, freshness::check);
  r.replica(1, 160ms, 1'000);  // 59 ms
  is_fallback(r.read(170ms, with(token(2'000))));
  CHECK(contains(r.explain(170ms, with(token(2'000))), "b: too far behind, replayed to 0/3E8, asked 10 ms ago"));
  is_replica(r.read(170ms, with(token(900))), 1, freshness::proven);
  r.replica(1, 180ms, 1'900);  // it moves, but what it has was passed by 100 ms, too
  is_fallback(r.read(190ms, with(token(2'000))));
  r.replica(1, 200ms, 2'000);
  is_replica(r.read(210ms, with(token(2'000))), 1, freshness::proven);
}

TEST_CASE("route_read.of_an_idle_primary_no_replica_is_ever_behind") {
  router r{2};
  for (int i = 0; i <= 600; ++i) r.all_well(i * 100ms);
  const auto stats = r.core.stats(at(60'010ms));
  REQUIRE(stats.nodes[1].lag);
  CHECK(*stats.nodes[1].lag == 10ms);
  CHECK(stats.nodes[1].lag_bytes == 0);
  is_replica(r.read(60'010ms, as_of(60'000ms)), 1, freshness::proven);
}

TEST_CASE("route_read.max_staleness_compares_with_where_the_primary_was_at_that_moment") {
  router r{2};
  r.primary(0, 100ms, 1'000);
  r.primary(0, 200ms, 2'000);
  r.primary(0, 300ms, 3'000);
  r.replica(1, 310ms, 2'500);
  is_replica(r.read(320ms, as_of(90ms)), 1, freshness::proven);
  is_replica(r.read(320ms, as_of(200ms)), 1, freshness::proven);  // 2'000 covers 200 ms
  const auto later = r.read(320ms, as_of(201ms));                  // only 3'000 covers this
  is_replica(later, 1, freshness::check);
  CHECK(later.need == 3'000);
  is_fallback(r.read(320ms, as_of(301ms)));  // no sample covers it
  CHECK(contains(r.explain(320ms, as_of(301ms)), "only the primary is sure to be fresh enough"));
}

TEST_CASE("route_read.a_time_that_says_nothing_is_not_counted") {
  router r{3};
  r.all_well();
  const auto query = r.read(1ms);
  r.core.finished(query.ticket, at(50ms), query_end::answered, std::nullopt, 0);
  CHECK(r.core.stats(at(50ms)).nodes[query.ticket.node].latency == 0ms);
  const auto other = r.read(60ms);
  r.end(other.ticket, 61ms);
  CHECK(r.core.stats(at(61ms)).nodes[other.ticket.node].latency == 1ms);
}

TEST_CASE("route_read.a_token_and_max_staleness_must_both_be_met") {
  router r{2};
  r.primary(0, 100ms, 1'000);
  r.primary(0, 200ms, 2'000);
  r.replica(1, 210ms, 1'500);
  auto both = as_of(100ms);
  both.token = token(1'400);
  is_replica(r.read(220ms, both), 1, freshness::proven);
  both.token = token(1'600);
  CHECK(r.read(220ms, both).need == 1'600);
  both.token = token(10);
  both.fresh_as_of = at(150ms);
  CHECK(r.read(220ms, both).need == 2'000);
}

TEST_CASE("route_read.a_commit_tells_where_the_primary_is") {
  router r{2};
  r.all_well();
  r.core.committed(0, when(50ms), {1, 5'000});
  r.replica(1, 60ms, 5'000);
  is_replica(r.read(70ms, as_of(50ms)), 1, freshness::proven);
  is_replica(r.read(70ms, with(token(5'000))), 1, freshness::proven);
}

TEST_CASE("route_read.a_sample_from_before_a_possible_restart_proves_nothing") {
  const auto lost = [](router& r) {
    const auto query = r.read(10ms);
    r.end(query.ticket, 20ms, query_end::lost);
  };
  const auto silent = [](router& r) { r.fails(1, 20ms, probe_failure::timed_out); };
  for (const bool by_query : {true, false}) {
    router r{2};
    r.all_well();
    by_query ? lost(r) : silent(r);
    // What was asked for before does not count, when it arrives now.
    r.core.replay_answered(1, {at(19ms), at(25ms)}, 1'000, 1'000);
    CHECK(r.read(30ms, with(token(1'000))).how != freshness::proven);
    r.replica(1, 30ms, 700);  // it began from older data
    is_replica(r.read(40ms, with(token(700))), 1, freshness::proven);
    CHECK(r.read(40ms, with(token(701))).how == freshness::check);
  }
}

TEST_CASE("route_read.a_replica_that_went_back_is_taken_at_its_word") {
  router r{2};
  r.all_well();
  r.core.replay_answered(1, {at(0ms), at(5ms)}, 990, 990);  // measured at about the same time: 1'000 holds
  is_replica(r.read(10ms, with(token(1'000))), 1, freshness::proven);
  r.replica(1, 20ms, 500);
  is_replica(r.read(30ms, with(token(1'000))), 1, freshness::check);
}

TEST_CASE("route_read.a_token_of_another_system_is_refused_for_good") {
  router r{2};
  r.all_well();
  const auto answer = r.read(1ms, patient(with(consistency_token{7, 1, 1}), 1s));
  is_refusal(answer, db_route_refusal::foreign_token);
  CHECK(answer.at == time_point::max());
  CHECK(contains(r.explain(1ms, with(consistency_token{7, 1, 1})), "the consistency token is of another database system"));
}

TEST_CASE("route_read.a_token_of_a_timeline_nobody_is_on_waits_and_is_refused") {
  router r{2};
  r.all_well();
  const auto wait = r.read(1ms, patient(with(token(10, 2)), 30ms));
  CHECK(wait.action == route_action::wait);
  CHECK(wait.at <= at(30ms));
  const auto answer = r.read(30ms, patient(with(token(10, 2)), 30ms));
  is_refusal(answer, db_route_refusal::unknown_timeline);
  CHECK(answer.at > at(30ms));
  CHECK(answer.at < at(1s));
}

TEST_CASE("route_read.a_token_from_before_a_failover") {
  router r{3};
  r.all_well(0ms, 1'000);
  r.fails(0, 100ms);
  r.primary(1, 200ms, 1'200, 2);  // the new timeline began at 1'200 or before
  SUBCASE("a replica known to be on the new timeline serves what survived") {
    r.replica(2, 210ms, 1'250, 2);
    is_replica(r.read(220ms, with(token(1'000, 1))), 2, freshness::proven);
    // Beyond 1'200 nothing of the old timeline is left; who has 1'200 has all there is.
    const auto answer = r.read(220ms, with(token(9'000, 1)));
    is_replica(answer, 2, freshness::proven);
    CHECK(answer.need == 1'200);
  }
  SUBCASE("one that is still on the old one serves nothing with a demand, however far it is") {
    r.replica(2, 210ms, 9'000, 1);
    is_fallback(r.read(220ms, with(token(1'000, 1))), 1);
    is_fallback(r.read(220ms, with(token(1'000, 2))), 1);
    is_fallback(r.read(220ms, as_of(100ms)), 1);
    is_replica(r.read(220ms), 2, freshness::not_asked);
    CHECK(contains(r.explain(220ms, with(token(1'000))), "c: not known to be on the primary's timeline (2; it is at least on 1)"));
  }
  SUBCASE("a position of the old timeline does not count on the new one") {
    r.replica(2, 210ms, 1'250, 2);
    is_replica(r.read(220ms, with(token(1'300, 2))), 2, freshness::check);
  }
}

TEST_CASE("route_read.during_a_failover_replicas_go_on_proving") {
  router r{3};
  r.all_well(0ms, 1'000);
  r.fails(0, 10ms);
  is_replica(r.read(20ms, without(with(token(1'000)), {2})), 1, freshness::proven);
  r.core.role_reported(0, when(30ms), true);
  CHECK_FALSE(r.core.primary());
  is_replica(r.read(40ms, without(with(token(1'000)), {2})), 1, freshness::proven);
  is_refusal(r.read(40ms, without(with(token(1'000)), {1, 2})), db_route_refusal::no_primary);
}

TEST_CASE("route_read.primary_only_tokens_and_wishes_go_to_the_primary") {
  router r{2};
  r.all_well();
  is_fallback(r.read(1ms, with(token(10, 1, true))));
  read_question wish;
  wish.prefer = read_preference::primary;
  const auto answer = r.read(1ms, wish);
  CHECK(answer.ticket.use == route_use::primary_read);
  CHECK(answer.ticket.node == 0);
}

TEST_CASE("route_read.the_only_node_serves_its_reads_without_a_cap") {
  router r{1};
  r.primary(0, 0ms);
  for (int i = 0; i < 100; ++i) CHECK(r.read(1ms).ticket.use == route_use::primary_read);
  CHECK(r.read(1ms, with(token(5'000))).action == route_action::use);
}

TEST_CASE("route_read.what_falls_to_the_primary_is_capped") {
  routing_config config;
  config.primary_read_sessions = 8;
  config.fallback_ratio = 0.25;
  router r{2, config};
  r.all_well();
  r.fails(1, 10ms);
  const auto first = r.read(20ms);
  is_fallback(first);
  is_fallback(r.read(20ms));
  const auto full = r.read(20ms);
  is_refusal(full, db_route_refusal::load_cap);
  CHECK(full.at > at(20ms));
  CHECK(r.read(20ms, patient({}, 100ms)).action == route_action::wait);
  read_question wish;
  wish.prefer = read_preference::primary;
  CHECK(r.read(20ms, wish).ticket.use == route_use::primary_read);  // not what the cap is for
  is_refusal(r.read(20ms), db_route_refusal::load_cap);
  const auto revision = r.core.revision();
  r.end(first.ticket, 30ms);
  CHECK(r.core.revision() != revision);  // who waits is to ask again
  is_fallback(r.read(30ms));
  CHECK(r.core.stats(at(30ms)).fallbacks == 3);
  CHECK(r.core.stats(at(30ms)).fallbacks_in_flight == 2);
  CHECK(r.core.stats(at(30ms)).refusals[static_cast<std::size_t>(db_route_refusal::load_cap)] == 2);
}

TEST_CASE("route_read.a_ratio_of_zero_forbids_the_fallback_and_a_small_one_allows_one") {
  routing_config config;
  config.fallback_ratio = 0.0;
  router none{2, config};
  none.primary(0, 0ms);
  none.fails(1, 0ms);
  is_refusal(none.read(1ms), db_route_refusal::load_cap);
  config.fallback_ratio = 0.01;
  router one{2, config};
  one.primary(0, 0ms);
  one.fails(1, 0ms);
  is_fallback(one.read(1ms));
  is_refusal(one.read(1ms), db_route_refusal::load_cap);
}

TEST_CASE("route_read.tried_nodes_are_not_given_again") {
  router r{3};
  r.all_well();
  is_replica(r.read(1ms, without({}, {1})), 2, freshness::not_asked);
  is_fallback(r.read(1ms, without({}, {1, 2})));
  is_refusal(r.read(1ms, without({}, {0, 1, 2})), db_route_refusal::primary_tried);
}

TEST_CASE("route_read.a_silent_replica_is_the_last_resort_and_a_dead_one_none") {
  router r{2};
  r.all_well();
  r.fails(1, 10ms, probe_failure::timed_out);
  is_fallback(r.read(20ms));
  is_replica(r.read(20ms, without({}, {0})), 1, freshness::not_asked);
  is_replica(r.read(20ms, without(with(token(1'000)), {0})), 1, freshness::check);
  r.fails(1, 30ms, probe_failure::timed_out);
  is_refusal(r.read(40ms, without({}, {0})), db_route_refusal::primary_tried);
  CHECK(contains(r.explain(40ms), "b: down, 2 probes in a row failed"));
  r.replica(1, 50ms);
  is_replica(r.read(60ms), 1, freshness::not_asked);
}

TEST_CASE("route_read.lost_and_late_queries_eject_a_replica_and_time_brings_it_back") {
  for (const auto how : {query_end::lost, query_end::timed_out}) {
    router r{3};
    r.all_well();
    const auto give = [&](std::chrono::milliseconds now, query_end end) {
      const auto answer = r.read(now, without({}, {2}));
      REQUIRE(answer.ticket.node == 1);
      r.end(answer.ticket, now, end);
    };
    give(1ms, how);
    give(2ms, how);
    give(3ms, query_end::answered);  // in a row, they must be
    give(4ms, how);
    give(5ms, query_end::cancelled);  // says nothing
    give(6ms, how);
    (void)r.core.take_changes();
    give(7ms, how);
    const auto changes = r.core.take_changes();
    REQUIRE(changes.size() == 1);
    CHECK(changes[0].kind == route_change_kind::node_ejected);
    CHECK(changes[0].node == 1);
    CHECK(contains(r.explain(8ms), "b: ejected for answering badly, back in "));
    for (std::uint64_t random = 0; random < 10; ++random) CHECK(r.read(8ms, {}, random).ticket.node == 2);
    is_fallback(r.read(8ms, without({}, {2})));
    std::vector<node_index> probe;
    r.core.tick(at(3'010ms), 0, probe);
    CHECK(std::ranges::find(probe, 1U) != probe.end());
    const auto returned = r.core.take_changes();
    REQUIRE(returned.size() == 1);
    CHECK(returned[0].kind == route_change_kind::node_returned);
    is_replica(r.read(3'011ms, without({}, {2})), 1, freshness::not_asked);
    // With a small share at first: the other has two in flight and is cheaper still.
    CHECK(r.core.stats(at(3'011ms)).nodes[1].ejections == 1);
    CHECK(r.read(3'012ms).ticket.node == 2);
  }
}

TEST_CASE("route_read.never_more_are_ejected_than_the_share") {
  router r{3};
  r.all_well();
  for (node_index node : {1U, 2U}) {
    for (int i = 0; i < 5; ++i) {
      const auto answer = r.read(1ms, without({}, {node == 1 ? 2U : 1U}));
      if (answer.ticket.node == node) {
        r.end(answer.ticket, 1ms, query_end::timed_out);
      } else {
        r.end(answer.ticket, 1ms);
      }
    }
  }
  const auto stats = r.core.stats(at(2ms));
  CHECK(stats.nodes[1].state == db_node_state::ejected);
  CHECK(stats.nodes[2].state == db_node_state::usable);
  // And a lone replica never is.
  router alone{2};
  alone.all_well();
  for (int i = 0; i < 20; ++i) alone.end(alone.read(1ms).ticket, 1ms, query_end::timed_out);
  CHECK(alone.core.stats(at(2ms)).nodes[1].state == db_node_state::usable);
}

TEST_CASE("route_read.a_replica_far_slower_than_the_others_is_ejected") {
  router r{4};
  r.all_well();
  for (int i = 0; i < 12; ++i) {
    r.end(r.read(1ms, without({}, {2, 3})).ticket, 1ms, query_end::answered, 100ms);
    r.end(r.read(1ms, without({}, {1, 3})).ticket, 1ms, query_end::answered, 2ms);
    r.end(r.read(1ms, without({}, {1, 2})).ticket, 1ms, query_end::answered, 3ms);
  }
  std::vector<node_index> probe;
  r.core.tick(at(2ms), 0, probe);
  CHECK(r.core.stats(at(2ms)).nodes[1].state == db_node_state::ejected);
  CHECK(r.core.stats(at(2ms)).nodes[2].state == db_node_state::usable);
}

TEST_CASE("route_read.power_of_two_prefers_the_proven_but_not_at_any_price") {
  router r{3};
  r.all_well(0ms, 900);
  r.primary(0, 1'090ms, 1'000);
  r.replica(1, 1'100ms, 1'000);
  r.replica(2, 1'100ms, 900);
  int checks{0};
  for (int i = 0; i < 12; ++i) {
    const auto answer = r.read(1'110ms, with(token(1'000)));
    CHECK(answer.ticket.node == (answer.how == freshness::check ? 2U : 1U));
    if (answer.how == freshness::check) ++checks;
  }
  CHECK(checks == 4);  // a check costs double: 8 to 4
}

TEST_CASE("route_read.before_anybody_has_answered_a_read_waits") {
  router r{2};
  const auto wait = r.read(0ms, patient({}, 1s));
  CHECK(wait.action == route_action::wait);
  CHECK(wait.why == db_route_refusal::starting);
  is_refusal(r.read(0ms), db_route_refusal::starting);
  r.replica(1, 1ms);
  is_refusal(r.read(2ms), db_route_refusal::starting);  // of which system? The first node may still say
  r.fails(0, 3ms);
  is_replica(r.read(4ms), 1, freshness::not_asked);
  // No primary was ever seen; the replicas' own timeline is the measure.
  is_replica(r.read(4ms, with(token(1'000))), 1, freshness::proven);
  is_refusal(r.read(4ms, as_of(0ms)), db_route_refusal::no_primary);
}

TEST_CASE("route_read.a_replica_of_another_cluster_is_never_used") {
  router r{3};
  r.primary(0, 0ms);
  r.core.probe_answered(1, when(0ms), {db_node_role::replica, 7, {9, 99'999}});
  r.replica(2, 0ms);
  (void)r.core.take_changes();
  for (std::uint64_t random = 0; random < 20; ++random) CHECK(r.read(1ms, {}, random * 0x1'0000'0001U).ticket.node == 2);
  is_fallback(r.read(1ms, without({}, {2})));
  CHECK(contains(r.explain(1ms), "b: belongs to another database system (its system is 7)"));
  CHECK(r.write(1ms).ticket.node == 0);  // nor does its timeline fence anybody
  r.replica(1, 100ms);                   // it was built anew, of the right one
  is_replica(r.read(101ms, without({}, {2})), 1, freshness::not_asked);
}

TEST_CASE("route_read.nodes_that_disagree_about_the_system_serve_nothing") {
  router r{3};
  r.fails(0, 0ms);
  r.replica(1, 0ms);
  r.core.probe_answered(2, when(0ms), {db_node_role::replica, 7, {1, 10}});
  is_refusal(r.read(1ms), db_route_refusal::clusters_disagree);
  CHECK(r.write(1ms).why == db_route_refusal::clusters_disagree);
  CHECK(r.write(1ms).action == route_action::refuse);
  r.primary(0, 2ms);
  is_replica(r.read(3ms), 1, freshness::not_asked);
}

TEST_CASE("route_read.two_primaries_leave_plain_reads_alone") {
  router r{3};
  r.all_well();
  r.primary(1, 10ms, 1'000, 1);
  is_replica(r.read(20ms), 2, freshness::not_asked);
  is_refusal(r.read(20ms, with(token(10))), db_route_refusal::two_primaries);
}
