// SPDX-License-Identifier: Apache-2.0
#include "fake_pool.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <map>
#include <span>
#include <stdexcept>
#include <thread>

using namespace spillway;
using namespace std::chrono_literals;
using tests::at_most;
using tests::fake_pool;

TEST_CASE("pool.lends_a_resource_and_takes_it_back") {
  fake_pool fake;
  fake.connector->answer_at_once();
  {
    auto lease = fake.pool->acquire(1s);
    REQUIRE(lease.has_value());
    CHECK((*lease)->number == 1);
    fake.clock.advance(3s);
    CHECK(lease->age() == 3s);
    CHECK(fake.pool->stats().lent == 1);
  }
  CHECK(fake.pool->stats().lent == 0);
  CHECK(fake.pool->stats().idle == 1);
  CHECK((*fake.pool->acquire(1s))->number == 1);  // the same
  CHECK(fake.connector->opened() == 1);
  CHECK(fake.connector->resets() == 2);
}

TEST_CASE("pool.a_discarded_lease_is_closed_and_a_moved_one_given_back_once") {
  fake_pool fake;
  fake.connector->answer_at_once();
  auto lease = fake.pool->acquire(1s).value();
  auto moved = std::move(lease);
  CHECK_FALSE(lease);
  lease.release();  // nothing
  CHECK(fake.pool->stats().lent == 1);
  moved.discard();
  moved.discard();  // nothing
  CHECK(fake.connector->open_count() == 0);
  CHECK(fake.pool->stats().closed == 1);
  CHECK((*fake.pool->acquire(1s))->number == 2);
  auto one = fake.pool->acquire(1s).value();
  auto two = fake.pool->acquire(1s).value();
  one = std::move(two);  // gives back the first
  CHECK(fake.pool->stats().lent == 1);
  CHECK(fake.pool->stats().idle == 1);
}

TEST_CASE("pool.a_lease_is_handed_over_to_the_first_who_waits_or_kept") {
  fake_pool fake{at_most(1)};
  fake.connector->answer_at_once();
  auto lease = fake.pool->acquire(1s).value();
  CHECK_FALSE(lease.hand_over());  // nobody waits
  REQUIRE(lease);
  std::vector<int> served;
  std::vector<tests::fake_lease> got;
  for (int i = 1; i <= 3; ++i) {
    fake.pool->async_acquire(i == 1 ? acquire_options{1s} : acquire_options{1h}, [&, i](result<tests::fake_lease, pool_error> given) {
      served.push_back(given ? i : -i);
      if (given) got.push_back(std::move(*given));
    });
  }
  fake.clock.advance(2s);  // the first is too late
  CHECK(lease.hand_over());
  CHECK(fake.connector->resets() == 0);  // as it is
  CHECK_FALSE(lease);
  CHECK_FALSE(lease.hand_over());
  fake.context.poll();
  CHECK(served == std::vector{2, -1});
  CHECK(fake.pool->stats().lent == 1);
  CHECK(fake.pool->stats().hold.count == 1);
  CHECK(fake.connector->opened() == 1);

  // What must not be lent again is kept, and closed when it comes back.
  fake.pool->invalidate();
  CHECK_FALSE(got[0].hand_over());
  got[0].release();
  fake.context.poll();
  CHECK(served == std::vector{2, -1, 3});
  CHECK(got[1]->number == 2);
}

TEST_CASE("pool.a_resource_that_cannot_be_cleaned_is_closed") {
  fake_pool fake;
  fake.connector->answer_at_once();
  fake.connector->refuse_resets();
  { const auto lease = fake.pool->acquire(1s); }
  CHECK(fake.connector->open_count() == 0);
  CHECK(fake.pool->stats().closed == 1);
}

TEST_CASE("pool.try_acquire_never_waits_and_opens_the_first_in_the_background") {
  fake_pool fake{at_most(1)};
  CHECK(fake.pool->try_acquire().error() == pool_errc::exhausted);
  CHECK(fake.pool->try_acquire().error() == pool_errc::exhausted);
  CHECK(fake.connector->pending_opens() == 1);
  fake.connector->succeed();
  const auto lease = fake.pool->try_acquire();
  CHECK(lease.has_value());
  CHECK(fake.pool->try_acquire().error() == pool_errc::exhausted);
  CHECK(fake.pool->stats().refused_with(pool_errc::exhausted) == 3);
}

