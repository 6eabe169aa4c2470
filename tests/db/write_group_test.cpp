// SPDX-License-Identifier: Apache-2.0
// Writes that share a commit, on a real file.
#include "db/sqlite_fixture.hpp"

#include <spillway/db/database.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <future>
#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;
using tests::sqlite_fixture;
using tests::wait_until;
namespace asio = boost::asio;

namespace {

using count_result = result<std::uint64_t, db_error>;

/// A database whose writes share commits however slowly the test runs.
struct group_fixture {
  group_fixture() { config.database.group_time = 60s; }
  database open() {
    auto db = open_sqlite(config).value();
    db.write([](write_session& s) { return s.execute("CREATE TABLE t (x INTEGER PRIMARY KEY)"); }).value();
    return db;
  }
  /// As another process sees the file.
  [[nodiscard]] std::string committed() const {
    sqlite3* other{nullptr};
    REQUIRE(sqlite3_open_v2(config.path.c_str(), &other, SQLITE_OPEN_READONLY, nullptr) == SQLITE_OK);
    std::string found;
    REQUIRE(sqlite3_exec(other, "SELECT coalesce(group_concat(x, ' '), '') FROM (SELECT x FROM t ORDER BY x)", [](void* to, int, char** row, char**) {
      *static_cast<std::string*>(to) = row[0];
      return 0;
    }, &found, nullptr) == SQLITE_OK);
    REQUIRE(sqlite3_close(other) == SQLITE_OK);
    return found;
  }

  sqlite_fixture file;
  sqlite_config config{file.config()};
};

/// Holds nothing that would be read here while the other thread lets go of it: libstdc++ counts references to exceptions where ThreadSanitizer does not look.
struct stop {};

auto insert(int x) {
  return [x](write_session& s) { return s.execute("INSERT INTO t VALUES ($1)", x); };
}

template <class Future>
bool is_ready(const Future& future) {
  return future.wait_for(0s) == std::future_status::ready;
}

/// Runs first, and ends when told to: those who have queued up behind it by then follow without a gap. Inserts 0.
class first_write {
 public:
  explicit first_write(database& db, const session_options& options = session_options{1h}) : db_{db} {
    outcome_ = db.async_write([this](write_session& s) {
      inside_.count_down();
      go_on_.wait();
      return s.execute("INSERT INTO t VALUES (0)");
    }, options, asio::use_future);
    inside_.wait();
  }
  /// Queues up behind all who are there already.
  template <class F>
  auto behind(F function, const session_options& options = session_options{1h}) {
    auto future = db_.async_write(std::move(function), options, asio::use_future);
    ++queued_;
    wait_until([&] { return db_.stats().writes.waiting == queued_ || is_ready(future); });
    return future;
  }
  /// The same from a thread that blocks.
  template <class F>
  auto blocked_behind(F function) {
    auto future = std::async(std::launch::async, [this, function] { return db_.write_for(function, 1h); });
    ++queued_;
    wait_until([&] { return db_.stats().writes.waiting == queued_; });
    return future;
  }
  void go_on() { go_on_.count_down(); }
  count_result outcome() { return outcome_.get(); }

 private:
  database& db_;
  std::latch inside_{1};
  std::latch go_on_{1};
  std::size_t queued_{0};
  std::future<count_result> outcome_;
};

/// Never ends by itself, and writes.
constexpr std::string_view endless{"INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"};

}  // namespace

TEST_CASE("write_group.writes_that_wait_share_one_commit_and_are_told_after_it") {
  group_fixture fixture;
  auto db = fixture.open();
  first_write first{db};
  auto second = first.blocked_behind(insert(1));
  auto third = first.behind(insert(2));
  std::string seen{"?"};
  bool told{true};
  auto last = first.behind([&](write_session& s) {
    seen = fixture.committed();
    told = is_ready(second) || is_ready(third);
    return s.query_one<int>("SELECT count(*) FROM t").value().value();  // it sees what they wrote
  });
  first.go_on();
  CHECK(last.get().value() == 3);
  CHECK(seen.empty());
  CHECK_FALSE(told);
  CHECK(first.outcome().value() == 1);
  CHECK(second.get().value() == 1);
  CHECK(third.get().value() == 1);
  CHECK(fixture.committed() == "0 1 2");
  const auto stats = db.stats();
  CHECK(stats.shared_commits == 1);
  CHECK(stats.shared_commit_writes == 4);
  CHECK(stats.writes.committed == 5);
  CHECK(stats.writes.rolled_back == 0);
}

