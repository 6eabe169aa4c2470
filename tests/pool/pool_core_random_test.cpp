// SPDX-License-Identifier: Apache-2.0
// pool_core against a plain model of a pool: any order of events, and every short one.
#include "pool/pool_core.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <list>
#include <map>
#include <random>
#include <set>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using detail::pool_core;
using detail::pool_limits;
using detail::wait_node;

namespace {

/// Keeps the books of a pool on its own, carries out what the core decides, and checks it against them.
class model {
 public:
  explicit model(const pool_limits& limits) : limits_{limits}, core_{limits} {}

  void advance(std::chrono::nanoseconds by) { now_ += by; }

  void acquire(bool critical, deadline until) {
    const auto taken = core_.take(now_, critical, out_);
    if (taken) {
      // Nobody who may not be overtaken was waiting, and it was idle.
      REQUIRE((critical ? critical_ : normal_).empty());
      if (!critical) REQUIRE(critical_.empty());
      REQUIRE(idle_.erase(*taken) == 1);
      lent_.push_back(*taken);
      apply();
      return;
    }
    apply();
    auto& node = nodes_.emplace_back();
    node.until = until;
    node.critical = critical;
    const auto live = idle_.size() + lent_.size() + pinging_.size();
    const bool down = core_.is_down(now_);
    const auto joined = core_.join(node, now_, out_);
    if (joined) {
      (critical ? critical_ : normal_).push_back(&node);
    } else {
      switch (joined.error()) {
        case pool_errc::shutting_down: REQUIRE(draining_); break;
        case pool_errc::timed_out: REQUIRE(until.passed(now_)); break;
        case pool_errc::backend_down: REQUIRE((down && live == 0)); break;
        case pool_errc::queue_full: full_ = true; break;
        default: FAIL("refused for no reason");
      }
    }
    apply();
    if (full_) REQUIRE(critical_.size() + normal_.size() == limits_.max_waiters);
    full_ = false;
    if (!joined) nodes_.pop_back();
  }

