// SPDX-License-Identifier: Apache-2.0
#include "db/sqlite_fixture.hpp"

#include <spillway/db/database.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using tests::sqlite_fixture;
using tests::wait_until;
namespace asio = boost::asio;

namespace {

using int_result = result<int, db_error>;

database with_table(const sqlite_fixture& fixture) {
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x)"); }));
  return db;
}

int rows_of(database& db) {
  return db.read([](read_session& s) { return s.query_one<int>("SELECT count(*) FROM t"); }).value().value();
}

constexpr std::string_view endless{"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"};

}  // namespace

TEST_CASE("async_session.a_coroutine_gets_the_result_on_its_own_thread") {
  const sqlite_fixture fixture;
  auto db = with_table(fixture);
  asio::io_context context;
  bool done{false};
  const auto work = [&]() -> asio::awaitable<void> {
    const auto here = std::this_thread::get_id();
    std::thread::id function_ran_on;
    const auto insert = [&](write_session& s) {
      function_ran_on = std::this_thread::get_id();
      return s.execute("INSERT INTO t VALUES (1), (2)");
    };
    const auto changed = co_await db.async_write(insert, 1h, asio::use_awaitable);
    CHECK(changed.value() == 2);
    CHECK(std::this_thread::get_id() == here);
    CHECK(function_ran_on != here);
    const auto count = [](read_session& s) { return s.query_one<int>("SELECT count(*) FROM t"); };
    const auto counted = co_await db.async_read(count, 1h, asio::use_awaitable);
    CHECK(counted.value() == 2);
    done = true;
  };
  asio::co_spawn(context, work, asio::detached);
  context.run();  // the operation counts as work, though it runs elsewhere
  CHECK(done);
}

TEST_CASE("async_session.an_exception_of_the_function_rolls_back_and_reaches_the_coroutine") {
  const sqlite_fixture fixture;
  auto db = with_table(fixture);
  asio::io_context context;
  std::string caught;
  std::optional<db_errc> code;
  const auto work = [&]() -> asio::awaitable<void> {
    const auto failing = [](write_session& s) {
      s.execute("INSERT INTO t VALUES (1)").value();
      throw std::runtime_error{"stop"};
    };
    try {
      (void)co_await db.async_write(failing, 1h, asio::use_awaitable);
    } catch (const std::runtime_error& thrown) {
      caught = thrown.what();
    }
    const auto wrong = [](write_session& s) { s.execute("INSERT INTO nowhere VALUES (1)").value(); };
    const auto [thrown, outcome] = co_await db.async_write(wrong, 1h, asio::as_tuple(asio::use_awaitable));
    CHECK(thrown == nullptr);
    code = static_cast<db_errc>(outcome.error().code().value());
  };
  asio::co_spawn(context, work, asio::detached);
  context.run();
  CHECK(caught == "stop");
  CHECK(code == db_errc::no_such_object);
  CHECK(rows_of(db) == 0);
}

TEST_CASE("async_session.takes_futures_callbacks_and_values_that_only_move") {
  const sqlite_fixture fixture;
  auto db = with_table(fixture);
  auto future = db.async_read([](read_session& s) { return s.query_one<int>("SELECT 7"); }, 1h, asio::use_future);
  CHECK(future.get().value() == 7);

  struct no_default {
    explicit no_default(int given) : value{given} {}
    int value;
  };
  std::promise<int> seen;
  db.async_write([owned = std::make_unique<int>(8)](write_session&) { return no_default{*owned}; }, 1h,
                 [&seen](std::exception_ptr thrown, result<no_default, db_error> outcome) {
                   seen.set_value(thrown ? -1 : outcome.value().value);
                 });
  CHECK(seen.get_future().get() == 8);
}