TEST_CASE("write_group.a_write_that_nobody_waits_behind_is_committed_alone") {
  group_fixture fixture;
  auto db = fixture.open();
  for (int i = 0; i < 10; ++i) REQUIRE(db.write(insert(i)).has_value());
  CHECK(db.stats().shared_commits == 0);
  CHECK(db.stats().writes.committed == 11);
}

TEST_CASE("write_group.one_that_fails_throws_or_is_late_is_undone_without_the_others") {
  group_fixture fixture;
  auto db = fixture.open();
  first_write first{db};
  auto failed = first.behind([](write_session& s) -> count_result {
    s.execute("INSERT INTO t VALUES (1), (2)").value();
    return db_error{db_errc::check_violation, "mine"};
  });
  auto good = first.behind(insert(3));
  auto thrown = first.blocked_behind([](write_session& s) -> count_result {
    s.execute("INSERT INTO t VALUES (4)").value();
    throw stop{};
  });
  auto refused = first.behind(insert(3));
  // Changes of the schema are undone as well, and nobody is disturbed by statements prepared for them.
  auto schema = first.behind([](write_session& s) {
    s.execute("CREATE TABLE other (y)").value();
    s.execute("INSERT INTO other VALUES (1)").value();
    s.execute("INSERT INTO t VALUES (0)").value();
  });
  auto late = first.behind([](write_session& s) {
    s.execute("INSERT INTO t VALUES (5)").value();
    while (!s.until().passed(std::chrono::steady_clock::now())) {
    }
  }, session_options{1s});
  auto after = first.behind(insert(6));
  first.go_on();
  CHECK(first.outcome().has_value());
  CHECK(failed.get().error().message() == "mine");
  CHECK(good.get().has_value());
  CHECK_THROWS_AS((void)thrown.get(), stop);
  CHECK(refused.get().error() == db_errc::unique_violation);
  CHECK(schema.get().error() == db_errc::unique_violation);
  CHECK(late.get().error() == db_errc::timed_out);
  CHECK(after.get().has_value());
  CHECK(fixture.committed() == "0 3 6");
  CHECK(db.read([](read_session& s) { return s.query("SELECT * FROM other"); }).error() == db_errc::no_such_object);
  const auto stats = db.stats();
  CHECK(stats.writes.committed == 4);
  CHECK(stats.writes.rolled_back == 5);
  CHECK(stats.errors_of(db_errc::check_violation) == 1);
  CHECK(stats.errors_of(db_errc::unique_violation) == 2);
  CHECK(stats.errors_of(db_errc::callback_threw) == 1);
  CHECK(stats.errors_of(db_errc::timed_out) == 1);
}

TEST_CASE("write_group.one_that_fails_first_is_told_at_once_and_shares_nothing") {
  group_fixture fixture;
  auto db = fixture.open();
  std::latch inside{1};
  std::latch go_on{1};
  auto first = db.async_write([&](write_session& s) -> count_result {
    inside.count_down();
    go_on.wait();
    s.execute("INSERT INTO t VALUES (1)").value();
    return db_error{db_errc::check_violation};
  }, 1h, asio::use_future);
  inside.wait();
  auto second = db.async_write([&](write_session& s) {
    first.wait();
    return s.execute("INSERT INTO t VALUES (1)");
  }, 1h, asio::use_future);
  go_on.count_down();
  CHECK(second.get().has_value());
  CHECK(first.get().error() == db_errc::check_violation);
  CHECK(fixture.committed() == "1");
}

