// SPDX-License-Identifier: Apache-2.0
#include "async_session.hpp"

#include "database_state.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <utility>

namespace spillway::detail {

async_session::async_session(database_state& state, session_kind kind, bool again, std::shared_ptr<session_operation> operation,
                             const session_options& options, deadline until, const boost::asio::any_io_executor& threads,
                             exception_report report)
    : state_{&state},
      operation_{std::move(operation)},
      control_{until},
      options_{options},
      search_{kind, options_, until, true},
      threads_work_{threads},
      handler_work_{operation_->executor(threads)} {
  control_.transaction = transaction_options{kind, options};
  control_.transaction.wants_id = again;
  if (again) attempts_.emplace(state.retry(), state.retry_budget());
  // The handler's own executor is told by the exception itself.
  if (handler_work_.get_executor() == boost::asio::any_completion_executor{threads}) report_ = std::move(report);
}

void async_session::start() {
  if (auto slot = operation_->cancellation_slot(); slot.is_connected()) {
    control_.cancellable = true;
    // Weak, as the slot may belong to what the handler owns: a coroutine that is destroyed while it waits.
    slot.assign([waiting = weak_from_this()](boost::asio::cancellation_type type) {
      const auto call = waiting.lock();
      if (!call || type == boost::asio::cancellation_type::none) return;
      call->control_.cancelled.store(true, std::memory_order_relaxed);
      const std::scoped_lock lock{call->waiting_mutex_};
      call->waiting_.emit(type);
    });
  }
  ask();
}

void async_session::ask() {
  const auto step = state_->source().next(search_);
  if (step.refusal.failed()) return end_without_session(step.refusal);
  // A cancellation that came before is seen here, one that comes later by the slot.
  const std::scoped_lock lock{waiting_mutex_};
  if (control_.cancelled.load(std::memory_order_relaxed)) {
    if (step.pool != nullptr) (void)state_->source().refused(search_, pool_error{pool_errc::cancelled});
    return end_without_session(db_errc::cancelled);
  }
  if (step.pool == nullptr) {
    auto again = [call = shared_from_this()] { call->waited(); };
    state_->source().async_wait(step, threads_work_.get_executor(), boost::asio::bind_cancellation_slot(waiting_.slot(), std::move(again)));
    return;
  }
  acquire_options asked{control_.until, options_.where};
  asked.timeout = std::chrono::nanoseconds::max();  // `until` alone counts
  auto given = [call = shared_from_this(), pool = step.pool](result<session_lease, pool_error> lease) { call->run(*pool, std::move(lease)); };
  auto on_threads = boost::asio::bind_executor(threads_work_.get_executor(), std::move(given));
  step.pool->sessions().async_acquire(asked, boost::asio::bind_cancellation_slot(waiting_.slot(), std::move(on_threads)));
}

void async_session::waited() {
  {
    // The slot still points into the timer, which is about to go, and a session that is free at once does not overwrite it.
    const std::scoped_lock lock{waiting_mutex_};
    waiting_.slot().clear();
  }
  ask();
}

void async_session::end_without_session(db_error failure) {
  state_->count_error(failure.code());
  boost::asio::post(threads_work_.get_executor(), [call = shared_from_this(), failure = std::move(failure)] {
    call->end.failure = failure;
    call->finish();
  });
}

void async_session::refuse(db_errc why) {
  boost::asio::post(threads_work_.get_executor(), [call = shared_from_this(), why] {
    call->end.failure = why;
    call->finish();
  });
}

void async_session::run(const session_pool& sessions, result<session_lease, pool_error> given) {
  auto& source = state_->source();
  if (!given) {
    if (source.refused(search_, given.error())) return ask();
    end.failure = sessions.error_of(given.error());
  } else if (!source.accept(search_, *given)) {
    given->release();
    return ask();
  } else {
    kept_ = shared_from_this();
    if (!state_->run_on(search_, std::move(*given), operation_->task(), control_, *this)) return;
    kept_.reset();
  }
  state_->count_error(end.why());
  end_of_run();
}

void async_session::told(const db_error& failure) noexcept {
  settle(failure);
  state_->count_error(end.why());
  // Not here: handlers may take their time, and others are still to be told.
  boost::asio::post(threads_work_.get_executor(), [call = std::move(kept_)] { call->end_of_run(); });
}

void async_session::end_of_run() {
  const auto now = system_clock_source().now();
  const auto pause = attempts_ && !end.thrown ? attempts_->after(end.why(), now, control_.until, pause_generator()) : std::nullopt;
  if (!pause) return finish();
  start_over();
  search_.start_over();
  const auto timer = std::make_shared<boost::asio::steady_timer>(threads_work_.get_executor(), *pause);
  auto again = [call = shared_from_this(), timer](const boost::system::error_code&) { call->waited(); };
  const std::scoped_lock lock{waiting_mutex_};
  timer->async_wait(boost::asio::bind_cancellation_slot(waiting_.slot(), std::move(again)));
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
