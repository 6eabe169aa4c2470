// SPDX-License-Identifier: Apache-2.0
#include "pg_driver.hpp"

#include "pg_outcome.hpp"

#include "../../session_call.hpp"

#include <boost/asio/io_context.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <thread>

namespace spillway::detail {

namespace {

using namespace std::chrono_literals;

template <class T>
void require_in(std::string_view field, T value, T least, T most, std::string_view unit = {}) {
  if (value >= least && value <= most) return;
  throw std::invalid_argument(fmt::format("postgres_config.{} is {}{}; it must be in [{}, {}]", field, value, unit, least, most));
}

const postgres_config& validated(const postgres_config& config) {
  require_in<std::size_t>("url length", config.url.size(), 1, 4'096, " bytes");
  require_in<std::size_t>("readers", config.readers, 1, 1'000);
  require_in<std::size_t>("writers", config.writers, 1, 1'000);
  require_in<std::size_t>("query_connections", config.query_connections, 0, 64);
  require_in<std::size_t>("application_name length", config.application_name.size(), 0, 63, " bytes");
  require_in<std::int64_t>("connect_timeout", config.connect_timeout.count(), 1, 3'600'000, " ms");
  require_in<std::size_t>("statement_cache", config.statement_cache, 0, 4'096);
  require_in<std::int64_t>("cancel_timeout", config.cancel_timeout.count(), 1, 60'000, " ms");
  require_in<std::int64_t>("commit_timeout", config.commit_timeout.count(), 1, 86'400'000, " ms");
  require_in<std::int64_t>("max_lifetime", config.max_lifetime.count(), 0, 2'592'000'000, " ms");
  require_in<std::int64_t>("ping_after_idle", config.ping_after_idle.count(), 0, 86'400'000, " ms");
  return config;
}

pg_conninfo conninfo_of(const postgres_config& config) {
  auto parsed = pg_conninfo::parse(config.url, config.application_name);
  if (!parsed) throw std::invalid_argument(fmt::format("postgres_config.url: {}", parsed.error()));
  return std::move(*parsed);
}

}  // namespace

pg_driver::pg_driver(const postgres_config& config, bool in_cluster)
    : config_{validated(config)}, node_{std::make_shared<pg_node>(conninfo_of(config))} {
  node_->in_cluster = in_cluster;
  node_->statement_cache = config.statement_cache;
  node_->connect_timeout = config.connect_timeout;
  node_->answer_timeout = config.commit_timeout;
  node_->clean_timeout = config.cancel_timeout;
}

session_keeping pg_driver::sessions(session_kind kind) const noexcept {
  session_keeping kept;
  kept.max = kind == session_kind::read ? config_.readers : config_.writers;
  kept.min = kind == session_kind::write && node_->in_cluster ? 0 : kept.max;
  kept.connect_timeout = config_.connect_timeout;
  kept.max_lifetime = config_.max_lifetime;
  kept.ping_after_idle = config_.ping_after_idle;
  return kept;
}

result<std::unique_ptr<db_connection>, db_error> pg_driver::open(session_kind kind, deadline until) {
  auto opened = pg_connection::open(node_, kind, until.sooner(deadline::after(system_clock_source().now(), config_.connect_timeout)));
  if (!opened) return opened.error();
  return std::unique_ptr<db_connection>{std::move(*opened)};
}

void pg_driver::clean(db_connection& connection, boost::asio::any_completion_handler<void()> done) {
  cleaner_.clean(static_cast<pg_connection&>(connection), std::move(done));
}

void pg_driver::resolve(db_connection& connection, transaction_end& end, deadline until) noexcept {
  try {
    const auto transaction = pg_transaction::of(static_cast<pg_connection&>(connection));
    if (!transaction) return;
    const auto limit = pg_outcome_limit(until, config_.commit_timeout);
    // As long as it is in progress, and while the server starts again.
    for (auto pause = 5ms; !limit.passed(system_clock_source().now()); pause = std::min(2 * pause, 100ms)) {
      const auto outcome = ask_outcome(node_->info, *transaction, true, limit.sooner(deadline::after(system_clock_source().now(), config_.connect_timeout)));
      if (settle_outcome(outcome.outcome, end)) return;
      std::this_thread::sleep_for(pause);
    }
  } catch (...) {  // then it stays unknown
  }
}

bool pg_driver::async_query(const std::shared_ptr<query_operation>& operation, deadline until) {
  if (config_.query_connections == 0) return false;
  std::shared_ptr<pg_lanes> lanes;
  {
    const std::scoped_lock lock{lanes_mutex_};
    if (draining_) return false;
    if (!lanes_) {
      if (!config_.query_executor) start_lanes_thread();
      pg_lanes_config limits;
      limits.connections = config_.query_connections;
      limits.max_waiting = config_.database.max_waiters;
      limits.max_result_bytes = config_.database.max_result_bytes;
      lanes_ = std::make_shared<pg_lanes>(node_, limits, config_.query_executor ? config_.query_executor : lanes_runner_->executor());
    }
    lanes = lanes_;
  }
  return lanes->submit(operation, until);
}

void pg_driver::start_lanes_thread() {
  io_runner_config one;
  one.threads = 1;
  one.thread_name = "spillway-db-q";
  one.on_exception = exception_report(config_.database);
  lanes_runner_ = std::make_unique<io_runner>(one);
  lanes_runner_->start();
  lanes_context_.store(&lanes_runner_->context(0), std::memory_order_release);
}

void pg_driver::give_up(bool now) {
  node_->given_up.store(now, std::memory_order_relaxed);
  const std::scoped_lock lock{lanes_mutex_};
  if (now && lanes_) lanes_->cut();
}

bool pg_driver::is_own_thread() const noexcept {
  auto* const context = lanes_context_.load(std::memory_order_acquire);
  return context != nullptr && context->get_executor().running_in_this_thread();
}

void pg_driver::drain() {
  const std::scoped_lock lock{lanes_mutex_};
  draining_ = true;
  if (lanes_) lanes_->close();
}

result<void, db_error> pg_driver::close(std::vector<std::unique_ptr<db_connection>>, std::vector<std::unique_ptr<db_connection>>) {
  drain();
  if (lanes_runner_) lanes_runner_->drain();
  cleaner_.stop();
  return {};
}

statement_cache_stats pg_driver::cache_stats() const noexcept {
  const auto& counts = node_->statements;
  return {static_cast<std::uint64_t>(counts.hits.value()), static_cast<std::uint64_t>(counts.misses.value()),
          static_cast<std::uint64_t>(counts.evictions.value())};
}

}  // namespace spillway::detail