TEST_CASE("write_group.whoever_wants_to_be_alone_waits_for_nobody_and_nobody_for_it") {
  group_fixture fixture;
  auto db = fixture.open();
  first_write first{db};
  auto second = first.behind(insert(1));
  std::string seen;
  session_options by_itself{1h};
  by_itself.alone = true;
  auto alone = first.behind([&](write_session& s) {
    second.wait();  // would wait for ever, were they to share
    seen = fixture.committed();
    return s.execute("INSERT INTO t VALUES (2)");
  }, by_itself);
  auto last = first.behind([&](write_session& s) {
    alone.wait();
    return s.execute("INSERT INTO t VALUES (3)");
  });
  first.go_on();
  CHECK(last.get().has_value());
  CHECK(seen == "0 1");
  CHECK(fixture.committed() == "0 1 2 3");
  CHECK(db.stats().shared_commits == 1);

  // Who may not wait for a session does not wait for others' functions.
  std::latch tried{1};
  std::future<count_result> behind;
  CHECK(db.try_write([&](write_session& s) {
    behind = db.async_write([&](write_session& t) {
      tried.wait();
      return t.execute("INSERT INTO t VALUES (5)");
    }, 1h, asio::use_future);
    return s.execute("INSERT INTO t VALUES (4)");
  }).has_value());
  CHECK(fixture.committed() == "0 1 2 3 4");
  tried.count_down();
  CHECK(behind.get().has_value());
}

TEST_CASE("write_group.has_as_many_members_as_it_may") {
  group_fixture fixture;
  fixture.config.database.group_members = 2;
  auto db = fixture.open();
  {
    first_write first{db};
    std::vector<std::future<count_result>> others;
    for (int i = 1; i < 6; ++i) others.push_back(first.behind(insert(i)));
    first.go_on();
    for (auto& each : others) CHECK(each.get().has_value());
    CHECK(first.outcome().has_value());
  }
  CHECK(db.stats().shared_commits == 3);
  CHECK(db.stats().shared_commit_writes == 6);
  CHECK(db.close().has_value());

  fixture.config.database.group_members = 1;
  auto again = open_sqlite(fixture.config).value();
  REQUIRE(again.write([](write_session& s) { return s.execute("DELETE FROM t"); }).has_value());
  first_write first{again};
  auto second = first.behind(insert(1));
  first.go_on();
  CHECK(second.get().has_value());
  CHECK(again.stats().shared_commits == 0);
}

TEST_CASE("write_group.many_asynchronous_members_need_no_threads_to_wait_on") {
  group_fixture fixture;
  fixture.config.readers = 1;  // three threads
  fixture.config.database.group_members = 100;
  auto db = fixture.open();
  first_write first{db};
  std::vector<std::future<count_result>> others;
  for (int i = 1; i < 60; ++i) others.push_back(first.behind(insert(i)));
  first.go_on();
  for (auto& each : others) CHECK(each.get().has_value());
  CHECK(first.outcome().has_value());
  CHECK(db.stats().shared_commits == 1);
  CHECK(db.stats().shared_commit_writes == 60);
}

TEST_CASE("write_group.a_write_that_ended_in_time_is_committed_though_deadline_and_cancellation_come_while_it_waits") {
  group_fixture fixture;
  auto db = fixture.open();
  first_write first{db};
  asio::cancellation_signal signal;
  std::promise<bool> cancelled_stays;
  db.async_write(insert(1), 1h, asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr, const count_result& done) {
    cancelled_stays.set_value(done.has_value());
  }));
  wait_until([&] { return db.stats().writes.waiting == 1; });
  const auto last = [&](write_session& s) {
    signal.emit(asio::cancellation_type::terminal);
    return s.execute("INSERT INTO t VALUES (2)");
  };
  auto behind = db.async_write(last, 1h, asio::use_future);
  wait_until([&] { return db.stats().writes.waiting == 2; });
  first.go_on();
  CHECK(behind.get().has_value());
  CHECK(cancelled_stays.get_future().get());
  CHECK(fixture.committed() == "0 1 2");
  CHECK(db.stats().shared_commit_writes == 3);

  // A deadline: the one behind it runs for longer than could be known.
  REQUIRE(db.write([](write_session& s) { return s.execute("DELETE FROM t"); }).has_value());
  first_write again{db};
  deadline until;
  auto impatient = again.behind([&](write_session& s) {
    until = s.until();
    return s.execute("INSERT INTO t VALUES (1)");
  }, session_options{1500ms});
  bool told{true};
  auto slow = again.behind([&](write_session& s) {
    while (!until.passed(std::chrono::steady_clock::now())) {
    }
    told = is_ready(impatient);
    return s.execute("INSERT INTO t VALUES (2)");
  });
  again.go_on();
  CHECK(slow.get().has_value());
  CHECK_FALSE(told);
  CHECK(impatient.get().has_value());
  CHECK(fixture.committed() == "0 1 2");
}

