// SPDX-License-Identifier: Apache-2.0
#include <spillway/http/http_server.hpp>

#include "lane.hpp"
#include "listener.hpp"
#include "server_body.hpp"
#include "server_shared.hpp"

#include <spillway/core/io_runner.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <algorithm>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace spillway {

namespace asio = boost::asio;

namespace {

using any_strand = asio::strand<asio::any_io_executor>;

[[nodiscard]] bool runs_here(const asio::io_context::executor_type& executor) noexcept { return executor.running_in_this_thread(); }

/// True on each thread of the context, not just inside the strand. Of contexts other than Asio's own nobody can tell.
[[nodiscard]] bool runs_here(const any_strand& strand) noexcept {
  const auto executor = strand.get_inner_executor();
  const auto* context = executor.target<asio::io_context::executor_type>();
  const auto* pool = executor.target<asio::thread_pool::executor_type>();
  return strand.running_in_this_thread() || (context != nullptr && context->running_in_this_thread()) ||
         (pool != nullptr && pool->running_in_this_thread());
}

/// The server for one type of executor: that of an io_context which one thread runs, so that nothing is erased on the hot path, or a strand over
/// any executor.
template <class Executor>
class server_on final : public detail::server_body {
 public:
  server_on(std::shared_ptr<detail::server_shared> given, std::vector<Executor> executors) : server_body{std::move(given)} {
    for (auto& executor : executors) lanes_.push_back(std::make_shared<detail::lane<Executor>>(std::move(executor), this->shared));
    listener_ = std::make_shared<detail::listener<Executor>>(this->shared, lanes_);
  }

  void start() override {
    const auto endpoint = listener_->listen();
    local = {endpoint.address().to_string(), endpoint.port()};
    for (const auto& one : lanes_) asio::post(one->executor(), [one] { one->start(); });
    asio::co_spawn(lanes_.front()->executor(), detail::listener<Executor>::run(listener_), asio::detached);
  }

  void drain(deadline until) override {
    asio::post(lanes_.front()->executor(), [listening = listener_, until] { listening->drain(until); });
  }

  void stop() override {
    asio::post(lanes_.front()->executor(), [listening = listener_] { listening->stop(); });
    for (const auto& one : lanes_) asio::post(one->executor(), [one] { one->stop(); });
  }

  [[nodiscard]] std::size_t lane_count() const noexcept override { return lanes_.size(); }

  [[nodiscard]] bool on_own_thread() const noexcept override {
    return std::any_of(lanes_.begin(), lanes_.end(), [](const auto& one) { return runs_here(one->executor()); });
  }

 private:
  std::vector<std::shared_ptr<detail::lane<Executor>>> lanes_;
  std::shared_ptr<detail::listener<Executor>> listener_;
};

using detail::server_body;
using life = server_body::life;

std::unique_ptr<server_body> make_on_strands(std::shared_ptr<detail::server_shared> shared, const asio::any_io_executor& executor) {
  auto count = shared->config.strands;
  if (count == 0) count = std::max(1U, std::thread::hardware_concurrency());
  std::vector<any_strand> strands;
  for (std::size_t i = 0; i < count; ++i) strands.emplace_back(executor);
  return std::make_unique<server_on<any_strand>>(std::move(shared), std::move(strands));
}

std::unique_ptr<server_body> make_on_runner(std::shared_ptr<detail::server_shared> shared, io_runner& runner) {
  if (runner.context_count() < runner.thread_count()) return make_on_strands(std::move(shared), runner.context(0).get_executor());
  std::vector<asio::io_context::executor_type> executors;
  for (std::size_t i = 0; i < runner.context_count(); ++i) executors.push_back(runner.context(i).get_executor());
  return std::make_unique<server_on<asio::io_context::executor_type>>(std::move(shared), std::move(executors));
}

}  // namespace

http_server::http_server(const http_server_config& config, http_router router, io_runner& runner, const clock_source& clock)
    : body_{make_on_runner(
          std::make_shared<detail::server_shared>(config, std::move(router.table_), clock, runner.context(0).get_executor()), runner)} {}

http_server::http_server(const http_server_config& config, http_router router, asio::any_io_executor executor, const clock_source& clock)
    : body_{make_on_strands(std::make_shared<detail::server_shared>(config, std::move(router.table_), clock, executor), executor)} {}

http_server::~http_server() { stop(); }

void http_server::start() {
  const std::scoped_lock lock{body_->lifecycle};
  if (body_->state != life::made) throw std::logic_error("http_server: start was called twice, or after stop");
  body_->start();
  body_->state = life::started;
}

http_endpoint http_server::local_endpoint() const { return body_->local; }

void http_server::begin_drain(deadline until, asio::any_completion_handler<void(http_drain_report)> done) {
  auto& shared = *body_->shared;
  const std::scoped_lock lock{body_->lifecycle};
  const bool serving = body_->state == life::started;
  shared.board.wait(std::move(done), serving ? body_->lane_count() : 0, static_cast<std::uint64_t>(shared.counters.answered.value()));
  if (serving) body_->drain(until);
}

http_drain_report http_server::drain(deadline until) {
  if (body_->on_own_thread()) throw std::logic_error("http_server: drain was called on a thread of the server; use async_drain there");
  std::promise<http_drain_report> promise;
  auto future = promise.get_future();
  begin_drain(until, [&promise](http_drain_report report) { promise.set_value(std::move(report)); });
  return future.get();
}

void http_server::stop() noexcept {
  const std::scoped_lock lock{body_->lifecycle};
  if (std::exchange(body_->state, life::stopped) == life::started) body_->stop();
}

http_server_stats http_server::stats() const noexcept {
  const auto& shared = *body_->shared;
  const auto& counters = shared.counters;
  http_server_stats stats;
  stats.connections_open = shared.open.load(std::memory_order_relaxed);
  stats.connections_accepted = static_cast<std::uint64_t>(counters.accepted.value());
  const auto ended = counters.ended.value();  // before `started`, so that the difference is not negative
  stats.requests_active = static_cast<std::uint64_t>(std::max<std::int64_t>(counters.started.value() - ended, 0));
  stats.requests_answered = static_cast<std::uint64_t>(counters.answered.value());
  for (const auto& one : counters.rejected) stats.requests_rejected += static_cast<std::uint64_t>(one.value());
  return stats;
}

}  // namespace spillway