TEST_CASE("pool.what_died_while_idle_is_found_by_a_look_and_never_lent") {
  fake_pool fake{at_most(3)};
  fake.connector->answer_at_once();
  {
    const auto one = fake.pool->acquire(1s);
    const auto two = fake.pool->acquire(1s);
    const auto three = fake.pool->acquire(1s);
  }
  fake.connector->kill_all();
  const auto lease = fake.pool->acquire(1s);
  REQUIRE(lease.has_value());
  CHECK((*lease)->number == 4);
  CHECK(fake.pool->stats().pings_failed == 3);
  CHECK(fake.connector->open_count() == 1);
}

namespace {

/// What a thread that waits was answered, when the time is up.
pool_error time_out(fake_pool& fake, std::chrono::milliseconds timeout) {
  auto waiting = std::async(std::launch::async, [&] { return fake.pool->acquire(timeout); });
  while (fake.pool->stats().waiting == 0) std::this_thread::yield();
  fake.advance(timeout);
  return waiting.get().error();
}

/// While it lives, no thread can be started: each would have a stack as large as the address space.
class no_more_threads {
 public:
  no_more_threads() {
    pthread_getattr_default_np(&usual_);
    auto huge = usual_;
    pthread_attr_setstacksize(&huge, std::size_t{1} << 47U);
    REQUIRE(pthread_setattr_default_np(&huge) == 0);
  }
  no_more_threads(const no_more_threads&) = delete;
  no_more_threads& operator=(const no_more_threads&) = delete;
  ~no_more_threads() {
    pthread_setattr_default_np(&usual_);
    pthread_attr_destroy(&usual_);
  }

 private:
  pthread_attr_t usual_{};
};

}  // namespace

TEST_CASE("pool.a_time_out_names_its_cause_and_who_holds_what") {
  auto config = at_most(1);
  config.leak_after = 1min;
  fake_pool fake{config};
  fake.connector->answer_at_once();
  acquire_options nightly{1s};
  nightly.label = "nightly";
  const auto held = fake.pool->acquire(nightly);

  const auto early = time_out(fake, 500ms);
  CHECK(early == pool_errc::timed_out);
  CHECK(early.cause() == pool_wait_cause::queue);
  REQUIRE(early.holders().size() == 1);
  CHECK(early.holders()[0].age == 500ms);
  CHECK(std::string_view{early.holders()[0].label} == "nightly");
  CHECK(early.holders()[0].where.line() == nightly.where.line());
  CHECK(early.what().find("pool_test.cpp") != std::string::npos);

  CHECK(time_out(fake, 1min).cause() == pool_wait_cause::leak);
  const auto stats = fake.pool->stats();
  CHECK(stats.timeouts_by(pool_wait_cause::queue) == 1);
  CHECK(stats.timeouts_by(pool_wait_cause::leak) == 1);
  CHECK(stats.refused_with(pool_errc::timed_out) == 2);
}

TEST_CASE("pool.a_time_out_of_a_thread_that_has_a_lease_itself_says_nested") {
  auto config = at_most(2);
  config.leak_after = 1ms;
  fake_pool fake{config};
  fake.connector->answer_at_once();
  auto mine = fake.pool->acquire(1s).value();
  auto passed_on = std::async(std::launch::async, [&] { return fake.pool->acquire(1s).value(); }).get();
  const auto ask_again = [&] {
    std::thread time{[&] {
      while (fake.pool->stats().waiting == 0) std::this_thread::yield();
      fake.advance(1s);
    }};
    auto refused = fake.pool->acquire(1s).error();
    time.join();
    return refused;
  };
  const auto nested = ask_again();
  CHECK(nested.cause() == pool_wait_cause::nested);
  CHECK(nested.what().find("cause: nested") != std::string::npos);
  CHECK(fake.pool->stats().timeouts_by(pool_wait_cause::nested) == 1);

  // What others asked for is theirs, wherever the lease is now.
  mine.release();
  auto another = std::async(std::launch::async, [&] { return fake.pool->acquire(1s).value(); }).get();
  CHECK(ask_again().cause() == pool_wait_cause::leak);
  CHECK(time_out(fake, 1s).cause() == pool_wait_cause::leak);

  // A coroutine does not block its thread.
  another.release();
  mine = fake.pool->acquire(1s).value();
  pool_wait_cause seen{};
  fake.pool->async_acquire(1s, [&](const result<tests::fake_lease, pool_error>& given) { seen = given.error().cause(); });
  fake.advance(1s);
  fake.context.run();
  CHECK(seen == pool_wait_cause::leak);
}