TEST_CASE("write_group.a_deferred_foreign_key_fails_only_the_write_that_broke_it") {
  group_fixture fixture;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) {
    return s.execute("CREATE TABLE child (t INTEGER REFERENCES t (x) DEFERRABLE INITIALLY DEFERRED)");
  }).has_value());
  first_write first{db};
  auto good = first.behind([](write_session& s) {
    s.execute("INSERT INTO child VALUES (1)").value();  // in time
    s.execute("INSERT INTO t VALUES (1)").value();
  });
  auto broken = first.behind([](write_session& s) { s.execute("INSERT INTO child VALUES (9)").value(); });
  auto after = first.behind(insert(2));
  auto last = first.behind([](write_session& s) { s.execute("INSERT INTO child VALUES (8)").value(); });
  first.go_on();
  CHECK(first.outcome().has_value());
  CHECK(good.get().has_value());
  const auto failure = broken.get().error();
  CHECK(failure == db_errc::foreign_key_violation);
  CHECK(after.get().has_value());
  CHECK(last.get().error().what() == failure.what());
  CHECK(fixture.committed() == "0 1 2");
  CHECK(db.read([](read_session& s) { return s.query_one<int>("SELECT count(*) FROM child"); }).value() == 1);

  // One that is the first of its transaction ends it, and has the engine's own answer, which is the same.
  REQUIRE(db.write([](write_session& s) { return s.execute("DELETE FROM t WHERE x = 0"); }).has_value());
  std::latch inside{1};
  std::latch go_on{1};
  auto alone = db.async_write([&](write_session& s) {
    inside.count_down();
    go_on.wait();
    s.execute("INSERT INTO child VALUES (7)").value();
  }, 1h, asio::use_future);
  inside.wait();
  auto behind = db.async_write(insert(3), 1h, asio::use_future);
  wait_until([&] { return db.stats().writes.waiting == 1; });
  go_on.count_down();
  CHECK(behind.get().has_value());
  CHECK(alone.get().error().what() == failure.what());
}

TEST_CASE("write_group.savepoints_of_one_write_are_none_of_the_next") {
  group_fixture fixture;
  auto db = fixture.open();
  // Twice, as the first time the session does not know yet that there will be savepoints.
  for (int base : {10, 20}) {
    CAPTURE(base);
    std::latch inside{1};
    std::latch go_on{1};
    auto left_open = db.async_write([&](write_session& s) {
      inside.count_down();
      go_on.wait();
      s.execute("SAVEPOINT a").value();
      return s.execute("INSERT INTO t VALUES ($1)", base);
    }, 1h, asio::use_future);
    inside.wait();
    auto goes_back = db.async_write([&](write_session& s) {
      s.execute("INSERT INTO t VALUES ($1)", base + 1).value();
      return s.execute("ROLLBACK TO a");
    }, 1h, asio::use_future);
    auto uses_its_own = db.async_write([&](write_session& s) {
      s.execute("SAVEPOINT a").value();
      s.execute("INSERT INTO t VALUES ($1)", base + 2).value();
      s.execute("ROLLBACK TO a").value();
      return s.execute("INSERT INTO t VALUES ($1)", base + 3);
    }, 1h, asio::use_future);
    wait_until([&] { return db.stats().writes.waiting == 2; });
    go_on.count_down();
    CHECK(goes_back.get().error() == db_errc::no_such_object);
    CHECK(uses_its_own.get().has_value());
    CHECK(left_open.get().has_value());
  }
  CHECK(fixture.committed() == "10 13 20 23");
  CHECK(db.stats().shared_commits == 1);
  for (const auto* sql : {"SAVEPOINT spillway_part", "RELEASE Spillway_Part", "ROLLBACK TO spillway_part"}) {
    const auto refused = db.write([&](write_session& s) { return s.execute(sql); });
    CHECK(refused.error() == db_errc::not_allowed);
    CHECK(refused.error().message() == "this savepoint belongs to the session");
  }
}

