// SPDX-License-Identifier: Apache-2.0
// The code of docs/guide/pool.md.
#include <spillway/testing/fake_connector.hpp>
#include <spillway/testing/manual_clock.hpp>
// [includes]
#include <spillway/pool/pool.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

using namespace spillway;
using namespace std::chrono_literals;
namespace asio = boost::asio;
// [includes]
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <string>
#include <thread>

namespace {

struct connection {
  explicit connection(std::string to) : host{std::move(to)} {}
  [[nodiscard]] std::string ask(const std::string& what) const { return host + " says " + what; }
  [[nodiscard]] bool looks_open() const noexcept { return true; }
  void say_goodbye() noexcept {}
  std::string host;
};

result<connection, open_failure> connect(const std::string& host, deadline) {
  // [failure]
  if (host.empty()) return open_failure{error_code{ECONNREFUSED, boost::system::system_category()}, "no host given"};
  // [failure]
  return connection{host};
}

// [connector]
class my_connector final : public blocking_connector<connection> {
 public:
  explicit my_connector(std::string host) : host_{std::move(host)} {}

  result<connection, open_failure> open(deadline until) override { return connect(host_, until); }  // may block until `until`
  bool is_reusable(connection& idle) noexcept override { return idle.looks_open(); }               // a look, no round trip
  bool ping(connection& idle, deadline) override { return !idle.ask("ping").empty(); }              // a round trip
  void close(connection& ended) noexcept override { ended.say_goodbye(); }                          // its destructor runs after this

 private:
  std::string host_;
};
// [connector]

// [coroutine]
asio::awaitable<std::string> report(pool<connection>& connections, deadline until) {
  const acquire_options options{until};
  auto lease = co_await connections.async_acquire(options, asio::use_awaitable);
  if (!lease) co_return lease.error().what();
  co_return (*lease)->ask("hello");
}
// [coroutine]

}  // namespace

TEST_CASE("pool_guide.lends_connections") {
  // [pool]
  pool_config config;
  config.name = "orders";
  config.max = 8;
  config.min = 2;
  config.leak_after = 30s;
  pool<connection> connections{config, std::make_shared<my_connector>("db1")};

  std::string answer;
  if (auto lease = connections.acquire(500ms)) {
    answer = (*lease)->ask("hello");  // given back at the end of the block
  } else {
    answer = lease.error().what();
  }
  // [pool]
  CHECK(answer == "db1 says hello");

  asio::io_context context;
  const auto until = deadline::after(system_clock_source().now(), 1h);
  auto told = asio::co_spawn(context, report(connections, until), asio::use_future);
  context.run();
  CHECK(told.get() == "db1 says hello");

  // [label]
  acquire_options options{500ms};
  options.label = "nightly export";
  auto lease = connections.acquire(options);
  // [label]
  REQUIRE(lease.has_value());
  CHECK(std::string_view{connections.holders().front().label} == "nightly export");

  // [stop]
  lease->release();
  const auto drained = connections.drain_for(10s);
  if (!drained) {
    for (const auto& holder : drained.error().holders()) answer += to_string(holder);  // who still has something
  }
  // [stop]
  CHECK(drained.has_value());
}

TEST_CASE("pool_guide.warms_up") {
  pool_config config;
  config.min = 2;
  pool<connection> connections{config, std::make_shared<my_connector>("db1")};
  // [warm]
  const auto warm = connections.warm_up_for(5s);
  // [warm]
  CHECK(warm.has_value());
}

TEST_CASE("pool_guide.tests_code_that_uses_a_pool") {
  asio::io_context context;
  // [fake]
  testing::manual_clock clock;
  pool_config config;
  config.clock = &clock;
  auto connector = std::make_shared<testing::fake_connector>();
  pool<testing::fake_resource> fakes{config, connector, context.get_executor()};

  CHECK_FALSE(fakes.try_acquire().has_value());  // it has begun to open one
  connector->succeed();
  CHECK(fakes.try_acquire().has_value());
  clock.advance(1h);
  fakes.tick();
  CHECK(connector->open_count() == 0);  // idle for too long
  // [fake]
}
