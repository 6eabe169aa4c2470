// SPDX-License-Identifier: Apache-2.0
#include "fake_pool.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <future>
#include <optional>
#include <string>
#include <thread>

using namespace spillway;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using tests::at_most;
using tests::fake_lease;
using tests::fake_pool;
using outcome = result<fake_lease, pool_error>;

namespace {

/// Asks, and keeps what it was told.
struct asker {
  void ask(fake_pool& fake, const acquire_options& options = {1min}) {
    fake.pool->async_acquire(options, asio::bind_cancellation_slot(signal.slot(), [this](outcome told) {
                               ++calls;
                               what.emplace(std::move(told));
                             }));
  }
  asio::cancellation_signal signal;
  int calls{0};
  std::optional<outcome> what;
};

}  // namespace

TEST_CASE("pool_async.completes_on_the_executor_and_never_inside_the_call") {
  fake_pool fake;
  fake.connector->answer_at_once();
  asker first;
  first.ask(fake);
  CHECK(first.calls == 0);
  fake.context.poll();
  CHECK(first.calls == 1);
  REQUIRE(first.what->has_value());
  CHECK((**first.what)->number == 1);
  first.what.reset();
  asker again;
  again.ask(fake);  // from where the thread left it
  CHECK(again.calls == 0);
  fake.context.restart();
  fake.context.poll();
  CHECK(again.what->has_value());
}

TEST_CASE("pool_async.waits_in_one_queue_with_those_who_block") {
  fake_pool fake{at_most(1)};
  fake.connector->answer_at_once();
  auto held = fake.pool->acquire(1s).value();
  asker first;
  asker second;
  first.ask(fake);
  auto blocked = std::async(std::launch::async, [&] { return fake.pool->acquire(1min); });
  while (fake.pool->stats().waiting < 2) std::this_thread::yield();
  second.ask(fake);
  held.release();
  fake.context.poll();
  CHECK(first.calls == 1);
  CHECK(second.calls == 0);
  CHECK(fake.pool->stats().waiting == 2);
  first.what.reset();
  auto got = blocked.get();
  fake.context.restart();
  fake.context.poll();
  CHECK(second.calls == 0);
  REQUIRE(got.has_value());
  got->release();
  fake.context.restart();
  fake.context.poll();
  CHECK(second.calls == 1);
}

TEST_CASE("pool_async.a_cancelled_caller_leaves_the_queue_and_the_next_is_served") {
  fake_pool fake{at_most(1)};
  fake.connector->answer_at_once();
  auto held = fake.pool->acquire(1s).value();
  asker first;
  asker second;
  first.ask(fake);
  second.ask(fake);
  SUBCASE("terminal") { first.signal.emit(asio::cancellation_type::terminal); }
  SUBCASE("partial") { first.signal.emit(asio::cancellation_type::partial); }
  SUBCASE("total") { first.signal.emit(asio::cancellation_type::total); }
  fake.context.poll();
  REQUIRE(first.calls == 1);
  CHECK(first.what->error() == pool_errc::cancelled);
  held.release();
  fake.context.restart();
  fake.context.poll();
  CHECK(second.what->has_value());
  first.signal.emit(asio::cancellation_type::terminal);  // too late
  CHECK(first.calls == 1);
  CHECK(fake.pool->stats().refused_with(pool_errc::cancelled) == 1);
}

TEST_CASE("pool_async.a_cancellation_after_the_grant_does_nothing") {
  fake_pool fake{at_most(1)};
  fake.connector->answer_at_once();
  auto held = fake.pool->acquire(1s).value();
  asker waiting;
  waiting.ask(fake);
  held.release();                                          // granted, not yet told
  waiting.signal.emit(asio::cancellation_type::terminal);
  fake.context.poll();
  REQUIRE(waiting.calls == 1);
  CHECK(waiting.what->has_value());
}

TEST_CASE("pool_async.a_late_cancellation_does_not_hit_whoever_uses_the_place_next") {
  fake_pool fake{at_most(1)};
  fake.connector->answer_at_once();
  auto held = fake.pool->acquire(1s).value();
  asker first;
  first.ask(fake);
  held.release();
  fake.context.poll();
  REQUIRE(first.what->has_value());
  asker second;
  second.ask(fake);  // waits
  first.signal.emit(asio::cancellation_type::terminal);
  fake.context.restart();
  fake.context.poll();
  CHECK(second.calls == 0);
  first.what.reset();
  fake.context.restart();
  fake.context.poll();
  CHECK(second.what->has_value());
}

TEST_CASE("pool_async.times_out_with_the_cause") {
  fake_pool fake{at_most(1)};
  fake.connector->answer_at_once();
  const auto held = fake.pool->acquire(1s);
  asker waiting;
  waiting.ask(fake, {5s});
  fake.advance(5s);
  fake.context.poll();
  REQUIRE(waiting.calls == 1);
  CHECK(waiting.what->error() == pool_errc::timed_out);
  CHECK(waiting.what->error().cause() == pool_wait_cause::queue);
}