TEST_CASE("pool.a_time_out_while_an_opening_hangs_says_connecting") {
  fake_pool fake{at_most(1)};
  CHECK(time_out(fake, 1s).cause() == pool_wait_cause::connecting);
}

TEST_CASE("pool.a_time_out_while_a_ping_hangs_says_validation") {
  auto config = at_most(1);
  config.ping_after_idle = 10s;
  fake_pool fake{config};
  fake.connector->answer_at_once();
  { const auto lease = fake.pool->acquire(1s); }
  fake.connector->answer_at_once(false);
  fake.clock.advance(10s);
  CHECK(time_out(fake, 1s).cause() == pool_wait_cause::validation);
  CHECK(fake.connector->answer_ping(true));
}

TEST_CASE("pool.a_time_out_while_the_backend_is_down_says_so_if_others_hold_what_there_is") {
  fake_pool fake{at_most(2)};
  fake.connector->answer_at_once();
  const auto held = fake.pool->acquire(1s);
  fake.connector->answer_at_once(false);
  auto waiting = std::async(std::launch::async, [&] { return fake.pool->acquire(1s); });
  while (fake.connector->pending_opens() == 0) std::this_thread::yield();
  fake.connector->fail({make_error_code(boost::system::errc::connection_refused), "db1:5432"});
  fake.clock.advance(1s);
  fake.pool->tick();
  const auto error = waiting.get().error();
  CHECK(error == pool_errc::timed_out);
  CHECK(error.cause() == pool_wait_cause::backend);
  CHECK(error.reason() == boost::system::errc::connection_refused);
  CHECK(error.reason_text() == "db1:5432");
}

TEST_CASE("pool.while_the_backend_is_down_callers_are_refused_at_once_with_reason_and_next_try") {
  fake_pool fake;
  CHECK(fake.pool->try_acquire().error() == pool_errc::exhausted);
  fake.connector->fail({make_error_code(boost::system::errc::connection_refused), "db1:5432"});
  const auto refused = fake.pool->acquire(1h);  // does not wait
  CHECK(refused.error() == pool_errc::backend_down);
  CHECK(refused.error().reason() == boost::system::errc::connection_refused);
  CHECK(refused.error().next_try() > 0ms);
  CHECK(refused.error().next_try() <= 200ms);
  CHECK(fake.pool->try_acquire().error() == pool_errc::backend_down);
  CHECK(fake.logged("opening failed pool=pool reason=db1:5432"));
  CHECK(fake.pool->stats().down);
  CHECK(fake.connector->pending_opens() == 0);

  fake.advance(200ms);
  CHECK(fake.connector->pending_opens() == 1);
  fake.connector->succeed();
  CHECK(fake.pool->acquire(1s).has_value());
  CHECK(fake.logged("opening works again"));
  CHECK_FALSE(fake.pool->stats().down);
}

TEST_CASE("pool.a_connector_that_throws_has_failed_to_open") {
  class throwing final : public pool_connector<int> {
   public:
    void open(open_request<int>) override { throw std::runtime_error{"no"}; }
  };
  boost::asio::io_context context;
  pool<int> pool{{}, std::make_shared<throwing>(), context.get_executor()};
  const auto refused = pool.acquire(1h);
  CHECK(refused.error() == pool_errc::backend_down);
  CHECK(refused.error().reason() == boost::system::errc::io_error);
  CHECK(refused.error().reason_text() == "no");
  CHECK(pool.stats().open_failures >= 1);
}

TEST_CASE("pool.a_connector_that_drops_the_request_has_failed_to_open") {
  class dropping final : public pool_connector<int> {
   public:
    void open(open_request<int>) override {}
  };
  boost::asio::io_context context;
  pool<int> pool{{}, std::make_shared<dropping>(), context.get_executor()};
  const auto refused = pool.acquire(1h);
  CHECK(refused.error() == pool_errc::backend_down);
  CHECK(refused.error().reason() == boost::system::errc::operation_canceled);
}

