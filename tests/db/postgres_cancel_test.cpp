// SPDX-License-Identifier: Apache-2.0
// Statements that are given up: the caller hears of it at once, the server stops, the session lives on.
#include "db/postgres_fixture.hpp"

#include <spillway/db/postgres.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using tests::postgres_fixture;

namespace {

using clock_type = std::chrono::steady_clock;

int pid_of(database& db) {
  return db.write([](write_session& s) { return s.query_one<int>("SELECT pg_backend_pid()"); }).value().value();
}

/// A write that can be cancelled from another thread.
class cancellable_write {
 public:
  template <class F>
  cancellable_write(database& db, F function) {
    db.async_write(std::move(function), 60s,
                   boost::asio::bind_cancellation_slot(
                       signal_.slot(), boost::asio::bind_executor(thread_, [this](const std::exception_ptr&, result<row_set, db_error> outcome) {
                         if (!outcome) error_ = outcome.error();
                         ended_ = clock_type::now();
                         done_.set_value();
                       })));
  }
  ~cancellable_write() { thread_.join(); }
  void cancel() {
    boost::asio::post(thread_, [this] { signal_.emit(boost::asio::cancellation_type::total); });
  }
  db_error wait() {
    done_.get_future().wait();
    return error_;
  }
  [[nodiscard]] clock_type::time_point ended() const { return ended_; }

 private:
  boost::asio::thread_pool thread_{1};  // where the signal belongs to: there alone it is emitted, and let go of
  boost::asio::cancellation_signal signal_;
  db_error error_;
  clock_type::time_point ended_;
  std::promise<void> done_;
};

int active(const postgres_fixture& fixture) {
  return std::stoi(fixture.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'spillway' AND "
                                 "state = 'active'"));
}

}  // namespace

TEST_CASE("postgres_cancel.a_deadline_is_told_at_once_and_the_session_survives") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.writers = 1;
  auto db = open_postgres(config).value();
  const int pid = pid_of(db);
  for (int i = 0; i < 5; ++i) {
    const auto began = clock_type::now();
    const auto late = db.write_for([](write_session& s) { return s.query("SELECT pg_sleep(60)"); }, 50ms);
    const auto took = clock_type::now() - began;
    CHECK(late.error() == db_errc::timed_out);
    CHECK(took >= 50ms);
    CHECK(took < 1s);
    CHECK(pid_of(db) == pid);  // waits until the session is clean
    CHECK(active(fixture) == 0);
  }
}

TEST_CASE("postgres_cancel.a_cancellation_is_told_at_once_and_the_session_survives") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.writers = 1;
  auto db = open_postgres(config).value();
  const int pid = pid_of(db);
  for (int i = 0; i < 5; ++i) {
    cancellable_write call{db, [](write_session& s) { return s.query("SELECT pg_sleep(60)"); }};
    tests::wait_until([&] { return active(fixture) == 1; });
    const auto cancelled = clock_type::now();
    call.cancel();
    CHECK(call.wait() == db_errc::cancelled);
    CHECK(call.ended() - cancelled < 1s);
    CHECK(pid_of(db) == pid);
    CHECK(active(fixture) == 0);
  }
}

TEST_CASE("postgres_cancel.while_a_session_is_cleaned_nobody_else_gets_its_place") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.writers = 2;
  config.readers = 1;
  auto db = open_postgres(config).value();
  std::atomic<bool> stop{false};
  int most{0};
  std::thread watcher{[&] {
    while (!stop) most = std::max(most, fixture.sessions());
  }};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const auto late = db.write_for([](write_session& s) { return s.query("SELECT pg_sleep(60)"); }, 2ms);
        CHECK(late.error() == db_errc::timed_out);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  stop = true;
  watcher.join();
  CHECK(most <= 3);
  CHECK(most > 0);
}

TEST_CASE("postgres_cancel.what_was_written_before_is_rolled_back") {
  const postgres_fixture fixture;
  fixture.sql("CREATE TABLE t (x int)");
  auto db = fixture.open();
  const auto late = db.write_for([](write_session& s) {
    s.execute("INSERT INTO t VALUES (1)").value();
    return s.query("SELECT pg_sleep(60)");
  }, 50ms);
  CHECK(late.error() == db_errc::timed_out);
  CHECK(fixture.value("SELECT count(*) FROM t") == "0");
  // Even if the function takes no notice.
  const auto ignored = db.write_for([](write_session& s) {
    s.execute("INSERT INTO t VALUES (1)").value();
    (void)s.query("SELECT pg_sleep(60)");
    CHECK(s.query("SELECT 1").error() == db_errc::timed_out);
  }, 50ms);
  CHECK(ignored.error() == db_errc::timed_out);
  CHECK(fixture.value("SELECT count(*) FROM t") == "0");
}

TEST_CASE("postgres_cancel.a_result_that_is_still_coming_is_given_up_too") {
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.writers = 1;
  config.database.max_result_bytes = std::uint64_t{1} << 32U;
  auto db = open_postgres(config).value();
  const int pid = pid_of(db);
  const auto late = db.write_for([](write_session& s) {
    return s.stream("SELECT generate_series(1, 1000000000000)", {}, [](row_view) {});
  }, 50ms);
  CHECK(late.error() == db_errc::timed_out);
  CHECK(pid_of(db) == pid);
}