TEST_CASE("pool_async.a_request_whose_time_is_over_gets_nothing_though_something_is_free") {
  fake_pool fake{at_most(1)};
  fake.connector->answer_at_once();
  { const auto lease = fake.pool->acquire(1s); }
  fake.clock.advance(1s);
  const auto past = deadline{time_point{500ms}};
  CHECK(fake.pool->acquire(past).error() == pool_errc::timed_out);
  CHECK(fake.pool->acquire(0ms).error() == pool_errc::timed_out);
  asker late;
  late.ask(fake, past);
  fake.context.poll();
  REQUIRE(late.calls == 1);
  CHECK(late.what->error() == pool_errc::timed_out);
}

TEST_CASE("pool_async.a_request_deadline_bounds_the_wait") {
  fake_pool fake{at_most(1)};
  fake.connector->answer_at_once();
  const auto held = fake.pool->acquire(1s);
  asker waiting;
  waiting.ask(fake, {deadline::after(fake.clock.now(), 2s)});
  fake.advance(2s);
  fake.context.poll();
  CHECK(waiting.calls == 1);
}

TEST_CASE("pool_async.a_grant_whose_handler_is_never_called_goes_back") {
  fake_pool fake{at_most(1)};
  fake.connector->answer_at_once();
  auto other = std::make_unique<asio::io_context>();
  auto held = fake.pool->acquire(1s).value();
  bool called{false};
  fake.pool->async_acquire({1min}, asio::bind_executor(other->get_executor(), [&](const outcome&) { called = true; }));
  held.release();  // granted; the handler is queued in `other`
  CHECK(fake.pool->stats().lent == 1);
  other.reset();
  CHECK_FALSE(called);
  CHECK(fake.pool->stats().lent == 0);
}

TEST_CASE("pool_async.a_coroutine_borrows_works_and_returns") {
  fake_pool fake{at_most(1)};
  fake.connector->answer_at_once();
  std::string trace;
  const auto borrow = [&](char name) -> asio::awaitable<void> {
    const acquire_options options{1min};
    auto lease = co_await fake.pool->async_acquire(options, asio::use_awaitable);
    trace += name;
    co_await asio::post(asio::use_awaitable);
    trace += name;
    lease->release();
  };
  for (const char name : {'a', 'b', 'c'}) asio::co_spawn(fake.context, borrow(name), asio::detached);
  fake.context.run();
  CHECK(trace == "aabbcc");
}

TEST_CASE("pool_async.destroying_the_pool_refuses_those_who_wait") {
  fake_pool fake{at_most(1)};
  fake.connector->answer_at_once();
  auto held = fake.pool->acquire(1s).value();
  asker waiting;
  waiting.ask(fake);
  fake.pool.reset();
  fake.context.poll();
  REQUIRE(waiting.calls == 1);
  CHECK(waiting.what->error() == pool_errc::shutting_down);
}

TEST_CASE("pool_async.a_pool_with_its_own_thread_tells_everybody_when_it_is_destroyed") {
  auto connector = std::make_shared<testing::fake_connector>();
  connector->answer_at_once();
  auto own = std::make_unique<pool<testing::fake_resource>>(at_most(1), connector);
  auto held = own->acquire(1min).value();
  auto waiting = own->async_acquire({1min}, asio::use_future);
  auto drained = own->async_drain(1min, asio::use_future);
  own.reset();
  CHECK(waiting.get().error() == pool_errc::shutting_down);
  CHECK(drained.get().error() == pool_errc::shutting_down);
  held.release();
  CHECK(connector->open_count() == 0);
}

TEST_CASE("pool_async.milestones_are_told_on_the_strand_of_who_asked_and_never_inside_the_call") {
  fake_pool fake;
  auto strand = asio::make_strand(fake.context.get_executor());
  bool told{false};
  bool inside{true};
  fake.pool->async_warm_up(1min, asio::bind_executor(strand, [&](const result<void, pool_error>& what) {
                             told = what.has_value() && strand.running_in_this_thread() && !inside;
                           }));
  inside = false;
  fake.context.poll();
  CHECK(told);
}

TEST_CASE("pool_async.a_blocking_warm_up_ends_in_time_though_nobody_runs_the_executor") {
  asio::io_context nobody_runs_it;
  auto config = at_most(2);
  config.min = 1;
  pool<testing::fake_resource> idle{config, std::make_shared<testing::fake_connector>(), nobody_runs_it.get_executor()};
  CHECK(idle.warm_up_for(1ms).error() == pool_errc::timed_out);
}

TEST_CASE("pool_async.warm_up_and_drain_can_be_awaited") {
  auto config = at_most(4);
  config.min = 2;
  fake_pool fake{config};
  auto warm = fake.pool->async_warm_up(1min, asio::use_future);
  fake.connector->succeed();
  fake.context.poll();
  CHECK(warm.wait_for(0s) != std::future_status::ready);
  fake.connector->succeed();
  fake.context.restart();
  fake.context.poll();
  CHECK(warm.get().has_value());
  auto drained = fake.pool->async_drain(1min, asio::use_future);
  fake.context.restart();
  fake.context.poll();
  CHECK(drained.get().has_value());
  CHECK(fake.connector->open_count() == 0);
}
