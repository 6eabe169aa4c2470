// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/cluster_identity.hpp"
#include "db/backends/postgres/primary_election.hpp"

#include <doctest/doctest.h>

using namespace spillway;
using namespace std::chrono_literals;
using detail::cluster_identity;
using detail::measured;
using detail::no_node;
using detail::primary_election;
using standing = primary_election::standing;

namespace {

constexpr measured when(std::chrono::milliseconds asked, std::chrono::milliseconds took = 1ms) {
  return {time_point{asked}, time_point{asked + took}};
}

}  // namespace

TEST_CASE("primary_election.who_claims_alone_is_the_primary") {
  primary_election election{3};
  CHECK(election.how() == standing::none);
  CHECK(election.epoch() == 0);
  election.stands_by(1, 1, when(0ms));
  CHECK(election.how() == standing::none);
  election.claims(0, 1, when(0ms));
  CHECK(election.how() == standing::settled);
  CHECK(election.who() == 0);
  CHECK(election.timeline() == 1);
  CHECK(election.epoch() == 1);
  election.claims(0, 1, when(100ms));
  CHECK(election.epoch() == 1);  // nothing new
  CHECK(election.role_of(0) == db_node_role::primary);
  CHECK(election.role_of(1) == db_node_role::replica);
  CHECK(election.role_of(2) == db_node_role::unknown);
}

TEST_CASE("primary_election.a_claim_that_took_long_takes_nothing_back") {
  primary_election election{2};
  election.claims(0, 1, when(50ms, 10ms));
  election.claims(0, 2, when(0ms, 200ms));  // promoted meanwhile
  CHECK(election.timeline() == 2);
  election.denies(0, when(10ms, 20ms));  // before the first of them
  CHECK(election.how() == standing::settled);
  election.denies(0, when(50ms, 5ms));
  CHECK(election.how() == standing::none);
}

TEST_CASE("primary_election.the_newer_timeline_wins_and_fences_the_other") {
  primary_election election{2};
  election.claims(0, 1, when(0ms));
  election.claims(1, 2, when(100ms));
  CHECK(election.who() == 1);
  CHECK(election.epoch() == 2);
  // The old one comes back and insists.
  election.claims(0, 1, when(200ms));
  CHECK(election.who() == 1);
  CHECK(election.epoch() == 2);
  // Even alone: the new one has gone silent, or says that it is a standby now.
  election.denies(1, when(300ms));
  CHECK(election.how() == standing::none);
  election.claims(0, 1, when(400ms));
  CHECK(election.how() == standing::none);
  // Until it is promoted itself.
  election.claims(0, 3, when(500ms));
  CHECK(election.who() == 0);
  CHECK(election.timeline() == 3);
}

TEST_CASE("primary_election.a_standby_on_a_newer_timeline_fences_the_primary") {
  primary_election election{2};
  election.claims(0, 1, when(0ms));
  election.stands_by(1, 2, when(10ms));
  CHECK(election.how() == standing::none);
  CHECK(election.newest_timeline() == 2);
  CHECK(election.timeline() == 1);
}

TEST_CASE("primary_election.what_was_promoted_by_mistake_fences_until_it_was_built_anew") {
  primary_election election{2};
  election.claims(0, 1, when(0ms));
  election.claims(1, 2, when(10ms));
  CHECK(election.who() == 1);
  election.may_have_restarted(1);  // silence alone changes nothing
  election.claims(0, 1, when(20ms));
  CHECK(election.who() == 1);
  election.stands_by(1, 1, when(30ms));
  CHECK(election.who() == 0);
  CHECK(election.timeline() == 1);
  CHECK(election.epoch() == 3);
}

TEST_CASE("primary_election.a_standby_does_not_go_back_but_by_a_restart") {
  primary_election election{2};
  election.stands_by(1, 2, when(0ms));
  election.stands_by(1, 1, when(10ms));  // at least 1 is no news
  CHECK(election.timeline_of(1) == 2);
  election.may_have_restarted(1);
  election.stands_by(1, 1, when(20ms));
  CHECK(election.timeline_of(1) == 1);
}

