// SPDX-License-Identifier: Apache-2.0
// Servers that freeze, die and change their roles.
#include "db/cluster/cluster_fixture.hpp"
#include "db/backends/postgres/pg_driver.hpp"
#include "db/backends/postgres/pg_outcome.hpp"
#include "db/support/tcp_relay.hpp"

#include <spillway/metrics/metrics_registry.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <vector>

using namespace spillway;
using namespace spillway::tests;

namespace {

std::int64_t count_of(const postgres_cluster& cluster, int node, std::string_view where) {
  return std::stoll(cluster.value("SELECT count(*) FROM entry WHERE " + std::string{where}, node));
}

/// Writes rows one after the other on several threads until told to stop, by `run_tx`; keeps the numbers of those that were committed.
class writers {
 public:
  explicit writers(database& db, int threads = 4) {
    for (int i = 0; i < threads; ++i) {
      threads_.push_back(std::async(std::launch::async, [this, &db, i] {
        std::vector<std::int64_t> committed;
        for (std::int64_t n = 0; !stop_; ++n) {
          const auto id = std::int64_t{i + 1} * 1'000'000'000 + n;
          session_options options{20s};
          const auto done = db.run_tx([&](write_session& s) { return s.execute("INSERT INTO entry (id) VALUES ($1)", id); }, options);
          if (done) {
            committed.push_back(id);
            ++done_count;
          } else if (done.error() == db_errc::commit_unknown) {
            ++unknown;
          } else {
            note_failure(done.error());
          }
        }
        return committed;
      }));
    }
  }
  std::vector<std::int64_t> stop() {
    stop_ = true;
    std::vector<std::int64_t> all;
    for (auto& each : threads_) {
      auto some = each.get();
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }
  /// Until that many more are committed.
  void wait_for(int more) {
    const auto before = done_count.load();
    wait_until([&] { return done_count >= before + more; });
  }
  std::atomic<int> done_count{0};
  std::atomic<int> failed{0};
  std::atomic<int> unknown{0};
  std::string first_failure;  // to be read after `stop`

 private:
  void note_failure(const db_error& failure) {
    const std::scoped_lock lock{mutex_};
    if (failed++ == 0) first_failure = failure.what();
  }

  std::mutex mutex_;
  std::atomic<bool> stop_{false};
  std::vector<std::future<std::vector<std::int64_t>>> threads_;
};

}  // namespace

TEST_CASE("failover.a_planned_switchover_fails_nothing") {
  cluster_fixture fixture;
  auto db = fixture.open();
  make_table(db);
  writers load{db};
  load.wait_for(100);
  // In order: the primary ends, and hands over all that it has.
  fixture.cluster.halt(0, "INT");
  fixture.cluster.promote(1);
  wait_until([&] { return routing_of(db).value().primary == 1U; });
  fixture.cluster.follow(2, 1);
  fixture.cluster.rejoin(0, 1);
  wait_until([&] { return node_of(routing_of(db).value(), "a").role == db_node_role::replica; });
  load.wait_for(100);
  const auto committed = load.stop();
  INFO(load.first_failure);
  CHECK(load.failed.load() == 0);
  // Those in the middle of a commit are looked up on the new primary; where it was not asked in time before it took over, nobody can know.
  const auto there = count_of(fixture.cluster, 1, "true");
  const auto known = static_cast<std::int64_t>(committed.size());
  CHECK(load.unknown.load() <= 4);
  CHECK(there >= known);
  CHECK(there <= known + load.unknown);
  CHECK(committed.size() > 100);
  // The old one serves reads as a replica.
  wait_until([&] { return db.read(server_of).value() == "a"; });
}

TEST_CASE("failover.a_killed_primary_is_replaced_and_never_written_to_again") {
  cluster_fixture fixture;
  auto db = fixture.open();
  make_table(db);
  writers load{db};
  load.wait_for(100);
  fixture.cluster.halt(0, "KILL");
  fixture.cluster.promote(1);
  const auto accepts = std::chrono::steady_clock::now();  // a little later than it does
  wait_until([&] { return routing_of(db).value().primary == 1U; });
  const auto found = std::chrono::steady_clock::now() - accepts;
  MESSAGE("found after " << std::chrono::duration_cast<std::chrono::milliseconds>(found).count() << " ms");
  load.wait_for(100);
  // It comes back as it was, and does not know that it is none any more.
  fixture.cluster.resume(0);
  wait_until([&] { return node_of(routing_of(db).value(), "a").state == db_node_state::fenced; });
  const auto on_old = count_of(fixture.cluster, 0, "true");
  load.wait_for(200);
  CHECK(count_of(fixture.cluster, 0, "true") == on_old);
  CHECK(routing_of(db).value().primary == 1U);
  const auto committed = load.stop();
  INFO(load.first_failure);
  CHECK(load.failed.load() == 0);
  CHECK(committed.size() > 100);
  CHECK(db.write([](write_session& s) { return server_of(s); }).value() == "b");
}

TEST_CASE("failover.reads_go_on_while_a_replica_freezes_and_return_to_it_after") {
  cluster_fixture fixture;
  auto db = fixture.open();
  make_table(db);
  std::atomic<bool> stop{false};
  std::atomic<int> failed{0};
  std::atomic<int> answered{0};
  std::string why;
  std::vector<std::thread> readers;
  for (int i = 0; i < 12; ++i) {  // more than there are sessions to a node
    readers.emplace_back([&, i] {
      while (!stop) {
        if (i % 3 == 0) {
          std::promise<bool> asked;
          db.async_query(sql_query{"SELECT 1"}, 10s, [&](result<row_set, db_error> rows) { asked.set_value(rows.has_value()); });
          if (!asked.get_future().get()) ++failed;
          continue;
        }
        const auto read = db.run_read(server_of, session_options{10s});
        if (read) ++answered;
        else if (failed++ == 0) why = read.error().what();
      }
    });
  }
  wait_until([&] { return answered > 200; });
  fixture.cluster.halt(2, "STOP");
  wait_until([&] {
    const auto state = node_of(routing_of(db).value(), "c").state;
    return state == db_node_state::down || state == db_node_state::ejected;
  });
  const auto then = answered.load();
  wait_until([&] { return answered > then + 200; });
  fixture.cluster.resume(2);
  wait_until([&] { return node_of(routing_of(db).value(), "c").state == db_node_state::usable; });
  const auto chosen = node_of(routing_of(db).value(), "c").chosen;
  wait_until([&] { return node_of(routing_of(db).value(), "c").chosen > chosen + 20; });
  stop = true;
  for (auto& each : readers) each.join();
  INFO(why);
  CHECK(failed.load() == 0);
}

TEST_CASE("failover.reads_go_to_the_primary_when_no_replica_is_left") {
  cluster_fixture fixture{1};
  auto config = fixture.config();
  config.routing.buffer_for = 0ms;
  auto db = open_postgres_cluster(config).value();
  make_table(db);
  CHECK(db.read(server_of).value() == "b");
  fixture.cluster.halt(1, "KILL");
  int served{0};
  for (int i = 0; i < 50; ++i) {
    const auto read = db.run_read(server_of);
    if (read && *read == "a") ++served;
  }
  CHECK(served == 50);
  // And where there is nobody at all, the error says so, at once.
  fixture.cluster.halt(0, "KILL");
  wait_until([&] { return !routing_of(db).value().primary; });
  const auto nobody = db.write([](write_session& s) { return server_of(s); });
  REQUIRE_FALSE(nobody.has_value());
  CHECK(nobody.error() == db_errc::not_primary);
  CHECK(nobody.error().message().find("the primary does not answer") != std::string::npos);
}

TEST_CASE("failover.what_waits_for_a_primary_is_bounded_and_ends") {
  cluster_fixture fixture{1};
  auto config = fixture.config();
  config.routing.buffer_for = 60s;
  config.routing.max_buffered = 2;
  auto db = open_postgres_cluster(config).value();
  make_table(db);
  fixture.cluster.halt(0, "KILL");
  wait_until([&] { return !routing_of(db).value().primary; });
  const auto write = [&](std::int64_t id, session_options options) {
    return db.write([&](write_session& s) { return s.execute("INSERT INTO entry (id) VALUES ($1)", id); }, options);
  };
  auto first = std::async(std::launch::async, [&] { return write(1, session_options{30s}); });
  boost::asio::cancellation_signal give_up;
  boost::asio::thread_pool caller{1};  // where the signal belongs to: there alone it is emitted, and let go of
  std::promise<db_error> second;
  auto nothing = [](write_session&) {};
  db.async_write(nothing, session_options{60s},
                 boost::asio::bind_cancellation_slot(give_up.slot(), boost::asio::bind_executor(caller, [&](std::exception_ptr, result<void, db_error> done) {
                   second.set_value(done.error());
                 })));
  metrics_registry registry;
  const auto binding = bind(registry, "shop", db);
  wait_until([&] { return expose(registry).find("spillway_db_waiting_for_node{database=\"shop\",operation=\"write\"} 2") != std::string::npos; });
  // A third is refused as both wait.
  wait_until([&] { return write(3, session_options{1ms}).error() == db_errc::queue_full; });
  boost::asio::post(caller, [&] { give_up.emit(boost::asio::cancellation_type::total); });
  CHECK(second.get_future().get() == db_errc::cancelled);
  caller.join();
  const auto late = write(4, session_options{50ms});
  REQUIRE_FALSE(late.has_value());
  CHECK(late.error() == db_errc::timed_out);
  fixture.cluster.promote(1);
  CHECK(first.get().has_value());
  CHECK(count_of(fixture.cluster, 1, "id = 1") == 1);
}

TEST_CASE("failover.closing_ends_what_waits_for_a_primary") {
  cluster_fixture fixture{0};
  auto config = fixture.config();
  config.routing.buffer_for = 60s;
  auto db = open_postgres_cluster(config).value();
  fixture.cluster.halt(0, "KILL");
  wait_until([&] { return !routing_of(db).value().primary; });
  auto blocked = std::async(std::launch::async, [&] { return db.write([](write_session&) {}, session_options{60s}); });
  std::promise<db_error> answer;
  auto nothing = [](write_session&) {};
  db.async_write(nothing, session_options{60s}, [&](std::exception_ptr, result<void, db_error> done) { answer.set_value(done.error()); });
  CHECK(db.close().has_value());
  CHECK(blocked.get().error() == db_errc::shutting_down);
  CHECK(answer.get_future().get() == db_errc::shutting_down);
}

TEST_CASE("failover.the_end_of_a_commit_without_an_answer_is_found_out") {
  cluster_fixture fixture{1};
  tcp_relay relay{fixture.cluster.port(0)};
  auto config = fixture.config();
  config.nodes[0].url = "postgresql://spillway@127.0.0.1:" + std::to_string(relay.port()) + "/postgres?sslmode=disable";
  auto db = open_postgres_cluster(config).value();
  make_table(db);
  std::int64_t id{0};
  for (const bool server_hears : {true, false}) {
    ++id;
    int runs{0};
    relay.cut_at(std::string{"COMMIT\0", 7}, server_hears);  // not that of READ COMMITTED
    consistency_token token;
    session_options options{10s};
    options.token = &token;
    const auto done = db.run_tx([&](write_session& s) {
      ++runs;
      return s.execute("INSERT INTO entry (id) VALUES ($1)", id);
    }, options);
    CHECK(done.has_value());
    CHECK_FALSE(token.empty());
    CHECK(db.read([&](read_session& s) { return s.query_one<std::int64_t>("SELECT id FROM entry WHERE id = $1", id).value().has_value(); }, options).value());
    CHECK(runs == (server_hears ? 1 : 2));  // what was not committed is done again, and what was is not
    CHECK(count_of(fixture.cluster, 0, "id = " + std::to_string(id)) == 1);
  }
  CHECK(db.stats().writes.committed >= 3);
}

TEST_CASE("failover.a_commit_that_the_new_primary_knows_of_is_no_word_of_the_old_one") {
  cluster_fixture fixture{1};
  tcp_relay relay{fixture.cluster.port(0)};
  auto config = fixture.config();
  config.nodes[0].url = "postgresql://spillway@127.0.0.1:" + std::to_string(relay.port()) + "/postgres?sslmode=disable";
  config.routing.buffer_for = 60s;
  auto db = open_postgres_cluster(config).value();
  make_table(db);
  wait_until([&] { return fixture.cluster.value("SELECT to_regclass('entry') IS NOT NULL", 1) == "t"; });
  const auto write = [&](std::int64_t id, const std::function<void()>& before_commit) {
    const auto insert = [&](write_session& s) {
      auto done = s.execute("INSERT INTO entry (id) VALUES ($1)", id);
      before_commit();
      return done;
    };
    return db.run_tx(insert, session_options{60s});
  };
  // It commits, the answer is lost, and whoever asks the same server for it does not get there.
  auto unanswered = std::async(std::launch::async, [&] {
    return write(1, [&] {
      relay.lead_to(1);
      relay.cut_at(std::string{"COMMIT\0", 7}, true);
    });
  });
  wait_until([&] { return fixture.cluster.value("SELECT count(*) FROM entry", 1) == "1"; });
  const auto replayed = std::stoull(fixture.cluster.value("SELECT pg_last_wal_replay_lsn() - '0/0'::pg_lsn", 1));
  wait_until([&] { return node_of(routing_of(db).value(), "b").position >= replayed; });
  fixture.cluster.halt(0, "KILL");
  fixture.cluster.promote(1);
  CHECK(unanswered.get().has_value());
  // Were its timeline taken for one that the old primary is on, there would be two of them now.
  CHECK(write(2, [] {}).has_value());
  CHECK(node_of(routing_of(db).value(), "a").timeline == 1);
  CHECK(routing_of(db).value().primary == 1U);
}

TEST_CASE("failover.a_number_that_was_given_out_again_after_a_crash_is_no_answer") {
  cluster_fixture fixture{0};
  postgres_config one;
  one.url = fixture.cluster.url(0);
  detail::pg_driver driver{one};
  const auto opened = driver.open(detail::session_kind::write, deadline::never()).value().release();
  const std::unique_ptr<detail::pg_connection> connection{static_cast<detail::pg_connection*>(opened)};
  fixture.cluster.sql("CREATE TABLE entry (id bigint)");
  const auto status_after = [&](bool crash) {
    detail::statement_control control{deadline::after(std::chrono::steady_clock::now(), 10s)};
    control.transaction.wants_id = true;
    REQUIRE(connection->begin(control));
    detail::dropped_rows sink;
    detail::row_data rows;
    REQUIRE(connection->run("INSERT INTO entry VALUES (1)", {}, rows, sink));
    REQUIRE(connection->commit());
    const auto& text = *connection->transaction_id();
    detail::pg_transaction transaction{std::stoull(text), 1, text.substr(text.rfind('-') + 1)};
    if (crash) {
      fixture.cluster.halt(0, "KILL");
      fixture.cluster.resume(0);
    }
    return detail::ask_outcome(driver.node()->info, transaction, true, deadline::after(std::chrono::steady_clock::now(), 10s)).outcome;
  };
  CHECK(status_after(false) == detail::pg_outcome::committed);
  CHECK(status_after(true) == detail::pg_outcome::forgotten);
}