TEST_CASE("write_group.when_the_commit_fails_every_member_is_told_and_nothing_stays") {
  group_fixture fixture;
  auto db = fixture.open();
  // A file may not grow beyond this: the log of SQLite, which the commit appends to.
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto ignored = ::signal(SIGXFSZ, SIG_IGN);
  first_write first{db};
  auto second = first.blocked_behind(insert(1));
  auto refused = first.behind(insert(1));  // what it complains about was never committed
  auto thrown = first.behind([](write_session&) -> count_result { throw stop{}; });
  auto last = first.behind([&](write_session& s) {
    const auto log_bytes = std::filesystem::file_size(fixture.config.path + "-wal");
    const rlimit now{static_cast<rlim_t>(log_bytes), before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &now) == 0);
    return s.execute("INSERT INTO t VALUES (2)");
  });
  first.go_on();
  const auto failure = last.get().error();
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  ::signal(SIGXFSZ, ignored);
  CHECK(failure == errc::unavailable);
  for (auto* each : {&second, &refused}) CHECK(each->get().error().what() == failure.what());
  CHECK(first.outcome().error().what() == failure.what());
  CHECK_THROWS_AS((void)thrown.get(), stop);
  CHECK(fixture.committed().empty());
  const auto stats = db.stats();
  CHECK(stats.writes.committed == 1);
  CHECK(stats.writes.rolled_back == 5);
  CHECK(stats.shared_commits == 0);
  CHECK(stats.errors_of(db_errc::unique_violation) == 0);
  CHECK(db.write(insert(3)).has_value());
  CHECK(fixture.committed() == "3");
}

TEST_CASE("write_group.a_write_that_ends_the_transaction_takes_the_others_along_and_they_are_told_to_try_again") {
  group_fixture fixture;
  auto db = fixture.open();
  first_write first{db};
  auto second = first.blocked_behind(insert(1));
  auto culprit = first.behind([](write_session& s) {
    (void)s.execute("INSERT OR ROLLBACK INTO t VALUES (1)");
    return s.execute("INSERT INTO t VALUES (11)");
  });
  auto after = first.behind(insert(2));
  first.go_on();
  CHECK(after.get().has_value());  // in a transaction of its own
  CHECK(culprit.get().error() == db_errc::unique_violation);
  for (const auto& outcome : {first.outcome(), second.get()}) {
    CHECK(outcome.error() == db_errc::aborted);
    CHECK(outcome.error() == errc::unavailable);
    CHECK(outcome.error().message() == "another write in the same transaction: unique constraint violated");
  }
  CHECK(fixture.committed() == "2");
  const auto stats = db.stats();
  CHECK(stats.writes.committed == 2);
  CHECK(stats.writes.rolled_back == 3);
  CHECK(stats.errors_of(db_errc::aborted) == 2);
  CHECK(stats.errors_of(db_errc::unique_violation) == 1);
}

TEST_CASE("write_group.trouble_of_the_engine_is_told_to_every_member_as_it_is") {
  group_fixture fixture;
  fixture.config.max_file_bytes = 128U << 10U;
  auto db = fixture.open();
  REQUIRE(db.write([](write_session& s) { return s.execute("CREATE TABLE big (b)"); }).has_value());
  first_write first{db};
  auto second = first.behind(insert(1));
  auto culprit = first.behind([](write_session& s) { return s.execute("INSERT INTO big VALUES (zeroblob(1000000))"); });
  first.go_on();
  CHECK(culprit.get().error() == db_errc::disk_full);
  CHECK(second.get().error() == db_errc::disk_full);
  CHECK(first.outcome().error() == db_errc::disk_full);
  CHECK(fixture.committed().empty());
  CHECK(db.write(insert(3)).has_value());
}

