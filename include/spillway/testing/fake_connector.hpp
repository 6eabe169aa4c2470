// SPDX-License-Identifier: Apache-2.0
/// @file
/// A connector for pools whose every answer is decided by the test.
#pragma once

#include <spillway/pool/pool_connector.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

namespace spillway::testing {

/// What a fake_connector opens: a number, counted from 1.
struct fake_resource {
  int number{0};
};

/// Openings and pings stay pending until the test answers them, unless it asked for answers at once.
///
///     auto connector = std::make_shared<fake_connector>();
///     pool<fake_resource> pool{config, connector, executor};
///     connector->succeed();                     // the first opening that is pending
///     connector->kill(1);                       // resource 1 looks dead from now on
///
/// Threads: every member may be called from any thread.
class fake_connector final : public pool_connector<fake_resource> {
 public:
  // ---- What the test does
  /// From now on openings succeed at once, and pings answer whether the resource was killed.
  void answer_at_once(bool at_once = true) {
    const std::scoped_lock lock{mutex_};
    at_once_ = at_once;
  }
  /// Answers the opening that has been pending longest. False if there is none.
  bool succeed() {
    auto request = pop(opens_);
    if (!request) return false;
    request->succeed(made());
    return true;
  }
  bool fail(open_failure why) {
    auto request = pop(opens_);
    if (!request) return false;
    request->fail(std::move(why));
    return true;
  }
  bool answer_ping(bool alive) {
    auto request = pop(pings_);
    if (!request) return false;
    request->done(alive);
    return true;
  }
  /// The other side has closed it: a peek or ping finds out.
  void kill(int number) {
    const std::scoped_lock lock{mutex_};
    dead_.insert(number);
  }
  void kill_all() {
    const std::scoped_lock lock{mutex_};
    for (const auto number : open_) dead_.insert(number);
  }
  /// The next resources that come back cannot be cleaned.
  void refuse_resets(bool refuse = true) {
    const std::scoped_lock lock{mutex_};
    resets_fail_ = refuse;
  }

  // ---- What the test sees
  [[nodiscard]] std::size_t pending_opens() const {
    const std::scoped_lock lock{mutex_};
    return opens_.size();
  }
  [[nodiscard]] std::size_t pending_pings() const {
    const std::scoped_lock lock{mutex_};
    return pings_.size();
  }
  /// Opened and not closed.
  [[nodiscard]] std::size_t open_count() const {
    const std::scoped_lock lock{mutex_};
    return open_.size();
  }
  /// The most there ever were, those being opened counted too.
  [[nodiscard]] std::size_t most_at_once() const {
    const std::scoped_lock lock{mutex_};
    return most_;
  }
  [[nodiscard]] int opened() const {
    const std::scoped_lock lock{mutex_};
    return last_number_;
  }
  [[nodiscard]] int resets() const {
    const std::scoped_lock lock{mutex_};
    return resets_;
  }

  // ---- What the pool calls
  void open(open_request<fake_resource> request) override {
    std::unique_lock lock{mutex_};
    if (at_once_) {
      lock.unlock();
      request.succeed(made());
      return;
    }
    opens_.push_back(std::make_unique<open_request<fake_resource>>(std::move(request)));
    most_ = std::max(most_, open_.size() + opens_.size());
  }
  bool is_reusable(fake_resource& resource) noexcept override {
    const std::scoped_lock lock{mutex_};
    return !dead_.contains(resource.number);
  }
  void ping(fake_resource& resource, ping_request request) override {
    std::unique_lock lock{mutex_};
    if (at_once_) {
      const bool alive = !dead_.contains(resource.number);
      lock.unlock();
      request.done(alive);
      return;
    }
    pings_.push_back(std::make_unique<ping_request>(std::move(request)));
  }
  bool reset(fake_resource&) noexcept override {
    const std::scoped_lock lock{mutex_};
    ++resets_;
    return !resets_fail_;
  }
  void close(fake_resource& resource) noexcept override {
    const std::scoped_lock lock{mutex_};
    open_.erase(resource.number);
    dead_.erase(resource.number);
  }

 private:
  template <class Request>
  std::unique_ptr<Request> pop(std::deque<std::unique_ptr<Request>>& pending) {
    const std::scoped_lock lock{mutex_};
    if (pending.empty()) return nullptr;
    auto first = std::move(pending.front());
    pending.pop_front();
    return first;
  }
  fake_resource made() {
    const std::scoped_lock lock{mutex_};
    open_.insert(++last_number_);
    most_ = std::max(most_, open_.size() + opens_.size());
    return {last_number_};
  }

  mutable std::mutex mutex_;
  bool at_once_{false};
  bool resets_fail_{false};
  int last_number_{0};
  int resets_{0};
  std::size_t most_{0};
  std::set<int> open_;
  std::set<int> dead_;
  std::deque<std::unique_ptr<open_request<fake_resource>>> opens_;
  std::deque<std::unique_ptr<ping_request>> pings_;
};

}  // namespace spillway::testing