TEST_CASE("pool.a_blocking_connector_runs_on_threads_of_its_own_and_its_exceptions_are_reasons") {
  class blocking final : public blocking_connector<std::thread::id> {
   public:
    result<std::thread::id, open_failure> open(deadline) override {
      if (fails) throw boost::system::system_error{make_error_code(boost::system::errc::permission_denied), "login"};
      return std::this_thread::get_id();
    }
    std::atomic<bool> fails{false};
  };
  const auto connector = std::make_shared<blocking>();
  pool<std::thread::id> pool{{}, connector};
  {
    auto lease = pool.acquire(1min);
    REQUIRE(lease.has_value());
    CHECK(**lease != std::this_thread::get_id());
    connector->fails = true;
    lease->discard();
  }
  const auto refused = pool.acquire(1min);
  CHECK(refused.error() == pool_errc::backend_down);
  CHECK(refused.error().reason() == boost::system::errc::permission_denied);
  CHECK(refused.error().reason_text().find("login") != std::string_view::npos);
}

TEST_CASE("pool.without_a_thread_for_a_ping_a_look_must_do") {
  class blocking final : public blocking_connector<int> {
   public:
    result<int, open_failure> open(deadline) override { return ++opened; }
    bool ping(int&, deadline) override { return false; }
    std::atomic<int> opened{0};
  };
  const auto connector = std::make_shared<blocking>();
  testing::manual_clock clock;
  boost::asio::io_context context;
  auto config = at_most(1);
  config.ping_after_idle = 10s;
  config.clock = &clock;
  pool<int> pool{config, connector, context.get_executor()};
  { const auto lease = pool.acquire(1h); }
  clock.advance(10s);
  {
    const no_more_threads none;
    CHECK_FALSE(pool.try_acquire().has_value());
  }
  const auto lease = pool.try_acquire();
  REQUIRE(lease.has_value());
  CHECK(**lease == 1);
}

TEST_CASE("pool.critical_callers_use_the_overflow") {
  auto config = at_most(1);
  config.overflow = 1;
  fake_pool fake{config};
  fake.connector->answer_at_once();
  const auto held = fake.pool->acquire(1s);
  acquire_options critical{1s};
  critical.priority = pool_priority::critical;
  {
    const auto extra = fake.pool->acquire(critical);
    REQUIRE(extra.has_value());
    CHECK(fake.connector->open_count() == 2);
  }
  CHECK(fake.connector->open_count() == 1);
}

TEST_CASE("pool.drain_refuses_everyone_and_names_those_who_keep_something") {
  fake_pool fake;
  fake.connector->answer_at_once();
  auto kept = fake.pool->acquire(1s).value();
  { const auto idle = fake.pool->acquire(1s); }
  auto draining = std::async(std::launch::async, [&] { return fake.pool->drain_for(10s); });
  while (fake.pool->try_acquire().error() != pool_errc::shutting_down) std::this_thread::yield();
  CHECK(fake.pool->acquire(1s).error() == pool_errc::shutting_down);
  fake.advance(10s);
  const auto late = draining.get();
  REQUIRE_FALSE(late.has_value());
  CHECK(late.error() == pool_errc::timed_out);
  REQUIRE(late.error().holders().size() == 1);
  kept.release();
  CHECK(fake.pool->drain_for(10s).has_value());
  CHECK(fake.connector->open_count() == 0);
  CHECK(fake.pool->acquire(1s).error() == pool_errc::shutting_down);
}

TEST_CASE("pool.leases_may_outlive_the_pool") {
  fake_pool fake;
  fake.connector->answer_at_once();
  auto first = fake.pool->acquire(1s).value();
  auto second = fake.pool->acquire(1s).value();
  fake.pool.reset();
  CHECK(first->number == 1);
  first.release();
  CHECK(fake.connector->open_count() == 1);
  second.discard();
  CHECK(fake.connector->open_count() == 0);
  CHECK(fake.connector.use_count() == 1);  // nothing of the pool is left
}

TEST_CASE("pool.an_opening_that_ends_after_the_pool_is_closed_at_once") {
  fake_pool fake;
  CHECK(fake.pool->try_acquire().error() == pool_errc::exhausted);
  fake.pool.reset();
  CHECK(fake.connector->succeed());
  CHECK(fake.connector->open_count() == 0);
  CHECK(fake.connector.use_count() == 1);
}