TEST_CASE("write_group.a_late_statement_that_does_not_end_takes_the_others_along") {
  group_fixture fixture;
  auto db = fixture.open();
  first_write first{db};
  auto second = first.behind(insert(1));
  auto late = first.behind([](write_session& s) { return s.execute(endless); }, session_options{1s});
  first.go_on();
  CHECK(late.get().error() == db_errc::timed_out);
  CHECK(second.get().error() == db_errc::aborted);
  CHECK(first.outcome().error() == db_errc::aborted);
  CHECK(fixture.committed().empty());

  // A query can be interrupted without that.
  first_write again{db};
  auto other = again.behind(insert(1));
  auto query = again.behind([](write_session& s) {
    s.execute("INSERT INTO t VALUES (2)").value();
    return s.query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n");
  }, session_options{1s});
  again.go_on();
  CHECK(query.get().error() == db_errc::timed_out);
  CHECK(other.get().has_value());
  CHECK(again.outcome().has_value());
  CHECK(fixture.committed() == "0 1");
}

TEST_CASE("write_group.a_statement_that_is_hardly_late_ends_and_is_undone_alone") {
  bool seen{false};
  for (int attempt = 0; attempt < 100 && !seen; ++attempt) {
    group_fixture fixture;
    auto db = fixture.open();
    first_write first{db};
    auto second = first.behind(insert(1));
    bool too_late_in_statement{false};
    auto late = first.behind([&](write_session& s) {
      // Starts a little before its deadline, and takes a few milliseconds.
      while (s.until().remaining(std::chrono::steady_clock::now()) > 300us) {
      }
      const bool in_time = !s.until().passed(std::chrono::steady_clock::now());
      // How many rows that takes depends on the machine, so the attempts differ.
      const auto done = s.execute("INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT i FROM n",
                                  100 + 9'000 / (1 + attempt % 20));
      too_late_in_statement = in_time && done.has_value() && s.until().passed(std::chrono::steady_clock::now());
    }, session_options{300ms});
    first.go_on();
    CHECK(late.get().error() == db_errc::timed_out);
    const bool others_stay = second.get().has_value() && first.outcome().has_value();
    if (!too_late_in_statement) continue;
    seen = true;
    CHECK(others_stay);
    CHECK(fixture.committed() == "0 1");
  }
  CHECK(seen);
}

TEST_CASE("write_group.closing_waits_for_the_commit") {
  group_fixture fixture;
  auto db = fixture.open();
  first_write first{db};
  auto second = first.behind(insert(1));
  std::latch inside{1};
  std::latch go_on{1};
  auto last = first.behind([&](write_session& s) {
    inside.count_down();
    go_on.wait();
    return s.execute("INSERT INTO t VALUES (2)");
  });
  first.go_on();
  inside.wait();
  auto closed = std::async(std::launch::async, [&] { return db.close(); });
  wait_until([&] { return db.try_write([](write_session&) {}).error() == db_errc::shutting_down; });
  CHECK_FALSE(is_ready(closed));
  CHECK_FALSE(is_ready(second));
  go_on.count_down();
  CHECK(closed.get().has_value());
  CHECK(first.outcome().has_value());
  CHECK(second.get().has_value());
  CHECK(last.get().has_value());
  CHECK(fixture.committed() == "0 1 2");
}

TEST_CASE("write_group.bounds_out_of_range_are_refused") {
  const sqlite_fixture fixture;
  auto config = fixture.config();
  config.database.group_members = 0;
  CHECK_THROWS_WITH_AS((void)open_sqlite(config), "database_config.group_members is 0; it must be in [1, 10000]", std::invalid_argument);
  config.database.group_members = 1;
  config.database.group_time = 60'001ms;
  CHECK_THROWS_WITH_AS((void)open_sqlite(config), "database_config.group_time is 60001 ms; it must be in [0, 60000]", std::invalid_argument);
}
