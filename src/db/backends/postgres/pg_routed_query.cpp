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
  std::unique_lock lock{mutex_};
  if (!caller_ || askings_ >= most_askings) return false;
  const auto now = system_clock_source().now();
  const auto ticket = cluster_->grant_query(question_, now, why == purpose::hedge);
  if (!ticket) return false;
  if (why == purpose::hedge && !cluster_->may_hedge()) {
    cluster_->finish_query(*ticket, now, query_end::cancelled);
    return false;
  }
  question_.tried |= std::uint64_t{1} << ticket->node;
  ++askings_;
  auto handler = [self = shared_from_this(), ticket = *ticket, now](result<row_set, db_error> rows) { self->answered(ticket, now, std::move(rows)); };
  const auto asked = std::make_shared<query_operation>(sql_query{caller_->query()}, std::move(handler));
  under_way_.push_back(asked);
  lock.unlock();
  if (cluster_->submit(*ticket, asked, until_)) return true;
  cluster_->finish_query(*ticket, now, query_end::cancelled);
  lock.lock();
  std::erase(under_way_, asked);
  return false;
}

void pg_routed_query::answered(const route_ticket& ticket, time_point asked, result<row_set, db_error> rows) {
  transaction_end end;
  if (!rows) end.failure = rows.error();
  cluster_->finish_query(ticket, asked, end_of(end));
  {
    const std::scoped_lock lock{mutex_};
    ++answers_;
    if (!caller_) return;
    if (!rows && answers_ < under_way_.size()) return;  // the other may still answer
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
    if (self && !stopped) (void)self->ask(purpose::hedge);
  });
}

void pg_routed_query::complete(result<row_set, db_error> rows) {
  std::unique_lock lock{mutex_};
  const auto caller = std::exchange(caller_, nullptr);
  if (!caller) return;
  const auto work = std::move(work_);
  const auto timer = std::move(timer_);
  for (const auto& each : std::exchange(under_way_, {})) each->abandon();  // the one that has answered does not mind
  lock.unlock();
  if (rows || rows.error() == db_errc::timed_out) cluster_->query_took(began_, rows.has_value());
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