TEST_CASE("postgres_cancel.a_frozen_server_is_told_within_the_deadline_and_found_well_when_it_thaws") {
  tests::postgres_cluster cluster;
  postgres_config config;
  config.url = cluster.url();
  config.readers = 2;
  config.writers = 2;
  config.cancel_timeout = 200ms;
  config.connect_timeout = 300ms;
  auto db = open_postgres(config).value();
  REQUIRE(db.ping());
  cluster.halt(0, "STOP");
  for (int i = 0; i < 6; ++i) {
    const auto began = clock_type::now();
    const auto late = db.read_for([](read_session& s) { return s.query("SELECT 1"); }, 100ms);
    const auto took = clock_type::now() - began;
    REQUIRE_FALSE(late.has_value());
    CHECK_MESSAGE((late.error() == db_errc::timed_out || late.error() == db_errc::cannot_open), late.error().what());
    CHECK(took < 1s);
  }
  const auto began = clock_type::now();
  CHECK(db.write_for([](write_session& s) { return s.execute("CREATE TABLE t (x int)"); }, 100ms).error() == db_errc::timed_out);
  CHECK(clock_type::now() - began < 1s);
  cluster.resume(0);
  tests::wait_until([&] { return db.read([](read_session& s) { return s.query_one<int>("SELECT 1"); }).has_value(); });
  CHECK(db.write([](write_session& s) { return s.query_one<int>("SELECT count(*) FROM pg_class WHERE relname = 't'"); }).value() == 0);
}

TEST_CASE("postgres_cancel.a_database_can_be_closed_while_its_server_is_frozen") {
  tests::postgres_cluster cluster;
  postgres_config config;
  config.url = cluster.url();
  config.cancel_timeout = 200ms;
  {
    auto db = open_postgres(config).value();
    cluster.halt(0, "STOP");
    CHECK(db.read_for([](read_session& s) { return s.query("SELECT 1"); }, 50ms).error() == db_errc::timed_out);
  }
  cluster.resume(0);
}

TEST_CASE("postgres_cancel.a_storm_of_cancellations_leaves_nothing_behind") {
  const char* const wanted = std::getenv("SPILLWAY_CANCELS");  // for a longer storm than a test can be
  const int calls = wanted == nullptr ? 10'000 : std::atoi(wanted);
  const postgres_fixture fixture;
  auto config = fixture.config();
  config.readers = 6;
  config.writers = 2;
  config.database.max_waiters = 10'000;
  auto db = open_postgres(config).value();
  const auto seed = static_cast<std::uint32_t>(std::random_device{}());
  CAPTURE(seed);

  std::atomic<bool> stop{false};
  std::atomic<int> most{0};
  std::thread watcher{[&] {
    while (!stop) {
      most = std::max(most.load(), fixture.sessions());
      std::this_thread::sleep_for(5ms);
    }
  }};
  std::array<std::atomic<int>, db_errc_count + 1> ended{};
  std::atomic<int> wrong{0};
  {
    boost::asio::thread_pool callers{2};
    std::atomic<int> under_way{0};
    struct call {
      explicit call(boost::asio::thread_pool& threads) : timer{threads.get_executor()}, strand{boost::asio::make_strand(threads.get_executor())} {}
      boost::asio::cancellation_signal signal;
      boost::asio::steady_timer timer;
      boost::asio::strand<boost::asio::thread_pool::executor_type> strand;
      bool done{false};
    };
    std::mt19937 random{seed};
    for (int i = 0; i < calls; ++i) {
      tests::wait_until([&] { return under_way < 24; });
      ++under_way;
      const auto one = std::make_shared<call>(callers);
      // Some are over before the cancellation comes, some are hit in the queue, some in the middle.
      const int sleep_us = static_cast<int>(random() % 2'000);
      const auto cancel_after = std::chrono::microseconds{random() % (random() % 2 == 0 ? 3'000 : 100'000)};
      const bool writes = random() % 4 == 0;
      auto handler = boost::asio::bind_cancellation_slot(
          one->signal.slot(), boost::asio::bind_executor(one->strand, [&, one, i](const std::exception_ptr&, result<int, db_error> outcome) {
            one->done = true;
            one->timer.cancel();
            ++ended[outcome ? 0 : static_cast<std::size_t>(outcome.error().code().value())];
            if (outcome && *outcome != i) ++wrong;
            --under_way;
          }));
      const auto work = [sleep_us, i](read_session& s) {
        (void)s.query("SELECT pg_sleep($1::float8 / 1000000)", sleep_us).value();
        return s.query_one<int>("SELECT $1::int", i).value().value();
      };
      boost::asio::post(one->strand, [&db, one, cancel_after, work, writes, handler = std::move(handler)]() mutable {
        if (writes) db.async_write(work, 30s, std::move(handler));
        else db.async_read(work, 30s, std::move(handler));
        one->timer.expires_after(cancel_after);
        one->timer.async_wait(boost::asio::bind_executor(one->strand, [one](const error_code& stopped) {
          if (!stopped && !one->done) one->signal.emit(boost::asio::cancellation_type::total);
        }));
      });
    }
    tests::wait_until([&] { return under_way == 0; });
    callers.join();
  }
  stop = true;
  watcher.join();

  const auto cancelled = ended[static_cast<std::size_t>(db_errc::cancelled)].load();
  CHECK(wrong == 0);
  CHECK(ended[0] + cancelled == calls);  // no stray error reached anybody
  CHECK(cancelled > calls / 20);
  CHECK(ended[0] > calls / 20);
  CHECK(most <= 8);
  const auto stats = db.stats();
  MESSAGE("done " << ended[0].load() << ", cancelled " << cancelled << ", most sessions " << most.load() << ", sessions opened "
                  << stats.reads.pool.opened + stats.writes.pool.opened);
  for (int i = 0; i < 100; ++i) CHECK(db.read([&](read_session& s) { return s.query_one<int>("SELECT $1::int", i); }).value() == i);
}