  void give_back(std::size_t which, bool keep) {
    if (lent_.empty()) return;
    const auto id = lent_[which % lent_.size()];
    std::erase(lent_, id);
    idle_.insert(id);
    checked_[id] = now_;
    core_.give_back(id, now_, keep, out_);
    apply();
  }
  void hand_over(std::size_t which) {
    if (lent_.empty()) return;
    const auto id = lent_[which % lent_.size()];
    const bool given = core_.hand_over(id, now_, out_);
    // The only grant, of this resource, to the first who is not too late.
    REQUIRE(out_.grants.size() == (given ? 1 : 0));
    if (given) {
      REQUIRE(out_.grants[0].resource == id);
      std::erase(lent_, id);
      idle_.insert(id);
    }
    apply();
    // Kept only if nobody waits, or it is not one to be lent.
    const auto live = idle_.size() + lent_.size() + pinging_.size();
    const bool fit = !stale_.contains(id) && now_ < expires_.at(id) && live <= limits_.max;
    if (!given && fit) REQUIRE(critical_.size() + normal_.size() == 0);
  }
  void cancel(std::size_t which) {
    const auto waiting = critical_.size() + normal_.size();
    if (waiting == 0) return;
    which %= waiting;
    auto* const node = which < critical_.size() ? critical_[which] : normal_[which - critical_.size()];
    forget(node);
    REQUIRE(core_.leave(*node, now_, out_));
    apply();
  }
  void open_ends(bool well, std::chrono::nanoseconds lifetime, bool stale = false) {
    if (opening_ == 0) return;
    --opening_;
    if (well) {
      adopt(false, lifetime, stale);
    } else {
      core_.open_failed(now_, now_ + 20ms, false, out_);
      apply();
    }
  }
  void open_hangs() {
    if (opening_ == 0) return;
    --opening_;
    ++lost_;
    core_.open_lost(now_, now_ + 20ms, out_);
    apply();
  }
  void hung_ends(bool well) {
    if (lost_ == 0) return;
    --lost_;
    if (well) {
      adopt(true, 1h);
    } else {
      core_.open_failed(now_, now_ + 20ms, true, out_);
      apply();
    }
  }
  void ping_ends(bool alive) {
    if (pinging_.empty()) return;
    const auto id = *pinging_.begin();
    pinging_.erase(pinging_.begin());
    idle_.insert(id);
    checked_[id] = now_;
    core_.pinged(id, now_, alive, out_);
    apply();
  }
  void close_ends() {
    if (closing_.empty()) return;
    const auto id = *closing_.begin();
    closing_.erase(closing_.begin());
    core_.closed(id, now_, out_);
    apply();
  }
  void tick() {
    core_.tick(now_, out_);
    apply();
    for (const auto* node : normal_) REQUIRE_FALSE(node->until.passed(now_));
    for (const auto* node : critical_) REQUIRE_FALSE(node->until.passed(now_));
    // Who waits is not left with pings that take longer than half of the 5 ms of an opening.
    const auto waiting = core_.waiting();
    const auto awaited =
        static_cast<std::size_t>(std::ranges::count_if(pinging_, [&](pool_core::resource_id id) { return now_ - pinged_since_.at(id) < 2'500us; }));
    if (waiting > awaited && !idle_.empty()) REQUIRE(awaited >= std::min<std::size_t>(waiting, 8));
    if (waiting > awaited && idle_.empty() && core_.total() < limits_.max && !core_.next_try()) REQUIRE(opening_ > 0);
    // Or its timer would never rest.
    if (const auto wake = core_.next_wake(now_)) REQUIRE(*wake > now_);
  }
  void forget() {
    if (lost_ == 0) return;
    --lost_;
    core_.open_forgotten(now_, out_);
    apply();
  }
  void invalidate() {
    core_.invalidate(now_, out_);
    for (const auto id : lent_) stale_.insert(id);
    for (const auto id : pinging_) stale_.insert(id);
    apply();
  }
  void missed() {
    core_.missed(now_, out_);
    apply();
  }
  void change(std::size_t max, std::size_t min) {
    limits_.max = max;
    limits_.min = std::min(min, max);
    limits_.min_idle = 0;
    core_.change(limits_, now_, out_);
    apply();
  }
  void drain() {
    draining_ = true;
    core_.drain(now_, out_);
    apply();
    REQUIRE(critical_.size() + normal_.size() == 0);
  }
  /// Everything comes to its end, and then nothing is left.
  void finish() {
    drain();
    for (int i = 0; i < 1'000 && core_.total() > 0; ++i) {
      give_back(0, true);
      open_ends(true, 1h);
      hung_ends(true);
      ping_ends(true);
      close_ends();
    }
    REQUIRE(core_.total() == 0);
  }

  [[nodiscard]] time_point now() const { return now_; }

 private:
  void adopt(bool lost, std::chrono::nanoseconds lifetime, bool stale = false) {
    const auto id = core_.opened(now_, now_ + lifetime, 5ms, lost, stale, out_);
    REQUIRE_FALSE(idle_.contains(id));
    REQUIRE(std::ranges::find(lent_, id) == lent_.end());
    REQUIRE_FALSE(closing_.contains(id));
    REQUIRE_FALSE(pinging_.contains(id));
    stale_.erase(id);
    if (stale) stale_.insert(id);
    expires_[id] = now_ + lifetime;
    checked_[id] = now_;
    idle_.insert(id);
    apply();
    if (stale) REQUIRE(closing_.contains(id));
  }

  void forget(wait_node* node) {
    std::erase(normal_, node);
    std::erase(critical_, node);
  }

  void apply() {
    // Late ones are refused first, in any order; then grants go by the book.
    for (const auto& refused : out_.refusals) {
      if (refused.why == pool_errc::timed_out) REQUIRE(refused.waiter->until.passed(now_));
      if (refused.why == pool_errc::shutting_down) REQUIRE(draining_);
      if (refused.why == pool_errc::backend_down) REQUIRE(idle_.size() + lent_.size() + pinging_.size() == 0);
      REQUIRE(waits(refused.waiter));
      forget(refused.waiter);
    }
    for (const auto& grant : out_.grants) {
      auto* const expected = !critical_.empty() ? critical_.front() : normal_.front();
      REQUIRE(grant.waiter == expected);
      REQUIRE(idle_.erase(grant.resource) == 1);
      REQUIRE_FALSE(stale_.contains(grant.resource));
      lent_.push_back(grant.resource);
      forget(grant.waiter);
    }
    for (const auto id : out_.close) {
      REQUIRE(idle_.erase(id) == 1);
      closing_.insert(id);
    }
    for (const auto id : out_.ping) {
      REQUIRE(idle_.erase(id) == 1);
      pinging_.insert(id);
      pinged_since_[id] = now_;
    }
    opening_ += out_.open;
    out_.clear();
    if (core_.is_draining() || !full_) check();
  }

  void check() {
    const auto total = idle_.size() + lent_.size() + pinging_.size() + closing_.size() + opening_ + lost_;
    REQUIRE(core_.total() == total);
    REQUIRE(core_.idle() == idle_.size());
    REQUIRE(core_.lent() == lent_.size());
    REQUIRE(core_.waiting() == critical_.size() + normal_.size());
    REQUIRE(opening_ <= limits_.max_connecting);
    if (core_.waiting() > 0) {
      // Nothing, but what has to be pinged first.
      for (const auto id : idle_) REQUIRE((limits_.ping_after_idle > 0ms && now_ - checked_.at(id) >= limits_.ping_after_idle));
      REQUIRE((idle_.empty() || !pinging_.empty()));
      // Somebody will serve them, or makes room for that, or a time is set for the next try.
      REQUIRE((opening_ + pinging_.size() + lent_.size() + closing_.size() + lost_ > 0 || core_.next_wake(now_).has_value()));
    }
    // Above max only for critical callers, and for no more than there are.
    if (opening_ > last_opening_ && total > limits_.max) REQUIRE((opening_ <= critical_.size() && total <= limits_.max + limits_.overflow));
    last_opening_ = opening_;
  }

  [[nodiscard]] bool waits(const wait_node* node) const {
    return std::ranges::find(normal_, node) != normal_.end() || std::ranges::find(critical_, node) != critical_.end();
  }

  pool_limits limits_;
  pool_core core_;
  pool_core::actions out_;
  time_point now_{};
  std::list<wait_node> nodes_;
  std::deque<wait_node*> normal_;
  std::deque<wait_node*> critical_;
  std::set<pool_core::resource_id> idle_;
  std::set<pool_core::resource_id> pinging_;
  std::set<pool_core::resource_id> closing_;
  std::set<pool_core::resource_id> stale_;
  std::map<pool_core::resource_id, time_point> expires_;
  std::map<pool_core::resource_id, time_point> checked_;
  std::map<pool_core::resource_id, time_point> pinged_since_;
  std::vector<pool_core::resource_id> lent_;
  std::size_t opening_{0};
  std::size_t last_opening_{0};
  std::size_t lost_{0};
  bool draining_{false};
  bool full_{false};
};

pool_limits random_limits(std::mt19937_64& random) {
  pool_limits limits;
  limits.max = 1 + random() % 4;
  limits.min = random() % (limits.max + 1);
  limits.min_idle = random() % (limits.max + 1);
  limits.overflow = random() % 3;
  limits.max_waiters = 1 + random() % 10;
  limits.max_connecting = 1 + random() % 3;
  limits.idle_timeout = random() % 2 == 0 ? 0ms : 30ms;
  limits.ping_after_idle = random() % 2 == 0 ? 0ms : 10ms;
  limits.keepalive = random() % 2 == 0 ? 0ms : 15ms;
  limits.overdue_grace = 10ms;
  limits.failure_is_fresh = 50ms;
  return limits;
}

}  // namespace

TEST_CASE("pool_core.agrees_with_a_plain_model_in_any_order_of_events") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  MESSAGE("seed " << seed);
  std::mt19937_64 random{seed};
  for (int round = 0; round < 400; ++round) {
    model pool{random_limits(random)};
    for (int step = 0; step < 400; ++step) {
      if (random() % 3 == 0) pool.advance(std::chrono::microseconds{random() % 8'000});
      switch (random() % 24) {
        case 0: case 1: case 2: case 3: case 4: case 5:
          pool.acquire(random() % 6 == 0, random() % 3 == 0 ? deadline::never() : deadline{pool.now() + std::chrono::milliseconds{random() % 30}});
          break;
        case 6: case 7: case 8: case 9: pool.give_back(random(), random() % 8 != 0); break;
        case 10: pool.cancel(random()); break;
        case 22: case 23: pool.hand_over(random()); break;
        case 11: case 12: case 13: pool.open_ends(random() % 4 != 0, std::chrono::milliseconds{random() % 200}, random() % 8 == 0); break;
        case 14: pool.open_hangs(); break;
        case 15: pool.hung_ends(random() % 2 == 0); break;
        case 16: pool.ping_ends(random() % 3 != 0); break;
        case 17: case 18: pool.close_ends(); break;
        case 19: case 20: pool.tick(); break;
        case 21:
          switch (random() % 8) {
            case 0: pool.invalidate(); break;
            case 1: pool.change(1 + random() % 5, random() % 3); break;
            case 2: case 3: pool.missed(); break;
            case 4: pool.forget(); break;
            default: break;
          }
          break;
      }
    }
    pool.finish();
  }
}

TEST_CASE("pool_core.keeps_its_books_in_every_short_order_of_events") {
  constexpr int kinds{9};
  constexpr int length{6};
  int orders{1};
  for (int i = 0; i < length; ++i) orders *= kinds;
  for (const std::size_t max : {1U, 2U}) {
    for (int order = 0; order < orders; ++order) {
      CAPTURE(max);
      CAPTURE(order);
      pool_limits limits;
      limits.max = max;
      limits.max_waiters = 2;
      limits.idle_timeout = 5ms;
      model pool{limits};
      for (int rest = order, i = 0; i < length; ++i, rest /= kinds) {
        pool.advance(1ms);
        switch (rest % kinds) {
          case 0: pool.acquire(false, deadline::never()); break;
          case 1: pool.acquire(false, deadline{pool.now() + 2ms}); break;
          case 2: pool.give_back(0, true); break;
          case 3: pool.give_back(0, false); break;
          case 4: pool.open_ends(true, 1h); break;
          case 5: pool.open_ends(false, 1h); break;
          case 6: pool.cancel(0); break;
          case 7: pool.close_ends(); break;
          case 8: pool.hand_over(0); break;
        }
      }
      pool.finish();
    }
  }
}
