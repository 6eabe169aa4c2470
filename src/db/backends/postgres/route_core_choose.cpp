// SPDX-License-Identifier: Apache-2.0
// What is to be done.
#include "db/backends/postgres/route_core.hpp"

#include <boost/container/static_vector.hpp>

#include <algorithm>

namespace spillway::detail {

namespace {

using namespace std::chrono_literals;

/// Of nodes, in place.
template <class T>
using list_of = boost::container::static_vector<T, most_nodes>;

/// A node that must be asked first costs about one more round trip.
constexpr double trips_of_check{2.0};
constexpr double least_latency_ns{10'000.0};
constexpr double unknown_latency_ns{1'000'000.0};

}  // namespace

read_answer route_core::choose_read(const read_question& question, time_point now, std::uint64_t random) {
  const auto wanted = demand_of(question);
  if (wanted.what == demand::kind::refused) return otherwise(wanted.why, question, now);
  if (question.prefer == read_preference::primary) return on_primary(question, now);

  list_of<choice> good;
  list_of<choice> suspects;
  for (node_index i = 0; i < nodes_.size(); ++i) {
    const auto verdict = verdict_of(i, question, wanted, now);
    if (verdict == db_node_state::usable || verdict == db_node_state::proven || verdict == db_node_state::check) good.push_back({i, verdict});
    if (verdict == db_node_state::suspect) suspects.push_back({i, verdict});
  }
  if (!good.empty()) return on_replica(pick(good, now, random), wanted);
  const auto why = fallback_refusal(question);
  if (why == db_route_refusal::none) return on_primary(question, now);
  if (!suspects.empty()) return on_replica(pick(suspects, now, random), wanted);
  return otherwise(why, question, now);
}

route_core::demand route_core::demand_of(const read_question& question) const {
  if (!identity_.system()) {
    return {.what = demand::kind::refused, .why = identity_.disagree() ? db_route_refusal::clusters_disagree : db_route_refusal::starting};
  }
  const auto& token = question.token;
  if (token.empty() && !question.fresh_as_of) return {};
  if (!token.empty() && token.system() != *identity_.system()) return {.what = demand::kind::refused, .why = db_route_refusal::foreign_token};
  // Of two branches nobody knows which one a position is on.
  if (election_.how() == primary_election::standing::contested) return {.what = demand::kind::refused, .why = db_route_refusal::two_primaries};

  demand wanted{.what = demand::kind::position};
  if (!token.empty()) {
    if (token.timeline() > reference_timeline()) {
      const bool nowhere = token.timeline() > election_.newest_timeline();
      return {.what = demand::kind::refused, .why = nowhere ? db_route_refusal::unknown_timeline : primary_trouble()};
    }
    wanted.position = token.position();
    // The timelines parted no later than the lowest place seen on the new one; what lies beyond that on the old one is lost.
    if (token.timeline() < reference_timeline() && history_.lowest() != 0) wanted.position = std::min(wanted.position, history_.lowest());
    if (token.primary_only()) wanted.what = demand::kind::primary;
  }
  if (question.fresh_as_of && wanted.what == demand::kind::position) {
    const auto place = history_.covering(*question.fresh_as_of);
    if (place) {
      wanted.position = std::max(wanted.position, *place);
    } else {
      wanted.what = demand::kind::primary;
    }
  }
  return wanted;
}

std::uint32_t route_core::reference_timeline() const noexcept {
  return election_.timeline() != 0 ? election_.timeline() : election_.newest_timeline();
}

db_node_state route_core::verdict_of(node_index node, const read_question& question, const demand& wanted, time_point now) const {
  const auto& n = nodes_[node];
  if (identity_.is_foreign(node)) return db_node_state::foreign;
  if (n.state == reach::down) return db_node_state::down;
  if (!identity_.belongs(node) || n.state == reach::unheard) return db_node_state::not_heard;
  switch (election_.role_of(node)) {
    case db_node_role::unknown: return db_node_state::not_heard;
    case db_node_role::primary: return election_.is_settled() && election_.who() == node ? db_node_state::is_primary : db_node_state::fenced;
    case db_node_role::replica: break;
  }
  if ((question.tried >> node & 1U) != 0) return db_node_state::tried;
  if (n.outlier.is_out()) return db_node_state::ejected;
  const bool suspect = n.state == reach::suspect;
  if (wanted.what == demand::kind::none) return suspect ? db_node_state::suspect : db_node_state::usable;
  // A replica that had replayed more of the old timeline than became part of the new one never gets there, and its positions mislead.
  const auto timeline = reference_timeline();
  if (election_.timeline_of(node) != timeline) return db_node_state::other_timeline;
  if (wanted.what != demand::kind::position) return db_node_state::no_comparison;
  if (n.replay && n.replay->place.timeline == timeline) {
    const auto& [place, when] = *n.replay;
    if (place.position < wanted.position) {
      const auto passed = history_.passed(place.position);
      if (passed && when.asked - *passed > config_.replay_wait) return db_node_state::behind;
    } else if (now - when.asked <= config_.max_sample_age) {
      return db_node_state::proven;
    }
  }
  return suspect ? db_node_state::suspect : db_node_state::check;
}

route_core::choice route_core::pick(std::span<const choice> from, time_point now, std::uint64_t random) {
  double sum{0};
  std::size_t known{0};
  for (const auto& each : from) {
    if (const auto value = nodes_[each.node].latency.value(now)) {
      sum += *value;
      ++known;
    }
  }
  const auto usual = known == 0 ? unknown_latency_ns : sum / static_cast<double>(known);
  list_of<balance_candidate> candidates;
  for (const auto& each : from) {
    const auto& n = nodes_[each.node];
    candidates.push_back({.node = each.node,
                          .latency = std::max(n.latency.value(now).value_or(usual), least_latency_ns),
                          .in_flight = n.in_flight,
                          .weight = n.weight,
                          .ramp = n.outlier.ramp(now),
                          .trips = each.verdict == db_node_state::check ? trips_of_check : 1.0});
  }
  return from[balance_.pick(candidates, random)];
}

read_answer route_core::on_replica(const choice& chosen, const demand& wanted) {
  read_answer answer;
  grant(answer, chosen.node, route_use::replica_read);
  if (wanted.what == demand::kind::none) return answer;
  answer.need = wanted.position;
  if (chosen.verdict == db_node_state::proven) {
    answer.how = freshness::proven;
    answer.proof_asked = nodes_[chosen.node].replay->when.asked;
    ++counted_.proven;
  } else {
    answer.how = freshness::check;
    ++counted_.checks;
  }
  return answer;
}

std::size_t route_core::fallback_cap() const noexcept {
  if (config_.fallback_ratio <= 0) return 0;
  return std::max<std::size_t>(1, static_cast<std::size_t>(config_.fallback_ratio * static_cast<double>(config_.primary_read_sessions)));
}

db_route_refusal route_core::fallback_refusal(const read_question& question) const noexcept {
  const auto node = primary();
  if (!node) return primary_trouble();
  if ((question.tried >> *node & 1U) != 0) return db_route_refusal::primary_tried;
  // Where there is but one node, all its reads are its own.
  if (nodes_.size() > 1 && question.prefer != read_preference::primary && fallbacks_in_flight_ >= fallback_cap()) return db_route_refusal::load_cap;
  return db_route_refusal::none;
}

read_answer route_core::on_primary(const read_question& question, time_point now) {
  if (const auto why = fallback_refusal(question); why != db_route_refusal::none) return otherwise(why, question, now);
  read_answer answer;
  if (nodes_.size() == 1 || question.prefer == read_preference::primary) {
    grant(answer, *primary(), route_use::primary_read);
  } else {
    grant(answer, *primary(), route_use::fallback_read);
    ++fallbacks_in_flight_;
    ++counted_.fallbacks;
  }
  return answer;
}

void route_core::grant(read_answer& answer, node_index node, route_use use) {
  answer.action = route_action::use;
  answer.ticket = {.node = node, .epoch = election_.epoch(), .use = use};
  ++nodes_[node].in_flight;
  ++nodes_[node].chosen;
}

read_answer route_core::otherwise(db_route_refusal why, const read_question& question, time_point now) {
  read_answer answer;
  answer.why = why;
  if (why == db_route_refusal::foreign_token) {
    answer.at = time_point::max();
  } else if (now < question.may_wait_until) {
    answer.action = route_action::wait;
    answer.at = std::min(question.may_wait_until, next_news(now));
    return answer;
  } else {
    answer.at = next_news(now);
  }
  ++counted_.refusals[static_cast<std::size_t>(why)];
  return answer;
}

write_answer route_core::choose_write(time_point now, std::size_t held) {
  write_answer answer;
  if (const auto node = primary()) {
    answer.action = route_action::use;
    answer.ticket = {.node = *node, .epoch = election_.epoch(), .use = route_use::write};
    ++nodes_[*node].in_flight;
    ++nodes_[*node].chosen;
    return answer;
  }
  answer.why = primary_trouble();
  answer.at = next_news(now);
  const bool may_pass = answer.why != db_route_refusal::two_primaries && answer.why != db_route_refusal::clusters_disagree;
  if (may_pass && trouble_since_ && now - *trouble_since_ < config_.buffer_for) {
    if (held < config_.max_buffered) {
      answer.action = route_action::wait;
      answer.at = std::min(answer.at, *trouble_since_ + config_.buffer_for);
      return answer;
    }
    answer.why = db_route_refusal::buffer_full;
  }
  ++counted_.refusals[static_cast<std::size_t>(answer.why)];
  return answer;
}

bool route_core::holds(const route_ticket& ticket) const noexcept {
  if (ticket.use == route_use::replica_read) return true;
  return ticket.epoch == election_.epoch() && election_.is_settled() && election_.who() == ticket.node;
}

std::optional<node_index> route_core::primary() const noexcept {
  if (!election_.is_settled() || nodes_[election_.who()].state == reach::down) return std::nullopt;
  return election_.who();
}

db_route_refusal route_core::primary_trouble() const noexcept {
  if (!identity_.system()) return identity_.disagree() ? db_route_refusal::clusters_disagree : db_route_refusal::starting;
  switch (election_.how()) {
    case primary_election::standing::settled: return db_route_refusal::primary_down;
    case primary_election::standing::contested: return db_route_refusal::two_primaries;
    case primary_election::standing::none: break;
  }
  const bool some_unheard = std::ranges::any_of(nodes_, [](const route_node& n) { return n.state == reach::unheard; });
  return some_unheard && election_.epoch() == 0 ? db_route_refusal::starting : db_route_refusal::no_primary;
}

time_point route_core::next_news(time_point now) const noexcept {
  auto next = now + config_.failover_interval;
  for (const auto& n : nodes_) {
    if (!n.probing && n.next_probe > now) next = std::min(next, n.next_probe);
  }
  return std::max(next, now + 1ms);
}

}  // namespace spillway::detail