TEST_CASE("async_session.shares_one_queue_with_blocking_callers_in_order_of_arrival") {
  const sqlite_fixture fixture;
  auto db = with_table(fixture);
  std::latch inside{1};
  std::latch go_on{1};
  std::thread holder{[&] {
    db.write_for([&](write_session&) {
      inside.count_down();
      go_on.wait();
    }, 1h).value();
  }};
  inside.wait();
  std::vector<std::thread> blocking;
  std::vector<std::future<result<std::uint64_t, db_error>>> asynchronous;
  for (int i = 0; i < 12; ++i) {
    const auto insert = [i](write_session& s) { return s.execute("INSERT INTO t VALUES ($1)", i); };
    if (i % 2 == 0) {
      asynchronous.push_back(db.async_write(insert, 1h, asio::use_future));
    } else {
      blocking.emplace_back([&db, insert] { db.write_for(insert, 1h).value(); });
    }
    wait_until([&] { return db.stats().writes.waiting == static_cast<std::size_t>(i) + 1; });
  }
  go_on.count_down();
  holder.join();
  for (auto& thread : blocking) thread.join();
  for (auto& future : asynchronous) CHECK(future.get().value() == 1);
  const auto order = db.read([](read_session& s) { return s.query("SELECT x FROM t ORDER BY rowid"); }).value();
  for (std::size_t i = 0; i < order.size(); ++i) CHECK(order[i].get<std::size_t>(0) == i);
}

TEST_CASE("async_session.cancelled_in_the_queue_it_never_runs_and_gives_its_place_on") {
  const sqlite_fixture fixture;
  auto db = with_table(fixture);
  asio::io_context context;
  for (const auto type : {asio::cancellation_type::total, asio::cancellation_type::partial, asio::cancellation_type::terminal}) {
    std::latch inside{1};
    std::latch go_on{1};
    std::thread holder{[&] {
      db.write_for([&](write_session&) {
        inside.count_down();
        go_on.wait();
      }, 1h).value();
    }};
    inside.wait();
    asio::cancellation_signal signal;
    std::optional<db_error> outcome;
    std::atomic<bool> ran{false};
    context.restart();
    db.async_write([&](write_session&) { ran = true; }, 1h,
                   asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, [&](std::exception_ptr, result<void, db_error> r) {
                     outcome = r.error();
                   })));
    auto behind = db.async_write([](write_session&) { return 4; }, 1h, asio::use_future);
    CHECK(db.stats().writes.waiting == 2);
    signal.emit(type);
    context.run();  // ends, though the writer is still held
    REQUIRE(outcome);
    CHECK(*outcome == db_errc::cancelled);
    CHECK(*outcome == errc::cancelled);
    CHECK(db.stats().writes.waiting == 1);
    go_on.count_down();
    holder.join();
    CHECK(behind.get().value() == 4);
    CHECK_FALSE(ran);
    signal.emit(type);  // too late, and harmless
  }
  CHECK(db.stats().writes.wait_cancelled == 3);
}

TEST_CASE("async_session.cancelled_while_running_it_is_interrupted_and_rolled_back") {
  const sqlite_fixture fixture;
  auto db = with_table(fixture);
  asio::io_context context;
  asio::cancellation_signal signal;
  std::optional<db_error> outcome;
  std::latch running{1};
  db.async_write(
      [&](write_session& s) {
        s.execute("INSERT INTO t VALUES (1)").value();
        running.count_down();
        return s.query(endless);
      },
      1h, asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, [&](std::exception_ptr, result<row_set, db_error> r) {
            outcome = r.error();
          })));
  running.wait();
  asio::post(context, [&] { signal.emit(asio::cancellation_type::total); });
  context.run();
  REQUIRE(outcome);
  CHECK(*outcome == db_errc::cancelled);
  CHECK(rows_of(db) == 0);
}

TEST_CASE("async_session.a_deadline_ends_the_wait_in_the_queue_while_all_sessions_are_busy") {
  const sqlite_fixture fixture;
  auto db = with_table(fixture);
  std::latch inside{3};
  std::latch go_on{1};
  const auto hold = [&](read_session&) {
    inside.count_down();
    go_on.wait();
  };
  // All sessions are busy on the database's own threads.
  std::vector<std::future<result<void, db_error>>> holders;
  holders.push_back(db.async_write(hold, 1h, asio::use_future));
  holders.push_back(db.async_read(hold, 1h, asio::use_future));
  holders.push_back(db.async_read(hold, 1h, asio::use_future));
  inside.wait();
  auto late = db.async_write([](write_session&) {}, 20ms, asio::use_future);
  CHECK(late.get().error() == db_errc::timed_out);
  auto later = db.async_read([](read_session&) {}, 5ms, asio::use_future);
  CHECK(later.get().error() == db_errc::timed_out);
  go_on.count_down();
  for (auto& holder : holders) CHECK(holder.get().has_value());
}

