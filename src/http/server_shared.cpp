// SPDX-License-Identifier: Apache-2.0
#include "server_shared.hpp"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <iterator>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <stdexcept>

namespace spillway::detail {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t most_reported{100};

template <class T>
void check(const char* field, T value, T least, T most, const char* unit = "") {
  if (value < least || value > most) {
    throw std::invalid_argument(
        fmt::format("http_server_config.{} is {}{}; it must be in [{}{}, {}{}]", field, value, unit, least, unit, most, unit));
  }
}

void check(const char* field, std::chrono::milliseconds value, std::chrono::milliseconds least, std::chrono::milliseconds most) {
  check(field, value.count(), least.count(), most.count(), " ms");
}

const http_server_config& checked(const http_server_config& config) {
  check("backlog", config.backlog, 1, 65'535);
  check<std::size_t>("max_connections", config.max_connections, 1, 1'000'000);
  check<std::size_t>("max_target_bytes", config.max_target_bytes, 16, 64 * 1024);
  check<std::size_t>("max_head_bytes", config.max_head_bytes, 256, 1024 * 1024);
  check<std::size_t>("max_headers", config.max_headers, 1, 1000);
  check<std::uint64_t>("max_body_bytes", config.max_body_bytes, 0, std::uint64_t{1} << 40);
  check<std::uint64_t>("max_requests_per_connection", config.max_requests_per_connection, 1, UINT64_MAX);
  check<std::size_t>("max_pipelined", config.max_pipelined, 1, 1024);
  check("idle_timeout", config.idle_timeout, 1ms, 24h);
  check("head_timeout", config.head_timeout, 1ms, 24h);
  check("body_timeout", config.body_timeout, 1ms, 24h);
  check("write_timeout", config.write_timeout, 1ms, 24h);
  check("request_timeout", config.request_timeout, 1ms, 24h);
  check("sweep_interval", config.sweep_interval, 1ms, 1min);
  check("drain_grace", config.drain_grace, 0ms, 1min);
  check("retry_after", config.retry_after, 0ms, 24h);
  check<std::size_t>("strands", config.strands, 0, 1024);
  return config;
}

}  // namespace

void drain_board::wait(handler done, std::size_t lanes, std::uint64_t answered_before) {
  namespace asio = boost::asio;
  const auto executor = asio::get_associated_executor(done, executor_);
  waiter asking{std::move(done), asio::prefer(executor, asio::execution::outstanding_work.tracked), executor_};
  http_drain_report over;
  {
    const std::scoped_lock lock{mutex_};
    if (!begun_ && lanes != 0) {
      begun_ = true;
      lanes_ = lanes;
      answered_before_ = answered_before;
    }
    if (lanes_done_ < lanes_) {
      waiters_.push_back(std::move(asking));
      return;
    }
    over = report_;
  }
  asking.tell(over);
}

void drain_board::lane_done(std::vector<http_unfinished_request> unfinished, const striped_counter& answered) {
  std::vector<waiter> waiters;
  http_drain_report over;
  {
    const std::scoped_lock lock{mutex_};
    report_.unfinished_count += unfinished.size();
    auto& all = report_.unfinished;
    all.insert(all.end(), std::make_move_iterator(unfinished.begin()), std::make_move_iterator(unfinished.end()));
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.age > b.age; });
    if (all.size() > most_reported) all.resize(most_reported);
    if (++lanes_done_ < lanes_ || !begun_) return;
    report_.answered = static_cast<std::uint64_t>(answered.value()) - answered_before_;
    waiters.swap(waiters_);
    over = report_;
  }
  for (auto& one : waiters) one.tell(over);
}

void drain_board::waiter::tell(const http_drain_report& report) {
  auto call = [handler = std::move(done), report]() mutable { std::move(handler)(std::move(report)); };
  boost::asio::post(io_executor, [to = std::move(executor), call = std::move(call)]() mutable { boost::asio::dispatch(to, std::move(call)); });
}

server_shared::server_shared(const http_server_config& given, std::unique_ptr<route_table> routes, const clock_source& time,
                             boost::asio::any_io_executor executor)
    : config{checked(given)},
      clock{time},
      limits{.head = {.target_bytes = config.max_target_bytes, .head_bytes = config.max_head_bytes, .headers = config.max_headers},
             .body_bytes = config.max_body_bytes,
             .requests = config.max_requests_per_connection,
             .pipelined = config.max_pipelined,
             .request_timeout = config.request_timeout,
             .retry_after = config.retry_after},
      timeouts{.idle = config.idle_timeout, .head = config.head_timeout, .body = config.body_timeout, .write = config.write_timeout},
      table{std::move(routes)},
      board{std::move(executor)} {
  table->freeze(config.log);
}

void server_shared::accept_failed(std::string_view why) noexcept {
  counters.accept_failures.add();
  if (!config.log) return;
  const log_field field{"error", why};
  config.log({log_level::warning, "http", "a connection could not be accepted", {&field, 1}});
}

void server_shared::accept_threw() noexcept {
  try {
    throw;
  } catch (const std::exception& thrown) {
    accept_failed(thrown.what());
  } catch (...) {
    accept_failed("unknown exception");
  }
}

}  // namespace spillway::detail
