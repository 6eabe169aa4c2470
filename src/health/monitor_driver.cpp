// SPDX-License-Identifier: Apache-2.0
#include "health/monitor_driver.hpp"

#include "health/monitor_state.hpp"

#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

#include <optional>
#include <utility>

namespace spillway::detail {

namespace asio = boost::asio;

monitor_driver::monitor_driver(const asio::any_io_executor& executor, std::weak_ptr<monitor_state> state, handler on_end)
    : strand_{asio::make_strand(executor)}, timer_{strand_}, state_{std::move(state)}, on_end_{std::move(on_end)} {
  if (!on_end_) return;
  work_ = asio::prefer(asio::get_associated_executor(on_end_, executor), asio::execution::outstanding_work.tracked);
}

void monitor_driver::start() {
  if (on_end_) {
    auto slot = asio::get_associated_cancellation_slot(on_end_);
    if (slot.is_connected()) {
      // Stays in the slot after the end, since to take it out would race with a signal from elsewhere. It does no harm there.
      slot.assign([state = state_](asio::cancellation_type) {
        if (const auto held = state.lock()) held->stop();
      });
    }
  }
  asio::post(strand_, [self = shared_from_this()] { self->turn(); });
}

void monitor_driver::turn() {
  const auto state = state_.lock();
  const auto wait = state ? state->time_until(state->poll()) : std::nullopt;
  if (!wait) return end();
  timer_.expires_after(*wait);
  timer_.async_wait([self = shared_from_this()](const error_code& cancelled) {
    if (!cancelled) self->turn();
  });
}

void monitor_driver::nudge() {
  asio::post(strand_, [self = shared_from_this()] {
    // Cancelling finds no wait if the timer has fired already; its turn is then queued behind this one.
    if (self->timer_.cancel() > 0) self->turn();
  });
}

void monitor_driver::end(error_code result) {
  asio::post(strand_, [self = shared_from_this(), result] {
    self->timer_.cancel();
    if (!self->on_end_) return;
    auto ended = std::exchange(self->on_end_, nullptr);
    asio::post(self->strand_.get_inner_executor(), asio::append(std::move(ended), result));
    self->work_ = {};
  });
}

}  // namespace spillway::detail
