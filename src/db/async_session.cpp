// SPDX-License-Identifier: Apache-2.0
#include "async_session.hpp"

#include "database_state.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include <utility>

namespace spillway::detail {

async_session::async_session(database_state& state, session_kind kind, std::shared_ptr<session_operation> operation,
                             const session_options& options, deadline until, const boost::asio::any_io_executor& threads,
                             exception_report report)
    : state_{&state},
      kind_{kind},
      operation_{std::move(operation)},
      control_{until},
      label_{options.label},
      alone_{options.alone},
      where_{options.where},
      threads_work_{threads},
      handler_work_{operation_->executor(threads)} {
  // The handler's own executor is told by the exception itself.
  if (handler_work_.get_executor() == boost::asio::any_completion_executor{threads}) report_ = std::move(report);
}

void async_session::ask(session_pool& sessions) {
  if (auto slot = operation_->cancellation_slot(); slot.is_connected()) {
    // Weak, as the slot may belong to what the handler owns: a coroutine that is destroyed while it waits.
    slot.assign([waiting = weak_from_this()](boost::asio::cancellation_type type) {
      const auto call = waiting.lock();
      if (!call || type == boost::asio::cancellation_type::none) return;
      call->control_.cancelled.store(true, std::memory_order_relaxed);
      call->in_queue_.emit(type);
    });
  }
  acquire_options asked{control_.until, where_};
  asked.timeout = std::chrono::nanoseconds::max();  // `until` alone counts
  auto given = [call = shared_from_this(), &sessions](result<session_lease, pool_error> lease) { call->run(sessions, std::move(lease)); };
  auto on_threads = boost::asio::bind_executor(threads_work_.get_executor(), std::move(given));
  sessions.sessions().async_acquire(asked, boost::asio::bind_cancellation_slot(in_queue_.slot(), std::move(on_threads)));
}

void async_session::refuse(db_errc why) {
  boost::asio::post(threads_work_.get_executor(), [call = shared_from_this(), why] {
    call->end.failure = why;
    call->finish();
  });
}

void async_session::run(session_pool& sessions, result<session_lease, pool_error> given) {
  if (given) {
    waiting_ = shared_from_this();
    if (!state_->run_on(kind_, std::move(*given), operation_->task(), control_, label_, alone_, *this)) return;
    waiting_.reset();
  } else {
    end.failure = sessions.error_of(given.error());
  }
  state_->count_error(outcome());
  finish();
}

void async_session::told(const db_error& failure) noexcept {
  settle(failure);
  state_->count_error(outcome());
  // Not here: handlers may take their time, and others are still to be told.
  boost::asio::post(threads_work_.get_executor(), [call = std::move(waiting_)] { call->finish(); });
}

void async_session::finish() {
  const auto own_work = std::move(threads_work_);
  boost::asio::dispatch(handler_work_.get_executor(),
                        [call = shared_from_this(), thrown = std::move(end.thrown), failure = std::move(end.failure)]() mutable {
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

}  // namespace spillway::detail
