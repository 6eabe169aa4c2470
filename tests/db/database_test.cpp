// SPDX-License-Identifier: Apache-2.0
#include "db/sqlite_fixture.hpp"

#include <spillway/db/database.hpp>

#include <doctest/doctest.h>

#include <concepts>
#include <future>
#include <latch>
#include <thread>
#include <utility>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using tests::sqlite_fixture;
using tests::wait_until;

namespace {

template <class Session>
concept can_execute = requires(Session& s) { s.execute("DELETE FROM t"); };
template <class Session>
concept can_run_scripts = requires(Session& s) { s.execute_script("DELETE FROM t"); };

static_assert(!can_execute<read_session> && can_execute<write_session>, "the type of the session says whether it may write");
static_assert(!can_run_scripts<read_session> && can_run_scripts<write_session>);
static_assert(!std::is_invocable_v<void (*)(write_session&), read_session&>, "a function that writes cannot be given to a read");
static_assert(!std::copy_constructible<read_session> && !std::copy_constructible<database> && std::move_constructible<database>);

/// Holds a session on another thread until released.
class held_session {
 public:
  held_session(database& db, bool writer)
      : thread_{[this, &db, writer] {
          const auto hold = [this](read_session&) {
            taken_.count_down();
            release_.wait();
          };
          // A long timeout: the test ends it.
          outcome_ = writer ? db.write(hold, session_options{1h}) : db.read(hold, session_options{1h});
        }} {
    taken_.wait();
  }
  ~held_session() { release(); }
  void release() {
    if (!thread_.joinable()) return;
    release_.count_down();
    thread_.join();
  }

 private:
  std::latch taken_{1};
  std::latch release_{1};
  result<void, db_error> outcome_;
  std::thread thread_;
};

}  // namespace

TEST_CASE("database.try_never_waits_for_a_session") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  CHECK(db.try_write([](write_session&) { return 1; }).value() == 1);
  CHECK(db.try_read([](read_session&) { return 2; }).value() == 2);
  held_session writer{db, true};
  CHECK(db.try_write([](write_session&) {}).error() == db_errc::busy);
  CHECK(db.try_read([](read_session&) {}).has_value());  // readers do not wait for the writer
  held_session first{db, false};
  held_session second{db, false};
  CHECK(db.try_read([](read_session&) {}).error() == db_errc::busy);
  first.release();
  CHECK(db.try_read([](read_session&) {}).has_value());
}

TEST_CASE("database.a_waiter_times_out_and_leaves_the_queue") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  held_session writer{db, true};
  const auto began = std::chrono::steady_clock::now();
  const auto done = db.write_for([](write_session&) {}, 20ms);
  CHECK(done.error() == db_errc::timed_out);
  CHECK(std::chrono::steady_clock::now() - began >= 20ms);
  CHECK(db.stats().writes.waiting == 0);
  CHECK(db.stats().writes.wait_timeouts == 1);
  CHECK(db.write_for([](write_session&) {}, 0ms).error() == db_errc::timed_out);
  CHECK(db.write_for([](write_session&) {}, -1s).error() == db_errc::timed_out);
}

TEST_CASE("database.a_timeout_too_long_to_count_in_nanoseconds_is_the_longest") {
  constexpr auto longest = std::chrono::nanoseconds::max();
  CHECK(session_options{std::chrono::seconds::max()}.timeout == longest);
  CHECK(session_options{std::chrono::hours::max()}.timeout == longest);
  CHECK(session_options{longest}.timeout == longest);
  CHECK(session_options{std::chrono::hours::min()}.timeout == std::chrono::nanoseconds::min());
  CHECK(session_options{std::chrono::duration<double>{1e300}}.timeout == longest);
  CHECK(session_options{1'500us}.timeout == 1'500us);
  CHECK(session_options{-3s}.timeout == -3s);
  const sqlite_fixture fixture;
  auto db = fixture.open();
  CHECK(db.write_for([](write_session& s) { return s.until(); }, std::chrono::seconds::max()).value().is_never());
  CHECK(db.read_for([](read_session& s) { return s.until(); }, std::chrono::hours::max()).value().is_never());
  CHECK(db.read_for([](read_session&) {}, std::chrono::hours::min()).error() == db_errc::timed_out);
}

TEST_CASE("database.the_configured_timeout_holds_when_a_call_names_none") {
  const sqlite_fixture fixture;
  auto config = fixture.config();
  config.database.timeout = 15ms;
  auto db = open_sqlite(config).value();
  held_session writer{db, true};
  CHECK(db.write([](write_session&) {}).error() == db_errc::timed_out);
}

TEST_CASE("database.the_queue_is_bounded") {
  const sqlite_fixture fixture;
  auto config = fixture.config();
  config.database.max_waiters = 1;
  auto db = open_sqlite(config).value();
  held_session writer{db, true};
  auto waiting = std::async(std::launch::async, [&] { return db.write_for([](write_session&) { return 5; }, 1h); });
  wait_until([&] { return db.stats().writes.waiting == 1; });
  const auto refused = db.write([](write_session&) {});
  CHECK(refused.error() == db_errc::queue_full);
  CHECK(refused.error() == errc::overloaded);
  writer.release();
  CHECK(waiting.get().value() == 5);
}

TEST_CASE("database.writers_are_served_in_the_order_they_came") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (place INTEGER PRIMARY KEY, writer INTEGER)"); }));
  constexpr int writers{16};
  std::vector<std::thread> threads;
  {
    held_session holder{db, true};
    for (int i = 0; i < writers; ++i) {
      threads.emplace_back([&db, i] {
        db.write_for([i](write_session& s) { return s.execute("INSERT INTO t (writer) VALUES ($1)", i); }, 1h).value();
      });
      wait_until([&] { return db.stats().writes.waiting == static_cast<std::size_t>(i) + 1; });
    }
  }
  for (auto& thread : threads) thread.join();
  const auto order = db.read([](read_session& s) { return s.query("SELECT writer FROM t ORDER BY place"); }).value();
  REQUIRE(order.size() == writers);
  for (std::size_t i = 0; i < order.size(); ++i) CHECK(order[i].get<std::size_t>(0) == i);
}

