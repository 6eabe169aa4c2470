// SPDX-License-Identifier: Apache-2.0
// The router core in a world of servers that commit, lag, crash, are promoted, split, and are built anew; news arrives late and in any order.
// The world knows what every server really holds, and every read and write that is granted is held against it.
#include "db/route_fixture.hpp"

#include <functional>
#include <map>
#include <random>
#include <vector>

using namespace spillway;
using namespace spillway::testing;

namespace {

using duration = std::chrono::microseconds;

struct commit {
  time_point acknowledged;
  wal_place place;
};

/// A server, as it is.
struct server {
  bool up{true};
  db_node_role role{db_node_role::replica};
  wal_place at{1, 1'000};
  std::uint32_t newest{1};  // the timeline it has the history of, and does not leave but for one that comes of it
  time_point booted{};
  time_point rebuilt_at{time_point::max()};
};

/// The latest words of one node that were delivered, kept in the plainest way.
struct delivered {
  bool probed{false};
  time_point last_denial_answered{time_point::min()};
  time_point last_claim_asked{time_point::min()};
  time_point last_claim_answered{time_point::min()};
  std::uint32_t claimed{0};

  [[nodiscard]] bool claims() const { return last_claim_asked >= last_denial_answered; }
};

class world {
 public:
  world(std::mt19937_64& random, std::size_t nodes, const routing_config& config)
      : random_{random}, config_{config}, core_{config, router::names(nodes), now_}, servers_(nodes), told_(nodes) {
    servers_[0].role = db_node_role::primary;
    for (auto& each : servers_) each.booted = now_ - 1h;
    parent_[1] = {0, 0};
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      advance(now_ + duration{draw(6'000)});
      switch (draw(40)) {
        case 0: case 1: case 2: case 3: case 4: case 5: commit_somewhere(); break;
        case 6: case 7: case 8: case 9: case 10: case 11: case 12: case 13: case 14: replicate(); break;
        case 15: case 16: case 17: case 18: case 19: case 20: case 21: case 22: case 23: case 24: case 25: case 26: read(); break;
        case 27: case 28: case 29: case 30: case 31: write(); break;
        case 32: if (draw(4) == 0) crash(); break;
        case 33: restart(); break;
        case 34: if (draw(4) == 0) promote(); break;
        case 35: if (draw(3) == 0) build_anew(); break;
        case 36: if (draw(4) == 0) bounce(); break;
        case 37: report_role(); break;
        case 38: refuse_write(); break;
        case 39: look_around(); break;
      }
    }
  }
  int proven{0};
  int checked{0};
  int passed{0};
  int fallbacks{0};
  int refused{0};
  int waited{0};
  int writes{0};
  int writes_refused{0};
  int ejections{0};
  int ahead{0};

 private:
  std::uint64_t draw(std::uint64_t below) { return random_() % below; }
  duration delay() { return duration{draw(10) == 0 ? draw(300'000) : draw(8'000)}; }
  server& any() { return servers_[draw(servers_.size())]; }
  void later(time_point when, std::function<void()> what) { pending_.emplace(when, std::move(what)); }

  void advance(time_point to) {
    for (;;) {
      const auto tick = core_.next_tick();
      const auto next = std::min(pending_.empty() ? time_point::max() : pending_.begin()->first, std::max(tick, now_));
      if (next > to) break;
      now_ = next;
      if (!pending_.empty() && pending_.begin()->first <= now_) {
        const auto what = std::move(pending_.begin()->second);
        pending_.erase(pending_.begin());
        what();
      } else {
        tick_now();
      }
    }
    now_ = to;
    for (auto& each : servers_) {
      if (now_ < each.rebuilt_at) continue;
      each.rebuilt_at = time_point::max();
      start(each);
    }
  }

  void tick_now() {
    std::vector<node_index> probe;
    (void)core_.take_changes();
    core_.tick(now_, random_(), probe);
    check_ejections();
    for (const auto node : probe) {
      REQUIRE_FALSE(probing_[node]);  // one at a time
      probing_[node] = true;
      const auto asked = now_;
      later(now_ + delay(), [this, node, asked] { measure(node, asked); });
    }
  }

  /// Whoever was ejected just now: no more than the share of the replicas are out.
  void check_ejections() {
    const auto changes = core_.take_changes();
    if (std::ranges::none_of(changes, [](const auto& c) { return c.kind == route_change_kind::node_ejected; })) return;
    std::size_t out{0};
    std::size_t replicas{0};
    for (const auto& node : core_.stats(now_).nodes) {
      if (node.state == db_node_state::ejected) ++out;
      if (node.state == db_node_state::ejected || node.state == db_node_state::usable || node.state == db_node_state::suspect) ++replicas;
    }
    ++ejections;
    REQUIRE(static_cast<double>(out) <= config_.max_ejected_ratio * static_cast<double>(replicas));
  }

  void finish(const route_ticket& ticket, query_end how, std::chrono::nanoseconds took) {
    (void)core_.take_changes();
    core_.finished(ticket, now_, how, took, random_());
    check_ejections();
  }

  void measure(node_index node, time_point asked) {
    const auto& s = servers_[node];
    const bool silent = draw(30) == 0 || now_ - asked > config_.probe_timeout;
    if (!s.up || silent) {
      const auto why = s.up ? probe_failure::timed_out : probe_failure::refused;
      later(now_ + duration{draw(5'000)}, [this, node, why] {
        probing_[node] = false;
        core_.probe_failed(node, now_, why, random_());
      });
      return;
    }
    auto place = s.at;
    // A standby says on which timeline it is at least.
    if (s.role == db_node_role::replica && draw(3) == 0) place.timeline = std::max<std::uint32_t>(1, parent_[place.timeline].timeline);
    const probe_answer answer{s.role, router::system, place};
    later(now_ + duration{draw(5'000)}, [this, node, asked, answer] {
      probing_[node] = false;
      told_[node].probed = true;
      hear(node, {asked, now_}, answer.role == db_node_role::primary, answer.place.timeline);
      core_.probe_answered(node, {asked, now_}, answer);
    });
  }

  /// None is given before it is known which system counts.
  [[nodiscard]] bool has_sessions(node_index node) const { return told_[node].probed && core_.system(); }

  void hear(node_index node, const measured& when, bool primary, std::uint32_t timeline) {
    auto& told = told_[node];
    if (!primary) {
      told.last_denial_answered = std::max(told.last_denial_answered, when.answered);
      return;
    }
    // Of two claims that may have been measured in either order, the one on the newer timeline is the later.
    const bool is_news = told.claims() ? when.asked >= told.last_claim_answered || timeline >= told.claimed : when.asked >= told.last_denial_answered;
    if (!is_news) return;
    told.last_claim_asked = std::max(told.last_claim_asked, when.asked);
    told.last_claim_answered = when.answered;
    told.claimed = timeline;
  }

  // What servers do.

  void commit_somewhere() {
    for (node_index i = 0; i < servers_.size(); ++i) {
      auto& s = servers_[i];
      if (!s.up || s.role != db_node_role::primary || draw(2) == 0) continue;
      s.at.position += 1 + draw(200);
      commits_.push_back({now_, s.at});
      if (draw(2) == 0) continue;
      // It was ours, so we have a token, and tell the core.
      const auto asked = now_;
      const auto place = s.at;
      tokens_.push_back({router::system, place.timeline, place.position});
      later(now_ + duration{draw(3'000)}, [this, i, asked, place] {
        if (!has_sessions(i)) return;
        hear(i, {asked, now_}, true, place.timeline);
        core_.committed(i, {asked, now_}, place);
      });
    }
  }

  void replicate() {
    for (auto& s : servers_) {
      if (!s.up || s.role != db_node_role::replica || draw(3) == 0) continue;
      const auto& leader = any();
      if (!leader.up || leader.role != db_node_role::primary || !is_before(s.at, leader.at) || !comes_of(s.newest, leader.at.timeline)) continue;
      const auto far = leader.at.position - s.at.position;
      const auto to = s.at.position + (draw(2) == 0 ? far : draw(far + 1));
      s.at = place_on(leader.at.timeline, to);
      s.newest = leader.at.timeline;
    }
  }

  void crash() {
    auto& s = any();
    s.up = false;
  }
  void restart() {
    for (auto& s : servers_) {
      if (!s.up && s.rebuilt_at == time_point::max() && draw(2) == 0) start(s);
    }
  }
  void start(server& s) {
    s.up = true;
    s.booted = now_;
    // A standby begins at its last restart point, before what it had replayed.
    if (s.role == db_node_role::replica && draw(2) == 0) s.at = place_on(s.at.timeline, s.at.position - std::min<std::uint64_t>(s.at.position - 1, draw(400)));
  }
  void bounce() {
    auto& s = any();
    if (s.up) start(s);
  }
  void promote() {
    auto& s = any();
    if (!s.up || s.role != db_node_role::replica) return;
    for (auto& other : servers_) {
      if (other.role != db_node_role::primary) continue;
      switch (draw(3)) {
        case 0: other.up = false; break;
        case 1:  // a planned switchover
          if (!is_before(s.at, other.at) || !comes_of(s.newest, other.at.timeline)) break;
          s.at = other.at;
          other.role = db_node_role::replica;
          other.booted = now_;
          break;
        case 2: break;  // it does not know
      }
    }
    const auto timeline = static_cast<std::uint32_t>(parent_.size() + 1);
    parent_[timeline] = s.at;
    s.at.timeline = timeline;
    s.newest = timeline;
    s.role = db_node_role::primary;
  }
  void build_anew() {
    auto& s = any();
    const server* best{nullptr};
    for (const auto& each : servers_) {
      if (each.up && each.role == db_node_role::primary && (best == nullptr || each.at.timeline > best->at.timeline)) best = &each;
    }
    if (best == nullptr || best == &s) return;
    s.up = false;
    s.at = best->at;
    s.newest = best->at.timeline;
    s.role = db_node_role::replica;
    s.rebuilt_at = now_ + 700ms;  // longer than probes need to notice
  }

  // What sessions notice.

  void report_role() {
    const auto i = static_cast<node_index>(draw(servers_.size()));
    const auto& s = servers_[i];
    if (!s.up) return;
    const auto asked = now_ - duration{draw(3'000)};
    if (asked < s.booted) return;
    const bool standby = s.role == db_node_role::replica;
    later(now_ + duration{draw(3'000)}, [this, i, asked, standby] {
      if (!has_sessions(i)) return;
      if (standby) hear(i, {asked, now_}, false, 0);
      core_.role_reported(i, {asked, now_}, standby);
    });
  }
  void refuse_write() {
    const auto i = static_cast<node_index>(draw(servers_.size()));
    const auto& s = servers_[i];
    if (!s.up || s.role != db_node_role::replica) return;
    const auto asked = now_;
    later(now_ + duration{draw(3'000)}, [this, i, asked] {
      if (!has_sessions(i)) return;
      hear(i, {asked, now_}, false, 0);
      core_.write_refused(i, {asked, now_}, draw(2) == 0 ? std::optional<bool>{} : std::optional{true});
    });
  }

  // What callers ask.

  void write() {
    const auto held = draw(config_.max_buffered + 2);
    const auto answer = core_.choose_write(now_, held);
    if (answer.action != route_action::use) {
      ++writes_refused;
      REQUIRE(answer.at > now_);
      REQUIRE(answer.at < now_ + 10s);
      REQUIRE(answer.why != db_route_refusal::none);
      if (answer.action == route_action::wait) REQUIRE(held < config_.max_buffered);
      return;
    }
    ++writes;
    const auto& told = told_[answer.ticket.node];
    // Its last word is a claim, asked after every denial was heard, and no node has claimed a newer timeline without taking that back.
    REQUIRE(told.claims());
    for (const auto& other : told_) {
      if (other.claims()) REQUIRE(other.claimed <= told.claimed);
      if (&other != &told && other.claims()) REQUIRE(other.claimed < told.claimed);
    }
    REQUIRE(core_.holds(answer.ticket));
    if (last_write_) {
      if (last_write_->node != answer.ticket.node) REQUIRE(answer.ticket.epoch > last_write_->epoch);
      REQUIRE(answer.ticket.epoch >= last_write_->epoch);
      REQUIRE(core_.holds(*last_write_) == (last_write_->epoch == answer.ticket.epoch));
    }
    last_write_ = answer.ticket;
    end_later(answer.ticket);
  }

  void read() {
    read_question question;
    if (!tokens_.empty() && draw(3) != 0) question.token = tokens_[tokens_.size() - 1 - draw(std::min<std::size_t>(tokens_.size(), 10))];
    if (draw(3) == 0) question.fresh_as_of = now_ - duration{draw(800'000)};
    if (draw(8) == 0) question.tried = draw(std::uint64_t{1} << servers_.size());
    if (draw(16) == 0) question.prefer = read_preference::primary;
    question.may_wait_until = draw(2) == 0 ? now_ : now_ + duration{1 + draw(100'000)};
    const auto before = core_.stats(now_);
    const auto timeline = reference();
    const auto answer = core_.choose_read(question, now_, random_());
    if (answer.action != route_action::use) {
      ++(answer.action == route_action::wait ? waited : refused);
      REQUIRE(answer.why != db_route_refusal::none);
      REQUIRE(answer.at > now_);
      if (answer.action == route_action::wait) REQUIRE(answer.at <= question.may_wait_until);
      REQUIRE(answer.at < now_ + 10s);
      return;
    }
    const auto node = answer.ticket.node;
    REQUIRE((question.tried >> node & 1U) == 0);
    REQUIRE(before.nodes[node].state != db_node_state::ejected);
    REQUIRE(before.nodes[node].state != db_node_state::down);
    if (answer.ticket.use != route_use::replica_read) {
      const auto& told = told_[node];
      REQUIRE(told.claims());
      if (answer.ticket.use == route_use::fallback_read) {
        ++fallbacks;
        REQUIRE(core_.stats(now_).fallbacks_in_flight <= cap());
      }
      end_later(answer.ticket);
      return;
    }
    const bool demands = !question.token.empty() || question.fresh_as_of.has_value();
    REQUIRE((answer.how != freshness::not_asked) == demands);
    if (answer.how == freshness::proven) ++proven;
    if (answer.how == freshness::check) ++checked;
    const auto& s = servers_[node];
    const auto opened = now_ - duration{draw(400'000)};
    if (!s.up || opened < s.booted) {  // the session is dead
      const auto ticket = answer.ticket;
      later(now_ + duration{draw(2'000)}, [this, ticket] { finish(ticket, query_end::lost, 1ms); });
      return;
    }
    if (s.role == db_node_role::replica && answer.how == freshness::proven && opened <= answer.proof_asked) {
      hold(node, question, timeline);
    } else if (s.role == db_node_role::replica && answer.how != freshness::not_asked) {
      const auto position = s.at.position;
      const auto asked = now_;
      if (position >= answer.need) {
        ++passed;
        hold(node, question, timeline);
      }
      later(now_ + duration{draw(2'000)},
            [this, node, asked, position, need = answer.need] { core_.replay_answered(node, {asked, now_}, position, need); });
    }
    end_later(answer.ticket);
  }

  /// The server holds what the question asks for, or that was lost when a timeline ended.
  void hold(node_index node, const read_question& question, std::uint32_t timeline) {
    const auto& s = servers_[node];
    CAPTURE(s.at.timeline);
    CAPTURE(s.at.position);
    CAPTURE(timeline);
    CAPTURE(question.token);
    // A standby that follows a new primary before anybody has told of that one: it lacks what was lost, or is about to be.
    if (s.at.timeline > timeline) {
      REQUIRE(core_.stats(now_).nodes[node].timeline == timeline);
      ++ahead;
      return;
    }
    if (!question.token.empty()) {
      const wal_place wanted{question.token.timeline(), question.token.position()};
      REQUIRE((is_before(wanted, s.at) || !is_before(wanted, {timeline, ~std::uint64_t{0}})));
    }
    if (!question.fresh_as_of) return;
    for (const auto& each : commits_) {
      if (each.acknowledged <= *question.fresh_as_of && each.place.timeline == timeline) REQUIRE(is_before(each.place, s.at));
    }
  }

  void end_later(const route_ticket& ticket) {
    const auto how = draw(20) == 0 ? query_end::timed_out : draw(20) == 0 ? query_end::cancelled : query_end::answered;
    const auto took = delay();
    later(now_ + took, [this, ticket, how, took] { finish(ticket, how, took); });
  }

  void look_around() {
    CHECK_FALSE(core_.explain({}, now_).empty());
    const auto stats = core_.stats(now_);
    for (const auto& node : stats.nodes) REQUIRE(node.in_flight < 10'000);  // never below zero
    REQUIRE(stats.fallbacks_in_flight <= cap());
  }

  [[nodiscard]] std::size_t cap() const {
    const auto share = static_cast<std::size_t>(config_.fallback_ratio * static_cast<double>(config_.primary_read_sessions));
    return config_.fallback_ratio > 0 ? std::max<std::size_t>(1, share) : 0;
  }
  /// The timeline that the router goes by: that of the last claim it took for the primary's.
  [[nodiscard]] std::uint32_t reference() const {
    const auto text = core_.explain({}, now_);
    const auto begin = text.find("timeline ") + 9;
    const auto value = static_cast<std::uint32_t>(std::stoul(text.substr(begin)));
    if (value != 0) return value;
    std::uint32_t newest{0};
    for (const auto& node : core_.stats(now_).nodes) newest = std::max(newest, node.timeline);
    return newest;
  }

  // Where places are: a timeline begins at a place of its parent.

  [[nodiscard]] bool is_before(const wal_place& earlier, const wal_place& later) const {
    auto timeline = later.timeline;
    auto reach = later.position;
    while (timeline != earlier.timeline) {
      if (timeline <= earlier.timeline || timeline <= 1) return false;
      const auto& from = parent_.at(timeline);
      reach = std::min(reach, from.position);
      timeline = from.timeline;
    }
    return earlier.position <= reach;
  }
  [[nodiscard]] bool comes_of(std::uint32_t earlier, std::uint32_t later) const {
    while (later > earlier) later = parent_.at(later).timeline;
    return later == earlier;
  }
  [[nodiscard]] wal_place place_on(std::uint32_t timeline, std::uint64_t position) const {
    while (timeline > 1 && position < parent_.at(timeline).position) timeline = parent_.at(timeline).timeline;
    return {timeline, position};
  }

  std::mt19937_64& random_;
  routing_config config_;
  time_point now_{at(1h)};
  route_core core_;
  std::vector<server> servers_;
  std::vector<delivered> told_;
  std::map<node_index, bool> probing_;
  std::map<std::uint32_t, wal_place> parent_;
  std::vector<commit> commits_;
  std::vector<consistency_token> tokens_;
  std::multimap<time_point, std::function<void()>> pending_;
  std::optional<route_ticket> last_write_;
};

}  // namespace

TEST_CASE("route_core.never_lies_in_a_world_where_everything_happens") {
  const char* const given = std::getenv("SPILLWAY_TEST_SEED");
  const auto seed = given != nullptr ? std::stoull(given) : std::random_device{}();
  MESSAGE("seed " << seed);
  CAPTURE(seed);
  std::mt19937_64 random{seed};
  int proven{0};
  int passed{0};
  int writes{0};
  int fallbacks{0};
  int ejections{0};
  int ahead{0};
  for (int round = 0; round < 150; ++round) {
    routing_config config;
    config.strategy = static_cast<read_strategy>(random() % 4);
    config.primary_read_sessions = 1 + random() % 8;
    config.fallback_ratio = static_cast<double>(random() % 5) / 4.0;
    config.max_buffered = random() % 5;
    config.buffer_for = std::chrono::milliseconds{random() % 500};
    config.claim_lapse = 1h;  // two primaries stay two, or the reference below would have to know better
    config.max_ejected_ratio = static_cast<double>(random() % 3) / 2.0;
    world w{random, 1 + random() % 4, config};
    w.run(3'000);
    proven += w.proven;
    passed += w.passed;
    writes += w.writes;
    fallbacks += w.fallbacks;
    ejections += w.ejections;
    ahead += w.ahead;
  }
  MESSAGE("granted: " << proven << " proven, " << passed << " checked and passed, " << fallbacks << " fallbacks, " << writes << " writes; " << ejections << " ejections");
  CHECK(proven > 1'000);
  CHECK(passed > 1'000);
  CHECK(writes > 1'000);
  CHECK(fallbacks > 1'000);
  CHECK(ejections > 100);
  CHECK(ahead * 20 < proven + passed);
}
