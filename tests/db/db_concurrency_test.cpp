// SPDX-License-Identifier: Apache-2.0
// Claims about threads; meant for the thread sanitizer as well.
#include "db/sqlite_fixture.hpp"

#include <spillway/db/database.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using tests::sqlite_fixture;
namespace asio = boost::asio;

TEST_CASE("db_concurrency.many_writers_and_readers_never_see_busy_and_the_sum_is_right") {
  const sqlite_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute_script("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (0), (0)"); }));
  constexpr int writers{6};
  constexpr int rounds{150};
  std::atomic<int> writing{writers};
  std::vector<std::thread> threads;
  for (int w = 0; w < writers; ++w) {
    threads.emplace_back([&] {
      for (int i = 0; i < rounds; ++i) {
        // Read, then write: lost updates would show.
        db.write_for([](write_session& s) {
          const auto n = s.query_one<std::int64_t>("SELECT n FROM t WHERE rowid = 1").value().value();
          s.execute("UPDATE t SET n = $1", n + 1).value();
        }, 1h).value();
      }
      --writing;
    });
  }
  std::atomic<int> torn{0};
  for (int r = 0; r < 3; ++r) {
    threads.emplace_back([&] {
      while (writing > 0) {
        const auto both = db.read_for([](read_session& s) { return s.query("SELECT n FROM t"); }, 1h).value();
        if (both[0].get<int>(0) != both[1].get<int>(0)) ++torn;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(db.read([](read_session& s) { return s.query_one<int>("SELECT n FROM t WHERE rowid = 2"); }).value() == writers * rounds);
  CHECK(torn == 0);
  const auto stats = db.stats();
  CHECK(stats.errors_of(db_errc::busy) == 0);
  CHECK(stats.writes.committed == writers * rounds + 1);
  CHECK(stats.writes.in_use == 0);
}

TEST_CASE("db_concurrency.random_cancels_timeouts_and_closing_lose_no_call") {
  const auto seed = std::random_device{}();
  MESSAGE("seed " << seed);
  const sqlite_fixture fixture;
  auto config = fixture.config();
  config.database.max_waiters = 20;
  auto db = open_sqlite(config).value();
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x)"); }));

  constexpr int callers{4};
  constexpr int calls{150};
  std::atomic<int> answered{0};
  std::atomic<int> committed{0};
  std::atomic<int> unexpected{0};
  const auto expected = [](const db_error& error) {
    return error == errc::cancelled || error == errc::timed_out || error == errc::overloaded || error == errc::shutting_down;
  };
  std::vector<std::thread> threads;
  for (int c = 0; c < callers; ++c) {
    threads.emplace_back([&, c] {
      std::mt19937_64 random{seed + static_cast<unsigned>(c)};
      asio::io_context context;
      for (int i = 0; i < calls; ++i) {
        const auto signal = std::make_shared<asio::cancellation_signal>();
        const auto timeout = std::chrono::microseconds{random() % 3 == 0 ? random() % 500 : 60'000'000};
        db.async_write([i](write_session& s) { return s.execute("INSERT INTO t VALUES ($1)", i); }, timeout,
                       asio::bind_cancellation_slot(signal->slot(), asio::bind_executor(context, [&, signal](std::exception_ptr thrown,
                                                                                                   result<std::uint64_t, db_error> done) {
                         ++answered;
                         if (done) ++committed;
                         else if (!expected(done.error())) ++unexpected;
                         if (thrown) ++unexpected;
                       })));
        if (random() % 2 == 0) asio::post(context, [signal] { signal->emit(asio::cancellation_type::total); });
        if (random() % 4 == 0) {
          context.run();
          context.restart();
        }
      }
      context.run();
    });
  }
  tests::wait_until([&] { return answered > callers * calls / 2; });
  CHECK(db.close().has_value());
  for (auto& thread : threads) thread.join();
  CHECK(answered == callers * calls);
  CHECK(unexpected == 0);
  auto again = fixture.open();
  CHECK(again.read([](read_session& s) { return s.query_one<int>("SELECT count(*) FROM t"); }).value() == committed.load());
  const auto stats = db.stats();
  CHECK(stats.writes.waiting == 0);
  CHECK(stats.writes.in_use == 0);
}

TEST_CASE("db_concurrency.closing_while_others_call_answers_all_of_them") {
  for (int round = 0; round < 10; ++round) {
    const sqlite_fixture fixture;
    auto db = fixture.open();
    REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE t (x)"); }));
    std::atomic<int> started{0};
    std::atomic<int> answered{0};
    std::vector<std::thread> threads;
    for (int c = 0; c < 3; ++c) {
      threads.emplace_back([&, c] {
        for (bool open = true; open;) {
          ++started;
          if (c == 0) {
            open = db.write([](write_session& s) { return s.execute("INSERT INTO t VALUES (1)"); }).has_value();
            ++answered;
          } else {
            asio::io_context context;
            db.async_read([](read_session& s) { return s.query("SELECT count(*) FROM t"); }, 1h,
                          asio::bind_executor(context, [&](std::exception_ptr, const result<row_set, db_error>& done) {
                            open = done.has_value();
                            ++answered;
                          }));
            context.run();
          }
        }
      });
    }
    tests::wait_until([&] { return answered > 20; });
    CHECK(db.close().has_value());
    for (auto& thread : threads) thread.join();
    CHECK(answered == started);
  }
}

namespace {

/// What a write does after it has inserted its two rows.
enum class ending { well, error, exception, conflict, end_of_all, broken_reference, savepoint, count };

result<void, db_error> write_pair(write_session& s, int id, ending how) {
  s.execute("INSERT INTO t VALUES ($1, 0)", id).value();
  if (how == ending::savepoint) {
    s.execute("SAVEPOINT mine").value();
    s.execute("INSERT INTO t VALUES ($1, 2)", id).value();
    s.execute("ROLLBACK TO mine").value();
  }
  s.execute("INSERT INTO t VALUES ($1, 1)", id).value();
  switch (how) {
    case ending::error: return db_error{db_errc::check_violation};
    case ending::exception: throw std::runtime_error{"stop"};
    case ending::conflict: s.execute("INSERT INTO t VALUES ($1, 1)", id).value(); break;
    case ending::end_of_all: s.execute("INSERT OR ROLLBACK INTO t VALUES ($1, 1)", id).value(); break;
    case ending::broken_reference: s.execute("INSERT INTO child VALUES ($1)", -id).value(); break;
    default: break;
  }
  return {};
}

}  // namespace

TEST_CASE("db_concurrency.a_write_is_there_whole_exactly_if_its_caller_was_told_so") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  MESSAGE("seed " << seed);
  const sqlite_fixture fixture;
  auto config = fixture.config();
  config.database.group_members = 1 + seed % 40;
  config.database.group_time = 50ms;
  auto db = open_sqlite(config).value();
  REQUIRE(db.write([](write_session& s) {
    return s.execute_script("CREATE TABLE t (id INTEGER, part INTEGER, UNIQUE (id, part)); CREATE TABLE parent (id INTEGER PRIMARY KEY);"
                            "CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)");
  }));
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  constexpr int calls{300};
#else
  constexpr int calls{1'500};
#endif
  constexpr int callers{4};
  std::vector<std::atomic<bool>> told(calls * callers);
  std::atomic<int> answered{0};
  std::atomic<int> aborted{0};
  std::vector<std::thread> threads;
  for (int c = 0; c < callers; ++c) {
    threads.emplace_back([&, c] {
      std::mt19937_64 random{seed + static_cast<unsigned>(c)};
      asio::io_context context;
      for (int i = 0; i < calls; ++i) {
        const int id = 1 + c * calls + i;
        // Mostly well, so that there is something to lose.
        const auto how = random() % 3 == 0 ? static_cast<ending>(random() % static_cast<unsigned>(ending::count)) : ending::well;
        session_options options{std::chrono::microseconds{random() % 6 == 0 ? random() % 400 : 60'000'000}};
        options.alone = random() % 16 == 0;
        const auto answer = [&, id](const result<void, db_error>& done) {
          ++answered;
          if (done) told[static_cast<std::size_t>(id - 1)] = true;
          else if (done.error() == db_errc::aborted) ++aborted;
        };
        const auto function = [id, how](write_session& s) { return write_pair(s, id, how); };
        if (c % 2 == 0) {
          try {
            answer(db.write(function, options));
          } catch (const std::runtime_error&) {
            ++answered;
          }
          continue;
        }
        const auto signal = std::make_shared<asio::cancellation_signal>();
        db.async_write(function, options,
                       asio::bind_cancellation_slot(signal->slot(), asio::bind_executor(context, [answer, signal](std::exception_ptr thrown,
                                                                                                   const result<void, db_error>& done) {
                         answer(thrown ? result<void, db_error>{db_errc::callback_threw} : done);
                       })));
        if (random() % 4 == 0) asio::post(context, [signal] { signal->emit(asio::cancellation_type::total); });
        if (random() % 8 == 0) {
          context.run();
          context.restart();
        }
      }
      context.run();
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(answered == calls * callers);
  std::vector<bool> there(told.size());
  db.read_for([&](read_session& s) {
    return s.stream("SELECT id, count(*), sum(part) FROM t GROUP BY id", {}, [&](row_view row) {
      const auto [id, rows, parts] = row.as<std::tuple<int, int, int>>();
      REQUIRE(rows == 2);
      REQUIRE(parts == 1);
      there[static_cast<std::size_t>(id - 1)] = true;
    });
  }, 1min).value();
  std::uint64_t committed{0};
  for (std::size_t i = 0; i < told.size(); ++i) {
    REQUIRE(there[i] == told[i].load());
    committed += there[i] ? 1U : 0U;
  }
  const auto stats = db.stats();
  CHECK(stats.writes.committed == committed + 1);
  CHECK(stats.writes.in_use == 0);
  CHECK(stats.errors_of(db_errc::aborted) == static_cast<std::uint64_t>(aborted.load()));
  MESSAGE(stats.shared_commit_writes << " of " << committed << " writes shared " << stats.shared_commits << " commits, " << aborted.load()
                                     << " were taken along by others");
}
