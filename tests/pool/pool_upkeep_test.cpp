// SPDX-License-Identifier: Apache-2.0
// What a pool does on its own as time passes.
#include "fake_pool.hpp"

#include <doctest/doctest.h>

#include <future>
#include <optional>
#include <thread>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using tests::at_most;
using tests::fake_lease;
using tests::fake_pool;

namespace {

struct counted_budget final : pool_budget {
  bool try_take() noexcept override {
    if (left == 0) return false;
    --left;
    return true;
  }
  void give_back() noexcept override { ++left; }
  int left{0};
};

}  // namespace

TEST_CASE("pool_upkeep.warms_up_and_says_when") {
  auto config = at_most(10);
  config.min = 3;
  fake_pool fake{config};
  CHECK(fake.connector->pending_opens() == 2);
  auto warm = std::async(std::launch::async, [&] { return fake.pool->warm_up_for(10s); });
  for (int i = 0; i < 3; ++i) {
    while (!fake.connector->succeed()) std::this_thread::yield();
  }
  CHECK(warm.get().has_value());
  CHECK(fake.pool->stats().idle == 3);
  CHECK(fake.connector->pending_opens() == 0);
}

TEST_CASE("pool_upkeep.a_warm_up_that_cannot_succeed_says_why") {
  auto config = at_most(10);
  config.min = 1;
  fake_pool fake{config};
  std::optional<result<void, pool_error>> told;
  const auto warm_up = [&] {
    told.reset();
    fake.pool->async_warm_up(10s, [&](result<void, pool_error> what) { told = std::move(what); });
    fake.context.restart();
    fake.context.poll();
  };
  warm_up();
  CHECK_FALSE(told.has_value());
  fake.connector->fail({make_error_code(boost::system::errc::connection_refused), "db1"});
  fake.context.poll();
  REQUIRE(told.has_value());
  CHECK(told->error() == pool_errc::backend_down);
  CHECK(told->error().reason_text() == "db1");

  // A failure of before says nothing about a call of now.
  warm_up();
  CHECK_FALSE(told.has_value());
  fake.advance(200ms);
  CHECK(fake.connector->succeed());
  fake.context.poll();
  REQUIRE(told.has_value());
  CHECK(told->has_value());
}

TEST_CASE("pool_upkeep.closes_idle_resources_that_no_thread_keeps_from_its_sight") {
  auto config = at_most(10);
  config.idle_timeout = 1min;
  fake_pool fake{config};
  fake.connector->answer_at_once();
  { const auto lease = fake.pool->acquire(1s); }
  fake.advance(59s);
  CHECK(fake.connector->open_count() == 1);
  fake.advance(1s);
  CHECK(fake.connector->open_count() == 0);
}

TEST_CASE("pool_upkeep.lifetimes_are_spread_and_successors_come_first") {
  auto config = at_most(20);
  config.min = 10;
  config.idle_timeout = 0ms;
  config.max_lifetime = 100s;
  config.lifetime_jitter_ratio = 0.5;
  fake_pool fake{config};
  fake.connector->answer_at_once();
  fake.connector->succeed();
  fake.connector->succeed();
  CHECK(fake.connector->open_count() == 10);
  std::vector<int> opened_at;
  for (int second = 1; second <= 100; ++second) {
    const auto before = fake.connector->opened();
    fake.advance(1s);
    CHECK(fake.pool->stats().idle >= 10);
    if (fake.connector->opened() != before) opened_at.push_back(second);
  }
  CHECK(opened_at.size() > 3);          // not all in one moment
  CHECK(opened_at.front() >= 50);       // none before half its time
  CHECK(fake.connector->opened() >= 20);  // each once
  CHECK(fake.connector->most_at_once() <= 20);
}

