// SPDX-License-Identifier: Apache-2.0
#include "pg_lanes.hpp"

#include "../../tx_retry.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <thread>
#include <tuple>
#include <utility>

namespace spillway::detail {

namespace {

using namespace std::chrono_literals;

/// How late a deadline may be noticed.
constexpr auto sweep_every{5ms};
/// A connection whose server has been at one statement for this long gets nothing more while another one is free.
constexpr auto slow_head{5ms};
/// How long a statement that nobody waits for may still run before it is cancelled.
constexpr auto patience{20ms};

}  // namespace

pg_lanes::pg_lanes(std::shared_ptr<pg_node> node, const pg_lanes_config& config, const boost::asio::any_io_executor& executor)
    : node_{std::move(node)}, config_{config}, executor_{executor}, timer_{executor}, backoff_{{.base = 50ms, .cap = 5'000ms}} {}

bool pg_lanes::submit(const std::shared_ptr<query_operation>& operation, deadline until) {
  const boost::asio::executor_work_guard<boost::asio::any_io_executor> threads_work{executor_};  // closing must not end them between here and the post
  const auto query = std::make_shared<lane_query>(operation, until, executor_);
  auto slot = query->operation->cancellation_slot();
  if (slot.is_connected()) {
    slot.assign([self = weak_from_this(), waiting = std::weak_ptr{query}](boost::asio::cancellation_type type) {
      const auto lanes = self.lock();
      if (!lanes || type == boost::asio::cancellation_type::none) return;
      boost::asio::post(lanes->executor_, [lanes, waiting] { lanes->cancelled(waiting); });
    });
  }
  bool full{false};
  {
    const std::scoped_lock lock{mutex_};
    if (closed_) {
      if (slot.is_connected()) slot.clear();
      return false;
    }
    full = waiting_count_ >= config_.max_waiting + config_.connections * most_in_flight;
    if (!full) {
      ++waiting_count_;
      query->counted = true;
      arrived_.push_back(query);
      if (arrived_.size() > 1) return true;  // whoever came first has posted
    }
  }
  if (full) {
    answer(*query, db_errc::queue_full);
  } else {
    boost::asio::post(executor_, [self = shared_from_this()] { self->take_in(); });
  }
  return true;
}

void pg_lanes::take_in() {
  std::vector<std::shared_ptr<lane_query>> arrived;
  {
    const std::scoped_lock lock{mutex_};
    arrived.swap(arrived_);
  }
  for (auto& query : arrived) {
    watched_.push_back(query);
    queue_.push_back(std::move(query));
  }
  dispatch();
  watch_deadlines();
}

void pg_lanes::dispatch() {
  std::vector<std::shared_ptr<pg_lane>> fed;
  while (!queue_.empty()) {
    if (!queue_.front()->operation) {  // answered while it waited
      queue_.pop_front();
      continue;
    }
    auto* const lane = best_lane();
    if (lane == nullptr) break;
    auto query = std::move(queue_.front());
    queue_.pop_front();
    const auto keep = lane->shared_from_this();
    if (std::ranges::find(fed, keep) == fed.end()) {
      fed.push_back(keep);
      if (!queue_.empty()) lane->gather();
    }
    lane->send(std::move(query));
  }
  for (const auto& lane : fed) lane->flush();
  connect_if_needed();
}

pg_lane* pg_lanes::best_lane() const {
  const auto now = system_clock_source().now();
  const auto load = [now](const pg_lane& lane) {
    return std::tuple{lane.in_flight() > 0 && now - lane.head_since() > slow_head, lane.in_flight()};
  };
  pg_lane* best{nullptr};
  for (const auto& lane : lanes_) {
    if (lane->in_flight() < most_in_flight && (best == nullptr || load(*lane) < load(*best))) best = lane.get();
  }
  return best;
}

void pg_lanes::connect_if_needed() {
  if (lanes_.size() + connecting_ >= config_.connections || connecting_ >= most_connecting) return;
  const bool busy = std::ranges::all_of(lanes_, [](const auto& lane) { return lane->in_flight() > 1; });
  if ((lanes_.empty() && queue_.empty()) || !busy) return;
  if (next_try_ && system_clock_source().now() < *next_try_) {
    if (lanes_.empty()) fail_waiting(last_failure_);
    return;
  }
  ++connecting_;
  // A thread of its own, as resolving a name blocks.
  std::thread{[this, gate = gate_, node = node_] {
    const auto until = deadline::after(system_clock_source().now(), node->connect_timeout);
    auto channel = std::make_shared<result<pg_channel, db_error>>(pg_channel::connect(node->info, session_kind::read, {until, nullptr, node->lost()}));
    const std::scoped_lock lock{gate->mutex};
    if (!gate->open) return;
    boost::asio::post(executor_, [self = shared_from_this(), channel] { self->connected(std::move(*channel)); });
  }}.detach();
}

void pg_lanes::connected(result<pg_channel, db_error> channel) {
  --connecting_;
  {
    const std::scoped_lock lock{gate_->mutex};
    if (!gate_->open) return;  // all is over since this was posted, and nobody would close it
  }
  if (channel) {
    auto lane = std::make_shared<pg_lane>(*this, node_, std::move(*channel), executor_, config_.max_result_bytes);
    if (lane->is_watched()) {
      next_try_.reset();
      backoff_.reset();
      lane->start();
      lanes_.push_back(std::move(lane));
      return dispatch();
    }
    last_failure_ = {db_errc::cannot_open, "no file descriptor is left"};
  } else {
    last_failure_ = channel.error();
  }
  next_try_ = system_clock_source().now() + backoff_.next(pause_generator());
  if (lanes_.empty() && connecting_ == 0) fail_waiting(last_failure_);
}

void pg_lanes::ended(std::shared_ptr<lane_query> query, result<row_set, db_error> rows, bool disturbed) {
  if (!query->operation) return;
  const bool again = disturbed && query->sent < most_sendings && !query->until.passed(system_clock_source().now());
  if (!again) return answer(*query, std::move(rows));
  queue_.push_front(std::move(query));
  boost::asio::post(executor_, [self = shared_from_this()] { self->dispatch(); });
}

void pg_lanes::broke(pg_lane& lane, std::deque<std::shared_ptr<lane_query>> unanswered, db_error why) {
  std::erase_if(lanes_, [&](const auto& each) { return each.get() == &lane; });
  for (auto query = unanswered.rbegin(); query != unanswered.rend(); ++query) {
    if (!(*query)->operation) continue;
    if ((*query)->sent < most_sendings) {
      queue_.push_front(std::move(*query));
    } else {
      answer(**query, why);
    }
  }
  boost::asio::post(executor_, [self = shared_from_this()] { self->dispatch(); });
}

void pg_lanes::answer(lane_query& query, result<row_set, db_error> rows) {
  const auto operation = std::exchange(query.operation, nullptr);
  if (!operation) return;
  if (std::exchange(query.counted, false)) {
    const std::scoped_lock lock{mutex_};
    --waiting_count_;
    if (closed_) boost::asio::post(executor_, [self = shared_from_this()] { self->end_if_idle(); });
  }
  auto complete = [operation, rows = std::move(rows)]() mutable {
    if (auto slot = operation->cancellation_slot(); slot.is_connected()) slot.clear();
    operation->complete_with(std::move(rows));
  };
  const auto work = std::move(query.work);
  if (work.get_executor() == boost::asio::any_completion_executor{executor_}) {
    boost::asio::post(executor_, std::move(complete));  // not from inside this
  } else {
    boost::asio::dispatch(work.get_executor(), std::move(complete));
  }
}

void pg_lanes::cancelled(const std::weak_ptr<lane_query>& waiting) {
  if (const auto query = waiting.lock()) answer(*query, db_errc::cancelled);
  watch_deadlines();
}

void pg_lanes::watch_deadlines() {
  if (timer_runs_ || watched_.empty()) return;
  timer_runs_ = true;
  timer_.expires_after(sweep_every);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& stopped) {
    const auto self = weak.lock();
    if (!self) return;
    self->timer_runs_ = false;
    if (!stopped) self->sweep();
  });
}

void pg_lanes::sweep() {
  const auto now = system_clock_source().now();
  std::erase_if(watched_, [&](const std::weak_ptr<lane_query>& each) {
    const auto query = each.lock();
    if (!query) return true;
    if (query->operation && query->operation->is_abandoned()) answer(*query, db_errc::cancelled);
    if (query->until.passed(now)) answer(*query, db_error{db_errc::timed_out, "the answer did not come in time", 0, {}});
    return false;  // until it is gone: what nobody waits for is cancelled below
  });
  for (const auto& lane : std::vector{lanes_}) {  // a copy, as one may break
    lane->look_again();
    lane->stop_abandoned(canceller_, now, patience);
  }
  std::erase_if(queue_, [](const auto& query) { return !query->operation; });
  watch_deadlines();
  end_if_idle();
}

void pg_lanes::fail_waiting(const db_error& why) {
  for (const auto& query : std::exchange(queue_, {})) answer(*query, why);
}

void pg_lanes::cut() {
  boost::asio::post(executor_, [self = shared_from_this()] {
    for (const auto& lane : std::vector{self->lanes_}) lane->cut();
  });
}

void pg_lanes::close() {
  {
    const std::scoped_lock lock{mutex_};
    if (std::exchange(closed_, true)) return;
  }
  boost::asio::post(executor_, [self = shared_from_this()] {
    self->closing_ = true;
    self->kept_ = self;
    self->end_if_idle();
  });
}

void pg_lanes::end_if_idle() {
  if (!closing_) return;
  const auto keep = shared_from_this();
  {
    const std::scoped_lock lock{mutex_};
    if (waiting_count_ > 0) return;
  }
  {
    const std::scoped_lock lock{gate_->mutex};
    gate_->open = false;
  }
  timer_.cancel();
  for (const auto& lane : std::exchange(lanes_, {})) lane->close();
  kept_.reset();
}

}  // namespace spillway::detail
