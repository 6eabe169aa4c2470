// SPDX-License-Identifier: Apache-2.0
#include "async_session.hpp"

#include "database_state.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include <utility>

namespace spillway::detail {

async_session::async_session(database_state& state, session_kind kind, std::shared_ptr<session_operation> operation, deadline until,
                             std::string label, const boost::asio::any_io_executor& threads, exception_report report)
    : state_{&state},
      lane_{state.lane(kind)},
      kind_{kind},
      operation_{std::move(operation)},
      control_{until},
      label_{std::move(label)},
      threads_work_{threads},
      handler_work_{operation_->executor(threads)} {
  // The handler's own executor is told by the exception itself.
  if (handler_work_.get_executor() == boost::asio::any_completion_executor{threads}) report_ = std::move(report);
}

void async_session::honour_cancellation() {
  auto slot = operation_->cancellation_slot();
  if (!slot.is_connected()) return;
  // Weak, as the slot may belong to what the handler owns: a coroutine that is destroyed while it waits.
  slot.assign([waiting = weak_from_this()](boost::asio::cancellation_type type) {
    const auto call = waiting.lock();
    if (!call || type == boost::asio::cancellation_type::none) return;
    call->control_.cancelled.store(true, std::memory_order_relaxed);
    call->lane_->cancel(call);
  });
}

void async_session::granted(std::size_t session) {
  boost::asio::post(threads_work_.get_executor(), [call = shared_from_this(), session] {
    auto end = call->state_->run_on(call->kind_, session, call->operation_->task(), call->control_, call->label_);
    call->finish(std::move(end.thrown), std::move(end.failure));
  });
}

// By way of the threads, as this may be the caller's, inside the initiating function.
void async_session::refused(db_errc why) {
  boost::asio::post(threads_work_.get_executor(), [call = shared_from_this(), why] { call->finish({}, why); });
}

void async_session::finish(std::exception_ptr thrown, db_error failure) {
  const auto own_work = std::move(threads_work_);
  boost::asio::dispatch(handler_work_.get_executor(),
                        [call = shared_from_this(), thrown = std::move(thrown), failure = std::move(failure)]() mutable {
                          // The handler may use its slot for what it does next.
                          if (auto slot = call->operation_->cancellation_slot(); slot.is_connected()) slot.clear();
                          const auto operation = std::move(call->operation_);
                          const auto report = std::move(call->report_);
                          call.reset();
                          try {
                            operation->complete(std::move(thrown), std::move(failure));
                          } catch (...) {
                            if (!report) throw;
                            report(std::current_exception());
                          }
                        });
}

void expiry_timer::wake_by(deadline until) {
  const std::scoped_lock lock{mutex_};
  if (stopped_ || until.at() >= armed_.at()) return;
  armed_ = until;
  timer_.expires_at(until.at());
  timer_.async_wait([this](const error_code& failure) {
    if (!failure) woken();
  });
}

void expiry_timer::woken() {
  {
    const std::scoped_lock lock{mutex_};
    armed_ = deadline::never();
  }
  for (const auto& lane : lanes_) {
    if (const auto next = lane->expire()) wake_by(deadline{*next});
  }
}

void expiry_timer::stop() {
  const std::scoped_lock lock{mutex_};
  stopped_ = true;
  timer_.cancel();
}

}  // namespace spillway::detail