TEST_CASE("pool_upkeep.a_loan_that_is_too_long_is_reported_once_with_its_place") {
  auto config = at_most(2);
  config.leak_after = 30s;
  fake_pool fake{config};
  fake.connector->answer_at_once();
  acquire_options options{1s};
  options.label = "export";
  const auto lease = fake.pool->acquire(options);
  fake.advance(29s);
  CHECK_FALSE(fake.logged("lent for too long"));
  fake.advance(10s);
  CHECK(fake.logged("lent for too long"));
  CHECK(fake.logged("label=export"));
  CHECK(fake.logged("pool_upkeep_test.cpp"));
  fake.advance(30s);
  CHECK(fake.pool->stats().leaks == 1);
  REQUIRE(fake.pool->holders().size() == 1);
  CHECK(fake.pool->holders()[0].age == 69s);
}

TEST_CASE("pool_upkeep.a_slow_acquire_is_reported") {
  auto config = at_most(1);
  config.slow_acquire = 2s;
  fake_pool fake{config};
  fake.connector->answer_at_once();
  auto held = fake.pool->acquire(1s).value();
  auto waiting = std::async(std::launch::async, [&] { return fake.pool->acquire(1min).has_value(); });
  while (fake.pool->stats().waiting == 0) std::this_thread::yield();
  fake.clock.advance(2s);
  held.release();
  CHECK(waiting.get());
  CHECK(fake.logged("slow acquire pool=pool waited_s=2.000"));
}

TEST_CASE("pool_upkeep.an_opening_that_hangs_holds_up_nobody_else_and_counts_until_it_ends") {
  auto config = at_most(2);
  config.connect_timeout = 1s;
  fake_pool fake{config};
  CHECK_FALSE(fake.pool->try_acquire().has_value());
  CHECK(fake.connector->pending_opens() == 1);
  fake.advance(1s);
  CHECK(fake.logged("opening failed pool=pool reason=no answer in time"));
  CHECK(fake.pool->acquire(1s).error() == pool_errc::backend_down);
  CHECK(fake.pool->acquire(1s).error().reason() == boost::system::errc::timed_out);
  fake.advance(200ms);
  CHECK(fake.connector->pending_opens() == 2);
  fake.connector->succeed();  // the one that hung
  fake.connector->succeed();
  CHECK(fake.pool->stats().idle == 2);
  CHECK(fake.connector->most_at_once() == 2);
}

TEST_CASE("pool_upkeep.openings_that_hang_for_good_do_not_take_every_place") {
  auto config = at_most(1);
  config.connect_timeout = 1s;
  fake_pool fake{config};
  CHECK_FALSE(fake.pool->try_acquire().has_value());
  fake.advance(1s);
  CHECK(fake.pool->acquire(1s).error().what().find("1 hang") != std::string::npos);
  CHECK(fake.pool->stats().lost == 1);
  fake.advance(1s);
  CHECK(fake.pool->stats().lost == 0);
  CHECK(fake.connector->pending_opens() == 2);  // a new one, in its place
  fake.connector->succeed();                    // the first, after all
  CHECK(fake.connector->open_count() == 0);
  fake.connector->succeed();
  CHECK(fake.pool->try_acquire().has_value());
}

TEST_CASE("pool_upkeep.a_ping_that_hangs_for_good_does_not_take_its_place_either") {
  auto config = at_most(1);
  config.ping_after_idle = 10s;
  config.ping_timeout = 1s;
  fake_pool fake{config};
  fake.connector->answer_at_once();
  { const auto lease = fake.pool->acquire(1s); }
  fake.connector->answer_at_once(false);
  fake.clock.advance(10s);
  CHECK_FALSE(fake.pool->try_acquire().has_value());
  fake.advance(1s);
  fake.advance(1s);
  CHECK(fake.pool->stats().closing == 0);
  CHECK(fake.connector->succeed());  // another, in its place
  CHECK((*fake.pool->acquire(1s))->number == 2);
  CHECK(fake.connector->answer_ping(true));  // only now its resource can be closed
  CHECK(fake.connector->open_count() == 1);
}