TEST_CASE("primary_election.two_on_one_timeline_are_none") {
  primary_election election{2};
  election.claims(0, 2, when(0ms));
  election.claims(1, 2, when(10ms));
  CHECK(election.how() == standing::contested);
  CHECK(election.who() == no_node);
  CHECK(election.epoch() == 2);
  SUBCASE("until one steps back") {
    election.stands_by(0, 2, when(20ms));
    CHECK(election.who() == 1);
    CHECK(election.epoch() == 3);
  }
  SUBCASE("until one has been silent for too long") {
    election.lapses(0);
    CHECK(election.who() == 1);
    election.claims(0, 2, when(30ms));
    CHECK(election.how() == standing::contested);
  }
  SUBCASE("until one is promoted again") {
    election.claims(0, 3, when(20ms));
    CHECK(election.who() == 0);
  }
}

TEST_CASE("primary_election.old_news_changes_nothing") {
  primary_election election{1};
  SUBCASE("a claim measured before the denial") {
    election.claims(0, 1, when(0ms));
    election.denies(0, when(20ms, 5ms));
    election.claims(0, 1, when(10ms, 30ms));  // asked before: may have been measured before
    CHECK(election.how() == standing::none);
    election.claims(0, 1, when(24ms));
    CHECK(election.how() == standing::none);
    election.claims(0, 1, when(25ms));
    CHECK(election.how() == standing::settled);
  }
  SUBCASE("a denial measured before the claim") {
    election.claims(0, 1, when(20ms));
    election.denies(0, when(10ms, 10ms));
    CHECK(election.how() == standing::settled);
    election.denies(0, when(10ms, 11ms));  // may have been measured after
    CHECK(election.how() == standing::none);
  }
  SUBCASE("an older timeline measured at the same time") {
    election.claims(0, 2, when(20ms, 5ms));
    election.claims(0, 1, when(19ms, 3ms));
    CHECK(election.timeline() == 2);
    CHECK(election.epoch() == 1);
  }
}

TEST_CASE("primary_election.the_same_node_promoted_again_is_another_epoch") {
  primary_election election{1};
  election.claims(0, 1, when(0ms));
  election.claims(0, 2, when(10ms));
  CHECK(election.who() == 0);
  CHECK(election.epoch() == 2);
}

TEST_CASE("primary_election.forget_makes_all_words_void") {
  primary_election election{2};
  election.claims(1, 7, when(0ms));
  election.forget(1);
  CHECK(election.how() == standing::none);
  election.claims(0, 1, when(10ms));
  CHECK(election.who() == 0);
}

TEST_CASE("cluster_identity.the_first_node_decides") {
  cluster_identity identity{3, std::nullopt};
  identity.answers(1, 42);
  identity.answers(2, 42);
  CHECK_FALSE(identity.system());  // the first one may still answer
  identity.answers(0, 7);
  CHECK(identity.system() == 7);
  CHECK(identity.belongs(0));
  CHECK(identity.is_foreign(1));
  CHECK_FALSE(identity.belongs(1));
  CHECK(identity.system_of(1) == 42);
}

TEST_CASE("cluster_identity.without_the_first_the_others_must_agree") {
  cluster_identity identity{3, std::nullopt};
  identity.is_silent(0);
  identity.answers(1, 42);
  CHECK_FALSE(identity.system());  // the third one may still answer
  SUBCASE("they do") {
    identity.answers(2, 42);
    CHECK(identity.system() == 42);
    identity.answers(0, 7);  // too late
    CHECK(identity.system() == 42);
    CHECK(identity.is_foreign(0));
  }
  SUBCASE("they do not") {
    identity.answers(2, 43);
    CHECK_FALSE(identity.system());
    CHECK(identity.disagree());
    identity.answers(2, 42);  // corrected
    CHECK(identity.system() == 42);
    CHECK_FALSE(identity.disagree());
  }
  SUBCASE("only one is there") {
    identity.is_silent(2);
    CHECK(identity.system() == 42);
  }
}

TEST_CASE("cluster_identity.the_configuration_decides_before_all") {
  cluster_identity identity{2, 42};
  CHECK(identity.system() == 42);
  CHECK_FALSE(identity.belongs(0));
  CHECK_FALSE(identity.is_foreign(0));
  identity.answers(0, 7);
  CHECK(identity.is_foreign(0));
  identity.answers(0, 42);  // another server is there now
  CHECK(identity.belongs(0));
}
