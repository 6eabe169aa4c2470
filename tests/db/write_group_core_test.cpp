// SPDX-License-Identifier: Apache-2.0
#include "db/write_group_core.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <random>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using detail::write_group_core;
using detail::write_group_node;

namespace {

constexpr time_point epoch{};

std::size_t length(const write_group_node* chain) {
  std::size_t count{0};
  for (; chain != nullptr; chain = chain->behind) ++count;
  return count;
}

/// A write that runs from one time to another, and then waits.
void run_and_wait(write_group_core& core, write_group_node& node, std::chrono::nanoseconds from, std::chrono::nanoseconds to) {
  core.begins(epoch + from, false);
  REQUIRE(core.ends(epoch + to, deadline::never()));
  core.waits(node);
}

}  // namespace

TEST_CASE("write_group_core.takes_in_as_many_as_it_may") {
  write_group_core core{{3, 10ms}};
  std::vector<write_group_node> nodes(3);
  CHECK_FALSE(core.takes_in(epoch, false));  // nobody waits
  run_and_wait(core, nodes[0], 0us, 10us);
  CHECK(core.takes_in(epoch + 20us, false));
  run_and_wait(core, nodes[1], 20us, 30us);
  CHECK(core.takes_in(epoch + 40us, false));
  core.begins(epoch + 40us, false);
  CHECK_FALSE(core.ends(epoch + 50us, deadline::never()));  // three
  auto* const waited = core.closes(false);
  CHECK(waited == &nodes[0]);
  CHECK(waited->behind == &nodes[1]);
  CHECK(length(waited) == 2);
  CHECK_FALSE(core.anyone_waits());
  run_and_wait(core, nodes[2], 60us, 70us);  // the count begins anew
}

TEST_CASE("write_group_core.one_that_shares_nothing_has_those_before_it_committed_first_and_waits_for_nobody") {
  write_group_core core{{8, 10ms}};
  write_group_node first;
  run_and_wait(core, first, 0us, 10us);
  CHECK_FALSE(core.takes_in(epoch + 20us, true));
  CHECK(length(core.closes(false)) == 1);
  core.begins(epoch + 20us, true);
  CHECK_FALSE(core.ends(epoch + 30us, deadline::never()));
}

TEST_CASE("write_group_core.one_or_no_time_means_never") {
  write_group_core one{{1, 10ms}};
  one.begins(epoch, false);
  CHECK_FALSE(one.ends(epoch + 1us, deadline::never()));
  write_group_core no_time{{8, 0ms}};
  no_time.begins(epoch, false);
  CHECK_FALSE(no_time.ends(epoch + 1us, deadline::never()));
}

TEST_CASE("write_group_core.nobody_joins_who_would_probably_end_too_late") {
  write_group_core core{{100, 10ms}};
  write_group_node first;
  run_and_wait(core, first, 0ms, 3ms);  // as long as the next will probably take
  CHECK(core.takes_in(epoch + 7ms, false));
  CHECK_FALSE(core.takes_in(epoch + 7ms + 1ns, false));
  (void)core.closes(false);

  // After a long one others are better off by themselves, until it is forgotten.
  core.begins(epoch, false);
  CHECK_FALSE(core.ends(epoch + 1s, deadline::never()));
  (void)core.closes(false);
  int by_themselves{0};
  for (bool alone = true; alone; ++by_themselves) {
    core.begins(epoch + 2s, false);
    alone = !core.ends(epoch + 2s, deadline::never());
    (void)core.closes(false);
    REQUIRE(by_themselves < 50);
  }
  CHECK(by_themselves > 30);
}

TEST_CASE("write_group_core.nobody_joins_who_would_make_a_member_miss_its_deadline") {
  write_group_core core{{100, 10ms}};
  write_group_node first;
  core.begins(epoch, false);
  CHECK(core.ends(epoch + 1ms, deadline{epoch + 4ms}));
  core.waits(first);
  CHECK(core.takes_in(epoch + 3ms - 1ns, false));
  CHECK_FALSE(core.takes_in(epoch + 3ms, false));
  core.begins(epoch + 2ms, false);
  CHECK_FALSE(core.ends(epoch + 3ms, deadline::never()));
  (void)core.closes(false);
  // Of those who are gone nothing is left.
  core.begins(epoch + 5ms, false);
  CHECK(core.ends(epoch + 6ms, deadline::never()));
}

TEST_CASE("write_group_core.after_a_lost_transaction_others_keep_to_themselves_for_a_while") {
  write_group_core core{{100, 10ms}};
  core.begins(epoch, false);
  CHECK(core.ends(epoch, deadline::never()));
  (void)core.closes(true);
  int by_themselves{0};
  for (bool alone = true; alone; ++by_themselves) {
    core.begins(epoch, false);
    alone = !core.ends(epoch, deadline::never());
    (void)core.closes(false);
    REQUIRE(by_themselves < 40);
  }
  CHECK(by_themselves > 15);
}