TEST_CASE("async_session.a_refusal_at_once_is_not_told_inside_the_call") {
  const sqlite_fixture fixture;
  auto db = with_table(fixture);
  REQUIRE(db.close());
  asio::io_context context;
  bool returned{false};
  std::optional<db_error> outcome;
  asio::post(context, [&] {
    db.async_read([](read_session&) {}, 1h, asio::bind_executor(context, [&](std::exception_ptr, result<void, db_error> r) {
      CHECK(returned);
      outcome = r.error();
    }));
    returned = true;
  });
  context.run();
  REQUIRE(outcome);
  CHECK(*outcome == db_errc::shutting_down);
  auto without_executor = db.async_read([](read_session&) {}, 1h, asio::use_future);
  CHECK(without_executor.get().error() == db_errc::shutting_down);
}

TEST_CASE("async_session.blocking_a_thread_of_the_database_would_deadlock") {
  const sqlite_fixture fixture;
  auto db = with_table(fixture);
  std::promise<error_code> in_function;
  std::promise<error_code> in_handler;
  std::promise<error_code> closing;
  // A handler without an executor is called on a thread of the database.
  db.async_read([&](read_session&) { in_function.set_value(db.read([](read_session&) {}).error().code()); }, 1h,
                [&](std::exception_ptr, result<void, db_error>) {
                  in_handler.set_value(db.write([](write_session&) {}).error().code());
                  closing.set_value(db.close().error().code());
                });
  CHECK(in_function.get_future().get() == make_error_code(db_errc::would_deadlock));
  CHECK(in_handler.get_future().get() == make_error_code(db_errc::would_deadlock));
  CHECK(closing.get_future().get() == make_error_code(db_errc::would_deadlock));
  CHECK(db.write([](write_session&) {}).has_value());
}

TEST_CASE("async_session.an_async_call_from_inside_a_function_is_queued") {
  const sqlite_fixture fixture;
  auto db = with_table(fixture);
  std::future<result<std::uint64_t, db_error>> inner;
  REQUIRE(db.write([&](write_session&) {
    inner = db.async_write([](write_session& s) { return s.execute("INSERT INTO t VALUES (1)"); }, 1h, asio::use_future);
  }));
  CHECK(inner.get().value() == 1);
}

TEST_CASE("async_session.a_coroutine_destroyed_before_it_is_resumed_leaves_nothing_behind") {
  const sqlite_fixture fixture;
  auto db = with_table(fixture);
  auto context = std::make_unique<asio::io_context>();
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> watched{owned};
  const auto work = [&db](std::shared_ptr<int> kept) -> asio::awaitable<void> {
    const auto insert = [&kept](write_session& s) { return s.execute("INSERT INTO t VALUES ($1)", *kept); };
    (void)co_await db.async_write(insert, 1h, asio::use_awaitable);
  };
  asio::co_spawn(*context, work(std::move(owned)), asio::detached);
  context->run_one();  // it has asked
  CHECK(db.close().has_value());  // it has been answered, and is not told
  CHECK(db.stats().writes.committed == 2);
  CHECK_FALSE(watched.expired());
  context.reset();
  CHECK(watched.expired());
}

TEST_CASE("async_session.what_a_handler_without_executor_throws_is_logged_and_the_threads_go_on") {
  const sqlite_fixture fixture;
  std::mutex mutex;
  std::vector<std::string> events;
  auto config = fixture.config();
  config.database.name = "cities";
  config.database.log = [&](const log_event& event) {
    std::string line{event.message};
    for (const auto& field : event.fields) line += "|" + std::string{field.name} + "=" + std::string{field.value};
    const std::scoped_lock lock{mutex};
    events.push_back(std::move(line));
  };
  const auto logged = [&] {
    const std::scoped_lock lock{mutex};
    return events.size();
  };
  auto db = open_sqlite(config).value();
  // More often than there are threads.
  for (int i = 0; i < 10; ++i) {
    db.async_read([](read_session&) {}, 1h, [](std::exception_ptr, result<void, db_error>) { throw std::runtime_error{"mine"}; });
  }
  wait_until([&] { return logged() == 10; });
  CHECK(db.async_read([](read_session&) { return 5; }, 1h, asio::use_future).get().value() == 5);
  REQUIRE(db.close());
  // Now the handler runs on Asio's system executor.
  db.async_read([](read_session&) {}, 1h, [](std::exception_ptr, result<void, db_error>) { throw 7; });
  wait_until([&] { return logged() == 11; });
  const std::scoped_lock lock{mutex};
  CHECK(events.front() == "a handler threw|database=cities|what=mine");
  CHECK(events.back() == "a handler threw|database=cities|what=not a std::exception");
}