TEST_CASE("pool.what_a_thread_still_opens_or_pings_when_the_pool_ends_is_closed_by_the_connector") {
  class slow final : public blocking_connector<int> {
   public:
    result<int, open_failure> open(deadline) override {
      if (opens.fetch_add(1) == 1) gate.wait();
      return 1;
    }
    bool ping(int&, deadline) override {
      pinging = true;
      gate.wait();
      return true;
    }
    void close(int&) noexcept override { ++closed; }
    std::promise<void> go_on;
    const std::shared_future<void> gate{go_on.get_future()};  // a ping and an opening may wait at the same time
    std::atomic<int> opens{0};
    std::atomic<bool> pinging{false};
    std::atomic<int> closed{0};
  };
  const auto connector = std::make_shared<slow>();
  testing::manual_clock clock;
  boost::asio::io_context context;
  auto config = at_most(2);
  config.clock = &clock;
  config.ping_after_idle = 10s;
  {
    pool<int> pool{config, connector, context.get_executor()};
    auto lease = pool.acquire(1h);
    SUBCASE("opens") {
      CHECK_FALSE(pool.try_acquire().has_value());
      while (connector->opens < 2) std::this_thread::yield();
      lease->release();
    }
    SUBCASE("pings") {
      lease->release();
      clock.advance(10s);
      CHECK_FALSE(pool.try_acquire().has_value());
      while (!connector->pinging) std::this_thread::yield();
    }
  }
  CHECK(connector->closed < connector->opens);
  connector->go_on.set_value();
  while (connector.use_count() > 1) std::this_thread::yield();
  CHECK(connector->closed.load() == connector->opens.load());
}

TEST_CASE("pool.describes_itself_to_a_metric_writer") {
  struct names final : metric_writer {
    void counter(std::string_view name, std::string_view, metric_labels labels, double value) override { add(name, labels, value); }
    void gauge(std::string_view name, std::string_view, metric_labels labels, double value) override { add(name, labels, value); }
    void histogram(std::string_view name, std::string_view, metric_labels labels, const latency_snapshot& durations,
                   std::span<const std::chrono::nanoseconds>) override {
      add(name, labels, static_cast<double>(durations.count));
    }
    void add(std::string_view name, metric_labels labels, double value) {
      std::string key{name};
      for (const auto& label : labels) key += "|" + std::string{label.value};
      CHECK(values.emplace(key, value).second);
    }
    std::map<std::string, double> values;
  } out;
  pool_config config;
  config.overflow = 3;
  fake_pool fake{config};
  fake.connector->answer_at_once();
  const auto lease = fake.pool->acquire(1s);
  { const auto other = fake.pool->acquire(1s); }
  write_metrics(*fake.pool, "orders", out);
  CHECK(out.values["spillway_pool_resources|orders|used"] == 1);
  CHECK(out.values["spillway_pool_resources|orders|idle"] == 1);
  CHECK(out.values.contains("spillway_pool_resources|orders|lost"));
  CHECK(out.values["spillway_pool_max_resources|orders"] == 10);
  CHECK(out.values["spillway_pool_overflow_resources|orders"] == 3);
  CHECK(out.values["spillway_pool_opened_total|orders"] == 2);
  CHECK(out.values["spillway_pool_wait_time_seconds|orders"] == 2);
  CHECK(out.values["spillway_pool_use_time_seconds|orders"] == 1);
  CHECK(out.values["spillway_pool_timeouts_total|orders|queue"] == 0);  // there before it happens
}

TEST_CASE("pool.who_gives_back_may_see_the_pool_end_before_all_is_done") {
  class ending final : public pool_connector<int> {
   public:
    void open(open_request<int> request) override {
      ++opens;
      if (opens == 1) request.succeed(1);
      if (opens == 2) request.fail({make_error_code(boost::system::errc::connection_refused), ""});
      if (opens == 3) end();
    }
    int opens{0};
    std::function<void()> end;
  };
  const auto connector = std::make_shared<ending>();
  testing::manual_clock clock;
  boost::asio::io_context context;
  auto config = at_most(2);
  config.clock = &clock;
  auto lent = std::make_unique<pool<int>>(config, connector, context.get_executor());
  auto first = lent->acquire(1s).value();
  std::vector<result<pool_lease<int>, pool_error>> got;
  for (int i = 0; i < 2; ++i) {
    lent->async_acquire(1h, [&](result<pool_lease<int>, pool_error> given) { got.push_back(std::move(given)); });
  }
  CHECK(connector->opens == 2);
  long owners{0};
  connector->end = [&] {
    // Another thread, say: it has got the resource, and ends the pool.
    context.poll();
    got.at(0)->discard();
    lent.reset();
    owners = connector.use_count();
  };
  clock.advance(1s);
  first.release();  // serves the first of the two, and tries again for the second
  CHECK(connector->opens == 3);
  CHECK(owners > 1);  // not gone while the call is in it
  CHECK(connector.use_count() == 1);
}
