// SPDX-License-Identifier: Apache-2.0
#include "db/sqlite_fixture.hpp"

#include <spillway/db/shard_map.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace spillway;
using namespace spillway::tests;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view schema{"CREATE TABLE item (tenant TEXT NOT NULL, n BIGINT NOT NULL)"};

struct shards_fixture {
  std::array<sqlite_fixture, 4> files;
  shard_map map{[this] {
    std::vector<database> made;
    for (auto& file : files) {
      made.push_back(file.open());
      made.back().write([](write_session& s) { return s.execute(schema); }).value();
    }
    return made;
  }()};

  void add(const std::string& tenant, int n) {
    map.on(tenant).write([&](write_session& s) { return s.execute("INSERT INTO item VALUES ($1, $2)", tenant, n); }).value();
  }
};

constexpr auto count_items = [](read_session& s) { return s.query_one<std::int64_t>("SELECT count(*) FROM item").value().value(); };

/// Holds threads until it is opened.
class gate {
 public:
  void pass() {
    std::unique_lock lock{mutex_};
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void open() {
    const std::lock_guard lock{mutex_};
    open_ = true;
    changed_.notify_all();
  }
  void wait_for(int waiting) {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return waiting_ >= waiting; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_{0};
  bool open_{false};
};

/// The shard a session belongs to, as its file says.
std::int64_t marked(read_session& s) { return s.query_one<std::int64_t>("SELECT n FROM item WHERE tenant = 'mark'").value().value(); }

void mark(shards_fixture& shards) {
  for (std::size_t i = 0; i < shards.map.size(); ++i) {
    shards.map.at(i).write([&](write_session& s) { return s.execute("INSERT INTO item VALUES ('mark', $1)", i); }).value();
  }
}

}  // namespace

TEST_CASE("shard_map.keeps a key on one shard and asks all of them together") {
  shards_fixture shards;
  for (int i = 0; i < 100; ++i) shards.add("tenant-" + std::to_string(i), i);
  CHECK(shards.map.size() == 4);
  CHECK(shards.map.shard_of("tenant-1") == shard_key{"tenant-1"}.shard_of(4));
  const auto there = shards.map.on("tenant-1").read([](read_session& s) {
    return s.query_one<int>("SELECT n FROM item WHERE tenant = $1", "tenant-1");
  });
  CHECK(there.value() == 1);

  auto counts = shards.map.scatter(count_items);
  CHECK(counts.complete());
  const auto all = std::move(counts).all().value();
  CHECK(all.size() == 4);
  CHECK(std::accumulate(all.begin(), all.end(), std::int64_t{0}) == 100);
  for (const auto count : all) CHECK(count > 5);  // spread, not heaped
  CHECK(shards.map.close().has_value());
  CHECK(shards.map.scatter(count_items).failed() == 4);
}

TEST_CASE("shard_map.takes 1 to 1024 shards") {
  CHECK_THROWS_WITH_AS(shard_map{std::vector<database>{}}, "shard_map: 0 shards; it must be in [1, 1024]", std::invalid_argument);
}

TEST_CASE("shard_map.one shard that fails leaves the answers of the others, and its error is named") {
  shards_fixture shards;
  shards.map.at(2).write([](write_session& s) { return s.execute("DROP TABLE item"); }).value();
  auto counts = shards.map.scatter([](read_session& s) { return s.query_one<int>("SELECT count(*) FROM item"); });
  CHECK(counts.failed() == 1);
  CHECK(counts.shards()[0].has_value());
  CHECK(counts.shards()[2].error() == db_errc::no_such_object);
  auto copy = counts;
  CHECK(std::move(copy).partial().size() == 3);
  const auto all = std::move(counts).all();
  CHECK(all.error() == db_errc::no_such_object);
  CHECK(all.error().message().starts_with("shard 2: "));
}

TEST_CASE("shard_map.a shard that hangs costs its own answer, at the deadline and no later") {
  shards_fixture shards;
  mark(shards);
  const auto hang = std::make_shared<gate>();
  const auto began = std::chrono::steady_clock::now();
  auto answers = shards.map.scatter([hang](read_session& s) {
    const auto shard = marked(s);
    if (shard == 1) hang->pass();
    return shard;
  }, 100ms);
  CHECK(std::chrono::steady_clock::now() - began >= 100ms);
  CHECK(answers.failed() == 1);
  CHECK(answers.shards()[1].error() == db_errc::timed_out);
  CHECK(answers.shards()[1].error().message() == "no answer by the deadline");
  CHECK(std::move(answers).partial() == std::vector<std::int64_t>{0, 2, 3});
  hang->open();
}

TEST_CASE("shard_map.what the function throws passes to the caller, void functions answer too") {
  shards_fixture shards;
  mark(shards);
  CHECK_THROWS_WITH_AS((void)shards.map.scatter([](read_session& s) {
    if (marked(s) == 3) throw std::runtime_error{"three"};
  }), "three", std::runtime_error);
  std::atomic<int> calls{0};
  const auto touched = shards.map.scatter([&calls](read_session&) { ++calls; });
  CHECK(touched.complete());
  CHECK(calls == 4);
  const auto failed = shards.map.scatter([](read_session& s) { s.query("SELECT absent").value(); });
  CHECK(failed.shards()[0].error() == db_errc::no_such_object);
}

TEST_CASE("shard_map.asks a coroutine's way, and completes at the deadline on its executor") {
  shards_fixture shards;
  mark(shards);
  const auto hang = std::make_shared<gate>();
  boost::asio::io_context context;
  bool done{false};
  const auto talk = [&]() -> boost::asio::awaitable<void> {
    const session_options whole{5s};
    auto counts = co_await shards.map.async_scatter(count_items, whole, boost::asio::use_awaitable);
    CHECK(std::move(counts).all().value() == std::vector<std::int64_t>{1, 1, 1, 1});
    const auto slow = [hang](read_session& s) {
      const auto shard = marked(s);
      if (shard == 0) hang->pass();
      return shard;
    };
    const session_options brief{50ms};
    auto late = co_await shards.map.async_scatter(slow, brief, boost::asio::use_awaitable);
    CHECK(context.get_executor().running_in_this_thread());
    CHECK(std::move(late).partial() == std::vector<std::int64_t>{1, 2, 3});
    const auto bad = [](read_session&) -> int { throw std::runtime_error{"bad"}; };
    bool thrown{false};
    try {
      (void)co_await shards.map.async_scatter(bad, whole, boost::asio::use_awaitable);
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    CHECK(thrown);
    done = true;
  };
  boost::asio::co_spawn(context, talk, boost::asio::detached);
  const auto began = std::chrono::steady_clock::now();
  context.run();  // returns once all is answered: no timer is left to wait for
  CHECK(std::chrono::steady_clock::now() - began < 4s);
  CHECK(done);
  hang->open();
}

TEST_CASE("shard_map.may be asked by many threads at once") {
  shards_fixture shards;
  mark(shards);
  std::vector<std::thread> callers;
  std::atomic<int> complete{0};
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        auto answers = shards.map.scatter(count_items, i % 5 == 0 ? std::chrono::nanoseconds{100us} : std::chrono::nanoseconds{10s});
        CHECK(answers.shards().size() == 4);
        if (answers.complete()) ++complete;
        std::promise<std::size_t> failed;
        shards.map.async_scatter(count_items, 10s, [&](std::exception_ptr, scatter_result<std::int64_t> later) {
          failed.set_value(later.failed());
        });
        CHECK(failed.get_future().get() == 0);
      }
    });
  }
  for (auto& caller : callers) caller.join();
  CHECK(complete >= 160);
}
