// SPDX-License-Identifier: Apache-2.0
#include <spillway/pool/pool.hpp>
#include <spillway/testing/fake_connector.hpp>

#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>

using namespace spillway;
using namespace std::chrono_literals;

TEST_CASE("pool_config.the_defaults_are_valid") { CHECK(validate(pool_config{}).has_value()); }

TEST_CASE("pool_config.every_contradiction_names_field_value_and_range") {
  struct row {
    std::function<void(pool_config&)> change;
    std::string text;
  };
  const row rows[]{
      {[](auto& c) { c.name = ""; }, "pool_config.name length is 0; it must be in [1, 64]"},
      {[](auto& c) { c.max = 0; }, "pool_config.max is 0; it must be in [1, 10000]"},
      {[](auto& c) { c.max = 10'001; }, "pool_config.max is 10001; it must be in [1, 10000]"},
      {[](auto& c) { c.min = 11; }, "pool_config.min is 11; it must be in [0, max], and max is 10"},
      {[](auto& c) { c.min_idle = 11; }, "pool_config.min_idle is 11; it must be in [0, max], and max is 10"},
      {[](auto& c) { c.overflow = 1'001; }, "pool_config.overflow is 1001; it must be in [0, 1000]"},
      {[](auto& c) { c.max_waiters = 1'000'001; }, "pool_config.max_waiters is 1000001; it must be in [0, 1000000]"},
      {[](auto& c) { c.acquire_timeout = 0ms; }, "pool_config.acquire_timeout is 0 ms; it must be in [1 ms, 86400000 ms]"},
      {[](auto& c) { c.acquire_timeout = -1ms; }, "pool_config.acquire_timeout is -1 ms; it must be in [1 ms, 86400000 ms]"},
      {[](auto& c) { c.connect_timeout = 2h; }, "pool_config.connect_timeout is 7200000 ms; it must be in [1 ms, 3600000 ms]"},
      {[](auto& c) { c.ping_timeout = 0ms; }, "pool_config.ping_timeout is 0 ms; it must be in [1 ms, 3600000 ms]"},
      {[](auto& c) { c.max_connecting = 0; }, "pool_config.max_connecting is 0; it must be in [1, 100]"},
      {[](auto& c) { c.reconnect.base = 0ms; }, "pool_config.reconnect.base is 0 ms; it must be in [1 ms, 86400000 ms]"},
      {[](auto& c) { c.reconnect.cap = 5ms; }, "pool_config.reconnect.cap is 5 ms; it must be in [20 ms, 86400000 ms]"},
      {[](auto& c) { c.idle_timeout = -1ms; }, "pool_config.idle_timeout is -1 ms; it must be 0 (never) or in [10 ms, 86400000 ms]"},
      {[](auto& c) { c.max_lifetime = 5ms; }, "pool_config.max_lifetime is 5 ms; it must be 0 (never) or in [10 ms, 2592000000 ms]"},
      {[](auto& c) { c.max_lifetime = 599'999ms; }, "pool_config.max_lifetime is 599999 ms; it must not be below idle_timeout, 600000 ms"},
      {[](auto& c) { c.lifetime_jitter_ratio = 0.95; }, "pool_config.lifetime_jitter_ratio is 0.95; it must be in [0, 0.9]"},
      {[](auto& c) { c.lifetime_jitter_ratio = std::numeric_limits<double>::quiet_NaN(); },
       "pool_config.lifetime_jitter_ratio is nan; it must be in [0, 0.9]"},
      {[](auto& c) { c.ping_after_idle = -1ms; }, "pool_config.ping_after_idle is -1 ms; it must be 0 (never) or in [1 ms, 86400000 ms]"},
      {[](auto& c) { c.keepalive = 9ms; }, "pool_config.keepalive is 9 ms; it must be 0 (never) or in [10 ms, 86400000 ms]"},
      {[](auto& c) { c.slow_acquire = -1ms; }, "pool_config.slow_acquire is -1 ms; it must be 0 (never) or in [1 ms, 86400000 ms]"},
      {[](auto& c) { c.leak_after = -1ms; }, "pool_config.leak_after is -1 ms; it must be 0 (never) or in [1 ms, 2592000000 ms]"},
  };
  boost::asio::io_context context;
  for (const auto& [change, text] : rows) {
    pool_config config;
    change(config);
    CHECK(validate(config).error() == text);
    using fake_pool = pool<testing::fake_resource>;
    CHECK_THROWS_WITH_AS((fake_pool{config, std::make_shared<testing::fake_connector>(), context.get_executor()}), text.c_str(), std::invalid_argument);
  }
}

TEST_CASE("pool_config.a_pool_needs_a_connector") {
  boost::asio::io_context context;
  const std::shared_ptr<testing::fake_connector> none;
  CHECK_THROWS_WITH_AS((pool<testing::fake_resource>{pool_config{}, none, context.get_executor()}), "pool: the connector is null", std::invalid_argument);
}