TEST_CASE("pool_upkeep.a_ping_that_hangs_keeps_its_resource_from_everyone_until_it_ends") {
  auto config = at_most(1);
  config.ping_after_idle = 10s;
  config.ping_timeout = 1s;
  fake_pool fake{config};
  fake.connector->answer_at_once();
  { const auto lease = fake.pool->acquire(1s); }
  fake.connector->answer_at_once(false);
  fake.clock.advance(10s);
  CHECK_FALSE(fake.pool->try_acquire().has_value());
  CHECK(fake.connector->pending_pings() == 1);
  fake.advance(1s);
  CHECK(fake.connector->open_count() == 1);  // not closed under the ping
  CHECK(fake.pool->stats().closing == 1);
  CHECK(fake.connector->answer_ping(true));
  CHECK(fake.connector->open_count() == 0);
  CHECK(fake.pool->stats().closing == 0);
}

TEST_CASE("pool_upkeep.pings_that_hang_hold_up_nobody_while_there_is_room") {
  auto config = at_most(2);
  config.ping_after_idle = 10s;
  fake_pool fake{config};
  CHECK_FALSE(fake.pool->try_acquire().has_value());
  fake.clock.advance(40ms);  // what an opening takes
  fake.connector->succeed();
  fake.clock.advance(10s);
  bool served{false};
  fake.pool->async_acquire(5s, [&](result<fake_lease, pool_error> given) { served = given.has_value(); });
  CHECK(fake.connector->pending_pings() == 1);
  CHECK(fake.connector->pending_opens() == 0);
  fake.advance(20ms);
  CHECK(fake.connector->succeed());
  fake.context.poll();
  CHECK(served);
  CHECK(fake.connector->answer_ping(true));
}

TEST_CASE("pool_upkeep.a_ping_that_hangs_keeps_no_pool_and_no_leave_of_the_budget") {
  const auto shared = std::make_shared<counted_budget>();
  shared->left = 1;
  auto config = at_most(1);
  config.ping_after_idle = 10s;
  config.ping_timeout = 1s;
  config.budget = shared;
  fake_pool fake{config};
  fake.connector->answer_at_once();
  { const auto lease = fake.pool->acquire(1s); }
  fake.connector->answer_at_once(false);
  fake.clock.advance(10s);
  CHECK_FALSE(fake.pool->try_acquire().has_value());
  CHECK(shared->left == 0);
  SUBCASE("in time still") {}
  SUBCASE("late") { fake.advance(1s); }
  SUBCASE("given up") {
    fake.advance(1s);
    fake.advance(1s);
  }
  fake.pool.reset();
  CHECK(fake.connector.use_count() == 1);
  CHECK(shared->left == 1);
  CHECK(fake.connector->answer_ping(true));
  CHECK(fake.connector->open_count() == 0);
}

TEST_CASE("pool_upkeep.a_ping_is_answered_once") {
  class eager final : public pool_connector<int> {
   public:
    void open(open_request<int> request) override { request.succeed(1); }
    void ping(int&, ping_request request) override {
      request.done(true);
      request.done(false);
    }
  };
  testing::manual_clock clock;
  boost::asio::io_context context;
  auto config = at_most(1);
  config.clock = &clock;
  config.keepalive = 10s;
  pool<int> pool{config, std::make_shared<eager>(), context.get_executor()};
  { const auto lease = pool.acquire(1s); }
  clock.advance(10s);
  pool.tick();
  CHECK(pool.stats().idle == 1);
  CHECK(pool.stats().pings_failed == 0);
}

TEST_CASE("pool_upkeep.idle_resources_are_kept_alive") {
  auto config = at_most(1);
  config.keepalive = 10s;
  fake_pool fake{config};
  fake.connector->answer_at_once();
  { const auto lease = fake.pool->acquire(1s); }
  fake.connector->kill(1);
  fake.advance(10s);
  CHECK(fake.connector->open_count() == 0);
  CHECK(fake.pool->stats().pings_failed == 1);
}

