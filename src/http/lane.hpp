// SPDX-License-Identifier: Apache-2.0
// The connections that one thread, or one strand, works on.
#pragma once

#include "connection.hpp"
#include "lane_tools.hpp"
#include "server_shared.hpp"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace spillway::detail {

/// Everything but the constructor, `executor` and `shared` runs on the executor, so nothing here is locked.
///
/// States: serving, then draining until there are no connections or the deadline passes, then done; `stop` cuts that short.
template <class Executor>
class lane : public std::enable_shared_from_this<lane<Executor>> {
 public:
  using socket_type = typename connection<Executor>::socket_type;

  lane(Executor executor, std::shared_ptr<server_shared> shared)
      : shared_{std::move(shared)},
        executor_{std::move(executor)},
        services_{.limits = shared_->limits, .table = *shared_->table, .clock = shared_->clock, .date = {}, .ids = {}},
        timer_{executor_} {}

  [[nodiscard]] const Executor& executor() const noexcept { return executor_; }
  [[nodiscard]] server_shared& shared() noexcept { return *shared_; }
  [[nodiscard]] core_services& services() noexcept { return services_; }
  [[nodiscard]] time_point now() const noexcept { return shared_->clock.now(); }
  [[nodiscard]] bool draining() const noexcept { return draining_; }

  void start() { arm(); }

  /// `refused`: it is told that there is no room for it.
  void adopt(socket_type socket, std::string peer, connection_place place, bool refused) noexcept try {
    if (done_) return;
    auto made = std::make_unique<connection<Executor>>(this->shared_from_this(), std::move(socket), std::move(peer), std::move(place));
    boost::asio::co_spawn(executor_, connection<Executor>::run(std::move(made), refused), boost::asio::detached);
  } catch (...) {
    shared_->accept_threw();
  }

  /// After the last `adopt`. A second call can only bring the deadline forward.
  void drain(deadline until) {
    until_ = until_.sooner(until);
    if (draining_) return;
    draining_ = true;
    sweep();
  }

  void stop() {
    if (done_) return;
    draining_ = true;
    finish();
  }

  void enter(connection<Executor>& one) {
    one.index = connections_.size();
    connections_.push_back(&one);
  }
  void leave(connection<Executor>& one) noexcept {
    connections_.back()->index = one.index;
    connections_[one.index] = connections_.back();
    connections_.pop_back();
  }
  /// A connection is gone.
  void left() {
    if (draining_ && !done_ && connections_.empty()) finish();
  }

  void report(const answered_request& one, http_outcome outcome, std::string_view peer, time_point now) noexcept {
    auto& counters = shared_->counters;
    const bool handled = one.stats != nullptr;
    if (handled) {
      counters.ended.add();
      if (one.status != 0) one.stats->record(one.status, now - one.started);
      switch (outcome) {
        case http_outcome::client_gone: counters.client_gone.add(); break;
        case http_outcome::cut_off: counters.cut_off.add(); break;
        default: counters.answered.add(); break;
      }
    } else {
      counters.rejected[static_cast<std::size_t>(one.why)].add();
      outcome = http_outcome::rejected;
    }
    if (!shared_->config.access) return;
    http_access_record record;
    (void)services_.date.text(now, services_.clock);  // so that the calendar time is asked for at `now`, if it has to be
    record.at = services_.date.wall(one.started);
    record.duration = now - one.started;
    record.outcome = outcome;
    record.method = one.method;
    record.status = one.status;
    record.request_bytes = one.request_bytes;
    record.response_bytes = one.response_bytes;
    record.method_name = one.method_name;
    record.route = one.route;
    record.target = one.target;
    record.reason = handled ? std::string_view{} : entry_of(one.why).label;
    record.request_id = {one.id.data(), one.id_size};
    record.peer = peer;
    record.user_agent = one.user_agent;
    shared_->config.access(record);
  }

 private:
  void arm() {
    constexpr std::chrono::milliseconds while_draining{10};
    const auto interval = shared_->config.sweep_interval;
    timer_.expires_after(draining_ ? std::min(interval, while_draining) : interval);
    timer_.async_wait([self = this->shared_from_this()](const boost::system::error_code& ec) {
      if (!ec) self->sweep();
    });
  }

  void sweep() {
    if (done_) return;
    const auto at = now();
    for (auto* one : connections_) one->look(at);
    if (draining_) {
      for (auto* one : connections_) one->look_idle(at);
      if (connections_.empty() || until_.passed(at)) {
        finish();
        return;
      }
    }
    arm();
  }

  /// Cuts off what is left, and reports it.
  void finish() {
    done_ = true;
    timer_.cancel();
    std::vector<http_unfinished_request> unfinished;
    const auto at = now();
    const auto all = connections_;  // a handler that takes its cancellation at once ends its connection, which leaves the list
    for (auto* one : all) {
      const auto phase = one->phase();
      if (phase == connection_phase::body || phase == connection_phase::handling || phase == connection_phase::writing) {
        const auto& request = one->request();
        unfinished.push_back({std::string{request.method_name()}, std::string{request.route()}, std::string{request.request_id()},
                              std::string{request.peer()},
                              std::chrono::duration_cast<std::chrono::milliseconds>(at - request.started())});
      }
      one->cut();
    }
    shared_->board.lane_done(std::move(unfinished), shared_->counters.answered);
  }

  const std::shared_ptr<server_shared> shared_;
  const Executor executor_;
  core_services services_;
  boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor> timer_;
  std::vector<connection<Executor>*> connections_;
  deadline until_;
  bool draining_{false};
  bool done_{false};
};

}  // namespace spillway::detail