TEST_CASE("database.a_read_sees_one_snapshot") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x)"); }));
  const auto count = [](read_session& s) { return s.query_one<int>("SELECT count(*) FROM t").value().value(); };
  const auto insert = [&] {
    std::thread{[&] { db.write([](write_session& s) { return s.execute("INSERT INTO t VALUES (1)"); }).value(); }}.join();
  };
  const auto seen = db.read([&](read_session& s) {
    const int before = count(s);
    insert();
    return std::pair{before, count(s)};
  });
  CHECK(seen.value() == std::pair{0, 0});
  CHECK(db.read(count).value() == 1);
}

TEST_CASE("database.asking_for_a_session_while_holding_one_would_deadlock") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  const sqlite_fixture elsewhere;
  auto other = elsewhere.open();
  const auto nested = db.write([&](write_session&) {
    const std::vector codes{db.write([](write_session&) {}).error().code(), db.read([](read_session&) {}).error().code(),
                            db.try_write([](write_session&) {}).error().code(), db.ping().error().code(), db.close().error().code()};
    CHECK(other.write([](write_session&) {}).has_value());  // another database is another matter
    // ... but not the way back to this one.
    CHECK(other.write([&](write_session&) { return db.read([](read_session&) {}); }).error() == db_errc::would_deadlock);
    return codes;
  });
  REQUIRE(nested.has_value());
  for (const auto& code : *nested) CHECK(code == make_error_code(db_errc::would_deadlock));
  CHECK(db.read([&](read_session&) { return db.write([](write_session&) {}); }).error() == db_errc::would_deadlock);
  CHECK(db.write([](write_session&) {}).has_value());
}

TEST_CASE("database.after_close_everything_is_refused") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  CHECK(db.close().has_value());
  CHECK(db.close().has_value());
  CHECK(db.write([](write_session&) {}).error() == db_errc::shutting_down);
  CHECK(db.read([](read_session&) {}).error() == errc::shutting_down);
  CHECK(db.try_read([](read_session&) {}).error() == db_errc::shutting_down);
  CHECK(db.ping().error() == db_errc::shutting_down);
}

TEST_CASE("database.closing_refuses_who_waits_and_waits_for_who_runs") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x)"); }));
  std::latch inside{1};
  std::latch go_on{1};
  auto running = std::async(std::launch::async, [&] {
    return db.write_for([&](write_session& s) {
      inside.count_down();
      go_on.wait();
      return s.execute("INSERT INTO t VALUES (1)");
    }, 1h);
  });
  inside.wait();
  auto waiting = std::async(std::launch::async, [&] { return db.write_for([](write_session&) {}, 1h); });
  wait_until([&] { return db.stats().writes.waiting == 1; });
  auto closing = std::async(std::launch::async, [&] { return db.close(); });
  CHECK(waiting.get().error() == db_errc::shutting_down);
  CHECK(closing.wait_for(0s) == std::future_status::timeout);  // someone still runs
  go_on.count_down();
  CHECK(running.get().value() == 1);
  CHECK(closing.get().has_value());
  auto again = fixture.open();
  CHECK(again.read([](read_session& s) { return s.query_one<int>("SELECT count(*) FROM t"); }).value() == 1);
}

TEST_CASE("database.moves_and_closes_what_it_replaces") {
  const sqlite_fixture first;
  const sqlite_fixture second;
  auto db = first.open();
  const auto ping_first = db.pinger();
  CHECK(ping_first(session_options{}).has_value());
  db = second.open();
  CHECK(db.ping().has_value());
  CHECK(ping_first(session_options{}).error() == db_errc::shutting_down);
}
