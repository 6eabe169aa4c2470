// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/shard_map.hpp>

#include <boost/asio/steady_timer.hpp>

#include <fmt/format.h>

#include <stdexcept>

namespace spillway {

namespace detail {

struct scatter_timer::body {
  boost::asio::steady_timer timer;
};

scatter_timer::scatter_timer() = default;
scatter_timer::~scatter_timer() = default;

void scatter_timer::start(const boost::asio::any_io_executor& executor, time_point at, std::function<void()> function) {
  body_ = std::make_unique<body>(body{boost::asio::steady_timer{executor, at}});
  body_->timer.async_wait([call = std::move(function)](error_code stopped) {
    if (!stopped) call();
  });
}

void scatter_timer::stop() noexcept {
  if (body_) body_->timer.cancel();
}

db_error error_of_shard(std::size_t shard, const db_error& error) { return error.prefixed(fmt::format("shard {}: ", shard)); }

session_options scatter_options(const session_options& options) {
  constexpr std::chrono::seconds usual{5};
  session_options made{options};
  made.until = deadline::after(system_clock_source().now(), options.timeout.value_or(usual)).sooner(options.until);
  made.timeout = std::chrono::nanoseconds::max();
  made.token = nullptr;
  return made;
}

}  // namespace detail

shard_map::shard_map(std::vector<database> shards) : shards_{std::move(shards)} {
  constexpr std::size_t most{1'024};
  if (shards_.empty() || shards_.size() > most) {
    throw std::invalid_argument(fmt::format("shard_map: {} shards; it must be in [1, {}]", shards_.size(), most));
  }
}

result<void, db_error> shard_map::close() {
  result<void, db_error> all;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    const auto closed = shards_[i].close();
    if (!closed && all) all = detail::error_of_shard(i, closed.error());
  }
  return all;
}

}  // namespace spillway
