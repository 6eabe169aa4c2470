// SPDX-License-Identifier: Apache-2.0
#include "pg_routed_query.hpp"

#include "../../session_call.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include <utility>

namespace spillway::detail {

namespace {

/// Whether another node may do better.
bool is_of_the_node(const db_error& failure) {
  return failure == db_errc::connection_lost || failure == db_errc::cannot_open || failure == db_errc::busy || failure == db_errc::serialization_failure;
}

}  // namespace

pg_routed_query::pg_routed_query(const std::shared_ptr<pg_cluster>& cluster, std::shared_ptr<query_operation> caller, const read_question& question,
                                 deadline until, const boost::asio::any_io_executor& fallback)
    : cluster_{cluster}, fallback_{fallback}, until_{until}, caller_{std::move(caller)}, work_{caller_->executor(fallback)}, question_{question} {}

bool pg_routed_query::start() {
  auto slot = caller_->cancellation_slot();
  if (slot.is_connected()) {
    slot.assign([weak = weak_from_this()](boost::asio::cancellation_type type) {
      const auto self = weak.lock();
      if (self && type != boost::asio::cancellation_type::none) self->complete(db_errc::cancelled);
    });
  }
  if (!ask(purpose::first)) {
    if (slot.is_connected()) slot.clear();
    return false;
  }
  arm();
  return true;
}

bool pg_routed_query::ask(purpose why) {
  std::shared_ptr<query_operation> caller;
  {
    const std::scoped_lock lock{mutex_};
    if (!caller_ || askings_ >= most_askings) return false;
    caller = caller_;
  }
  const auto now = system_clock_source().now();
  const auto ticket = cluster_->grant_query(question_, now, why == purpose::hedge);
  if (!ticket) return false;
  {
    const std::scoped_lock lock{mutex_};
    question_.tried |= std::uint64_t{1} << ticket->node;
    ++askings_;
    ++under_way_;
  }
  auto handler = [self = shared_from_this(), ticket = *ticket, now](result<row_set, db_error> rows) { self->answered(ticket, now, std::move(rows)); };
  if (cluster_->submit(*ticket, std::make_shared<query_operation>(sql_query{caller->query()}, std::move(handler)), until_)) return true;
  cluster_->finish_query(*ticket, now, query_end::cancelled);
  const std::scoped_lock lock{mutex_};
  --under_way_;
  return false;
}

void pg_routed_query::answered(const route_ticket& ticket, time_point asked, result<row_set, db_error> rows) {
  transaction_end end;
  if (!rows) end.failure = rows.error();
  cluster_->finish_query(ticket, asked, end_of(end));
  {
    const std::scoped_lock lock{mutex_};
    --under_way_;
    if (!caller_) return;
    if (!rows && under_way_ > 0) return;  // the other may still answer
  }
  if (!rows && is_of_the_node(rows.error()) && !until_.passed(system_clock_source().now()) && ask(purpose::instead)) return;
  complete(std::move(rows));
}

void pg_routed_query::arm() {
  const auto delay = cluster_->hedge_delay();
  if (!delay) return;
  const std::scoped_lock lock{mutex_};
  if (!caller_) return;
  timer_ = std::make_unique<boost::asio::steady_timer>(fallback_, *delay);
  timer_->async_wait([weak = weak_from_this()](const boost::system::error_code& stopped) {
    const auto self = weak.lock();
    if (self && !stopped && self->cluster_->may_hedge()) (void)self->ask(purpose::hedge);
  });
}

void pg_routed_query::complete(result<row_set, db_error> rows) {
  std::unique_lock lock{mutex_};
  const auto caller = std::exchange(caller_, nullptr);
  if (!caller) return;
  const auto work = std::move(work_);
  const auto timer = std::move(timer_);
  lock.unlock();
  auto call = [caller, rows = std::move(rows)]() mutable {
    if (auto slot = caller->cancellation_slot(); slot.is_connected()) slot.clear();
    caller->complete_with(std::move(rows));
  };
  if (work.get_executor() == boost::asio::any_completion_executor{fallback_}) {
    boost::asio::post(fallback_, std::move(call));
  } else {
    boost::asio::dispatch(work.get_executor(), std::move(call));
  }
}

}  // namespace spillway::detail