TEST_CASE("async_session.what_a_handler_throws_reaches_its_own_executor") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  // Never destroyed: a thread of the system executor, which nobody joins, may still be about to wake the context that has run already.
  static auto& contexts = *new std::array<asio::io_context, 2>;
  for (auto& context : contexts) {
    db.async_read([](read_session&) {}, 1h,
                  asio::bind_executor(context, [](std::exception_ptr, result<void, db_error>) { throw std::runtime_error{"mine"}; }));
    CHECK_THROWS_WITH_AS((void)context.run(), "mine", std::runtime_error);
    CHECK(db.close().has_value());  // the second round runs on the system executor
  }
}

TEST_CASE("async_session.a_handler_may_destroy_the_last_database_on_a_thread_of_its_own") {
  const sqlite_fixture fixture;
  auto alive = std::make_shared<int>(0);
  const std::weak_ptr<int> watched{alive};
  auto config = fixture.config();
  config.database.log = [alive](const log_event&) {};
  for (const bool by_assignment : {false, true}) {
    auto db = std::make_shared<database>(open_sqlite(config).value());
    auto& in_use = *db;
    in_use.async_write([](write_session& s) { return s.execute("CREATE TABLE IF NOT EXISTS t (x)"); }, 1h,
                       [db = std::move(db), by_assignment, &fixture](std::exception_ptr, const result<std::uint64_t, db_error>& done) mutable {
                         CHECK(done.has_value());
                         if (by_assignment) *db = fixture.open();
                         db.reset();
                       });
  }
  alive.reset();
  config = {};
  wait_until([&] { return watched.expired(); });  // closed, and gone
  auto again = fixture.open();
  CHECK(rows_of(again) == 0);
}

TEST_CASE("async_session.closing_completes_everything_that_was_started") {
  const sqlite_fixture fixture;
  std::vector<std::future<result<std::uint64_t, db_error>>> writes;
  {
    auto db = with_table(fixture);
    for (int i = 0; i < 200; ++i) {
      writes.push_back(db.async_write([i](write_session& s) { return s.execute("INSERT INTO t VALUES ($1)", i); }, 1h, asio::use_future));
    }
  }
  int committed{0};
  for (auto& write : writes) {
    const auto done = write.get();
    if (done) ++committed;
    else CHECK(done.error() == db_errc::shutting_down);
  }
  auto again = fixture.open();
  CHECK(rows_of(again) == committed);
}

TEST_CASE("async_session.a_cancellation_in_the_second_run_reaches_that_run_and_nothing_of_the_pause_before") {
  const sqlite_fixture fixture;
  auto db = with_table(fixture);
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> runs{0};
    asio::cancellation_signal signal;
    std::promise<int_result> answer;
    auto work = [&](write_session& s) -> int_result {
      if (++runs == 1) return db_error{db_errc::serialization_failure};
      return s.query_one<int>(endless).value().value();
    };
    asio::thread_pool caller{1};  // where the signal belongs to: there alone it is emitted, and let go of
    db.async_run_tx(work, 60s, asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(caller, [&](std::exception_ptr, int_result outcome) {
                      answer.set_value(std::move(outcome));
                    })));
    wait_until([&] { return runs == 2; });
    asio::post(caller, [&] { signal.emit(asio::cancellation_type::total); });
    caller.join();
    CHECK(answer.get_future().get().error() == db_errc::cancelled);
  }
  CHECK(rows_of(db) == 0);
}