TEST_CASE("write_group_core.whoever_finds_nobody_behind_it_goes_on_itself") {
  write_group_core core{{8, 10ms}};
  std::vector<write_group_node> nodes(2);
  core.begins(epoch, false);
  CHECK(core.ends(epoch + 1us, deadline::never()));
  core.waits(nodes[0]);
  core.goes_on();
  CHECK_FALSE(core.anyone_waits());
  CHECK(core.closes(false) == nullptr);
  run_and_wait(core, nodes[0], 10us, 11us);
  core.begins(epoch + 12us, false);
  CHECK(core.ends(epoch + 13us, deadline::never()));
  core.waits(nodes[1]);
  core.goes_on();
  CHECK(core.closes(false) == &nodes[0]);
  CHECK(nodes[0].behind == nullptr);
}

namespace {

/// The queue, the engine and the callers, kept plainly. Runs the writes one by one as the shell does, and checks what the core says against it.
class model {
 public:
  model(std::size_t members, std::chrono::nanoseconds time) : members_{members}, time_{time}, core_{{members, time}} {}

  void advance(std::chrono::nanoseconds by) { now_ += by; }
  void arrive(bool alone, deadline until) { queue_.push_back(new_write(alone, until)); }
  void give_up(std::size_t which) {
    if (!queue_.empty()) queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(which % queue_.size()));
  }

  /// The first in the queue gets the session and runs, others coming and going meanwhile; and so do those it is handed over to.
  template <class Meanwhile>
  void run_some(bool lost, Meanwhile&& meanwhile) {
    if (queue_.empty()) return;
    for (bool handed_over = true; handed_over;) {
      auto& first = *queue_.front();
      queue_.pop_front();
      handed_over = run(first, lost, meanwhile);
    }
  }
  void check_idle() const {
    REQUIRE(waiting_.empty());
    REQUIRE_FALSE(core_.anyone_waits());
    for (const auto& each : all_) REQUIRE(each.told <= 1);
  }
  [[nodiscard]] time_point now() const { return now_; }
  [[nodiscard]] std::size_t shared() const { return shared_; }

 private:
  struct one_write : write_group_node {
    bool alone;
    deadline until;
    int told{0};
  };

  one_write* new_write(bool alone, deadline until) {
    auto& made = all_.emplace_back();
    made.alone = alone;
    made.until = until;
    return &made;
  }
  /// True: it was handed over. Nothing comes between that and the next one's turn: for the pool it is one step.
  template <class Meanwhile>
  bool run(one_write& one, bool lost, Meanwhile& meanwhile) {
    if (core_.anyone_waits() && !core_.takes_in(now_, one.alone)) close(nullptr, false);
    REQUIRE(core_.anyone_waits() == !waiting_.empty());
    if (waiting_.empty()) opened_ = now_;
    else REQUIRE_FALSE(one.alone);
    REQUIRE(waiting_.size() < members_);
    REQUIRE(now_ - opened_ <= time_);
    for (const auto* each : waiting_) REQUIRE_FALSE(each->until.passed(now_));
    core_.begins(now_, one.alone);
    meanwhile();
    const bool may_wait = core_.ends(now_, one.until);
    if (one.alone) REQUIRE_FALSE(may_wait);
    if (may_wait && !lost) {
      core_.waits(one);
      if (!queue_.empty()) {
        waiting_.push_back(&one);
        return true;
      }
      core_.goes_on();
    }
    close(&one, lost);
    return false;
  }

  void close(one_write* last, bool lost) {
    std::size_t at{0};
    for (auto* node = core_.closes(lost); node != nullptr; node = node->behind) {
      REQUIRE(at < waiting_.size());
      REQUIRE(node == waiting_[at++]);
      ++static_cast<one_write&>(*node).told;
    }
    REQUIRE(at == waiting_.size());
    if (at + (last != nullptr ? 1 : 0) > 1) ++shared_;
    waiting_.clear();
    if (last != nullptr) ++last->told;
  }

  std::size_t members_;
  std::chrono::nanoseconds time_;
  write_group_core core_;
  time_point now_{};
  time_point opened_{};
  std::deque<one_write> all_;
  std::deque<one_write*> queue_;
  std::vector<one_write*> waiting_;
  std::size_t shared_{0};
};

}  // namespace

TEST_CASE("write_group_core.agrees_with_a_plain_model_and_leaves_nobody_waiting") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  MESSAGE("seed " << seed);
  std::mt19937_64 random{seed};
  std::size_t shared{0};
  for (int round = 0; round < 300; ++round) {
    model writes{1 + random() % 6, std::chrono::microseconds{random() % 2'000}};
    const auto meanwhile = [&] {
      for (auto n = random() % 4; n > 0; --n) {
        const auto until = random() % 4 == 0 ? deadline{writes.now() + std::chrono::microseconds{random() % 500}} : deadline::never();
        writes.arrive(random() % 8 == 0, until);
      }
      if (random() % 4 == 0) writes.give_up(random());
      writes.advance(std::chrono::microseconds{random() % (random() % 16 == 0 ? 3'000 : 60)});
    };
    for (int i = 0; i < 60; ++i) {
      meanwhile();
      int busy{0};
      const auto bounded = [&] {
        if (++busy < 100) meanwhile();
      };
      writes.run_some(random() % 32 == 0, bounded);
      writes.check_idle();  // whoever waited has been told by the last one
    }
    shared += writes.shared();
  }
  CHECK(shared > 100);
}