TEST_CASE("pool_upkeep.resizes_at_run_time") {
  fake_pool fake{at_most(3)};
  fake.connector->answer_at_once();
  {
    const auto one = fake.pool->acquire(1s);
    const auto two = fake.pool->acquire(1s);
    const auto three = fake.pool->acquire(1s);
  }
  CHECK(fake.pool->resize(0, 1).has_value());
  CHECK(fake.connector->open_count() == 1);
  CHECK(fake.pool->resize(2, 1).error() == "pool_config.min is 2; it must be in [0, max], and max is 1");
  CHECK(fake.pool->stats().max == 1);
  CHECK(fake.pool->resize(2, 5).has_value());
  CHECK(fake.connector->open_count() == 2);
}

TEST_CASE("pool_upkeep.invalidate_replaces_what_is_idle_and_what_is_lent") {
  fake_pool fake{at_most(3)};
  fake.connector->answer_at_once();
  auto lent = fake.pool->acquire(1s).value();
  { const auto idle = fake.pool->acquire(1s); }
  fake.pool->invalidate();
  CHECK(fake.connector->open_count() == 1);
  lent.release();
  CHECK(fake.connector->open_count() == 0);
  CHECK((*fake.pool->acquire(1s))->number == 3);
}

TEST_CASE("pool_upkeep.invalidate_closes_what_was_being_opened_meanwhile") {
  fake_pool fake{at_most(3)};
  bool served{false};
  fake.pool->async_acquire(1h, [&](result<fake_lease, pool_error> given) { served = given.has_value(); });
  fake.pool->invalidate();
  CHECK(fake.connector->succeed());
  fake.context.poll();
  CHECK_FALSE(served);
  CHECK(fake.connector->open_count() == 0);
  CHECK(fake.connector->succeed());  // its successor
  fake.context.poll();
  CHECK(served);
}

TEST_CASE("pool_upkeep.a_budget_that_says_no_is_asked_again") {
  const auto shared = std::make_shared<counted_budget>();
  auto config = at_most(2);
  config.budget = shared;
  fake_pool fake{config};
  fake.connector->answer_at_once();
  CHECK_FALSE(fake.pool->try_acquire().has_value());
  shared->left = 1;
  fake.advance(100ms);
  CHECK_FALSE(fake.pool->try_acquire().has_value());  // it had asked for nothing since
  {
    const auto lease = fake.pool->acquire(1s);
    CHECK(lease.has_value());
    CHECK(shared->left == 0);
    CHECK(fake.pool->try_acquire().error() == pool_errc::exhausted);
  }
  CHECK(fake.pool->drain_for(1s).has_value());
  CHECK(shared->left == 1);
}

TEST_CASE("pool_upkeep.a_close_that_takes_its_time_holds_up_no_news") {
  std::vector<std::string> order;
  class recording final : public pool_connector<int> {
   public:
    explicit recording(std::vector<std::string>& told) : told_{told} {}
    void open(open_request<int> request) override { request.succeed(1); }
    void close(int&) noexcept override { told_.emplace_back("close"); }

   private:
    std::vector<std::string>& told_;
  };
  testing::manual_clock clock;
  boost::asio::io_context context;
  auto config = at_most(2);
  config.clock = &clock;
  config.idle_timeout = 30s;
  config.leak_after = 30s;
  config.log = [&](const log_event& event) { order.emplace_back(event.message); };
  pool<int> pool{config, std::make_shared<recording>(order), context.get_executor()};
  const auto held = pool.acquire(1s);
  { const auto idle = pool.acquire(1s); }
  clock.advance(30s);
  pool.tick();
  CHECK(order == std::vector<std::string>{"lent for too long", "close"});
}

TEST_CASE("pool_upkeep.a_leave_of_the_budget_that_the_pool_gives_back_is_used_at_once") {
  const auto shared = std::make_shared<counted_budget>();
  shared->left = 1;
  auto config = at_most(2);
  config.budget = shared;
  fake_pool fake{config};
  fake.connector->answer_at_once();
  auto lease = fake.pool->acquire(1s).value();
  bool served{false};
  fake.pool->async_acquire(1h, [&](result<fake_lease, pool_error> given) { served = given.has_value(); });
  lease.discard();
  fake.context.poll();
  CHECK(served);
}
