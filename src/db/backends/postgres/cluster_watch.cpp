// SPDX-License-Identifier: Apache-2.0
#include "cluster_watch.hpp"

#include <algorithm>
#include <exception>

#include <pthread.h>

namespace spillway::detail {

namespace {

std::vector<routing_node> nodes_of(const std::vector<cluster_watch::watched>& nodes) {
  std::vector<routing_node> made;
  for (const auto& each : nodes) made.push_back(each.node);
  return made;
}

}  // namespace

cluster_watch::cluster_watch(const routing_config& config, const std::vector<watched>& nodes, std::function<void(const route_change&)> changed)
    : config_{config}, changed_{std::move(changed)}, core_{config, nodes_of(nodes), system_clock_source().now()}, random_{std::random_device{}()} {
  for (const auto& each : nodes) probers_.push_back(std::make_unique<prober>(each));
}

cluster_watch::~cluster_watch() { stop(); }

void cluster_watch::start() {
  for (node_index i = 0; i < probers_.size(); ++i) probers_[i]->thread = std::thread{[this, i] { ask(i); }};
  thread_ = std::thread{[this] { conduct(); }};
}

void cluster_watch::stop() {
  {
    const std::lock_guard lock{mutex_};
    stopped_ = true;
  }
  news_.notify_all();
  conductor_.notify_all();
  for (const auto& each : probers_) each->asked.notify_all();
  if (thread_.joinable()) thread_.join();
  for (const auto& each : probers_) {
    if (each->thread.joinable()) each->thread.join();
  }
}

void cluster_watch::notice() {
  const auto primary = core_.primary();
  const auto system = core_.system();
  if (core_.epoch() != seen_epoch_ || primary != seen_primary_ || system != seen_system_) {
    seen_epoch_ = core_.epoch();
    seen_primary_ = primary;
    seen_system_ = system;
    ++version_;
    news_.notify_all();
  }
  auto changes = core_.take_changes();
  const bool urgent = !changes.empty() || core_.next_tick() < planned_;
  std::ranges::move(changes, std::back_inserter(changes_));
  if (urgent) conductor_.notify_one();
}

void cluster_watch::conduct() {
  pthread_setname_np(pthread_self(), "spillway-db-r");
  std::vector<node_index> due;
  std::unique_lock lock{mutex_};
  while (!stopped_) {
    due.clear();
    core_.tick(system_clock_source().now(), random_(), due);
    for (const auto node : due) {
      probers_[node]->due = true;
      probers_[node]->asked.notify_one();
    }
    planned_ = time_point::max();  // whatever changes below leads here again
    notice();
    if (!changes_.empty()) {
      const auto changes = std::exchange(changes_, {});
      lock.unlock();
      for (const auto& each : changes) changed_(each);
      lock.lock();
      continue;
    }
    planned_ = core_.next_tick();
    const auto until = std::min(planned_, system_clock_source().now() + std::chrono::seconds{1});
    conductor_.wait_until(lock, until, [this] { return stopped_ || !changes_.empty() || core_.next_tick() < planned_; });
  }
}

void cluster_watch::ask(node_index node) {
  pthread_setname_np(pthread_self(), "spillway-db-p");
  auto& self = *probers_[node];
  std::unique_lock lock{mutex_};
  for (;;) {
    self.asked.wait(lock, [&] { return stopped_ || self.due; });
    if (stopped_) return;
    self.due = false;
    lock.unlock();
    const auto asked = system_clock_source().now();
    result<probe_answer, failed_probe> answer = failed_probe{probe_failure::lost, {}};
    try {
      answer = self.probe.ask(config_.probe_timeout);
    } catch (const std::exception& why) {  // no memory, most likely: it is asked again
      answer = failed_probe{probe_failure::lost, db_error{db_errc::engine_error, why.what()}};
    }
    const auto answered = system_clock_source().now();
    lock.lock();
    const bool first = !std::exchange(self.heard, true);
    if (answer) {
      self.last_failure = {};
      if (answer->role == db_node_role::replica) self.as_standby = *answer;
      core_.probe_answered(node, {asked, answered}, *answer);
    } else {
      // That it is late now says less than why it would not have us before.
      if (answer.error().why != probe_failure::timed_out || !self.last_failure.failed()) self.last_failure = answer.error().error;
      core_.probe_failed(node, answered, answer.error().why, random_());
    }
    notice();
    if (first) news_.notify_all();
  }
}

void cluster_watch::wake() {
  {
    const std::lock_guard lock{mutex_};
    ++version_;
  }
  news_.notify_all();
}

std::uint64_t cluster_watch::version() const {
  const std::lock_guard lock{mutex_};
  return version_;
}

void cluster_watch::wait(std::uint64_t seen, time_point until) {
  std::unique_lock lock{mutex_};
  news_.wait_until(lock, until, [&] { return stopped_ || version_ != seen; });
}

bool cluster_watch::wait_for_all(time_point until) {
  std::unique_lock lock{mutex_};
  return news_.wait_until(lock, until, [&] {
    return stopped_ || std::ranges::all_of(probers_, [](const auto& each) { return each->heard; });
  });
}

probe_answer cluster_watch::last_as_standby(node_index node) const {
  const std::lock_guard lock{mutex_};
  return probers_[node]->as_standby;
}

db_error cluster_watch::last_failure(node_index node) const {
  const std::lock_guard lock{mutex_};
  return probers_[node]->last_failure;
}

}  // namespace spillway::detail
