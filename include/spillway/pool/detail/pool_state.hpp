// SPDX-License-Identifier: Apache-2.0
/// @file
/// The compiled body of every pool, whatever its resources are.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/pool/pool_config.hpp>
#include <spillway/pool/pool_error.hpp>
#include <spillway/pool/pool_stats.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace spillway::detail {

class pool_state;
struct pool_slot;

class open_answer;

/// An opening under way. Answered once, by whichever copy is first; when the last is dropped without an answer it counts as failed.
///
/// Threads: each copy is for one at a time.
class SPILLWAY_EXPORT open_ticket {
 public:
  open_ticket(std::weak_ptr<pool_state> state, std::uint64_t attempt, deadline until);

  [[nodiscard]] deadline until() const noexcept { return until_; }
  /// False if the pool is gone, or has its answer: the resource stays the caller's.
  [[nodiscard]] bool succeed(void* resource);
  void fail(error_code reason, std::string text);

 private:
  std::shared_ptr<open_answer> answer_;
  deadline until_;
};

/// A ping under way. Answered once; dropped without an answer it says no.
///
/// Threads: one at a time.
class SPILLWAY_EXPORT ping_ticket {
 public:
  ping_ticket(std::weak_ptr<pool_state> state, std::uint64_t ping, deadline until) noexcept;
  ping_ticket(ping_ticket&& other) noexcept;
  ping_ticket& operator=(ping_ticket&&) = delete;
  ~ping_ticket();

  [[nodiscard]] deadline until() const noexcept { return until_; }
  void done(bool alive);
  /// How to end the resource if the pool is gone by then: it could not, as the ping had it still.
  void on_orphaned(std::function<void()> end) noexcept { end_ = std::move(end); }

 private:
  std::weak_ptr<pool_state> state_;  // as above
  std::uint64_t ping_;
  deadline until_;
  std::function<void()> end_;
};

/// pool_connector without the type.
class SPILLWAY_EXPORT erased_connector {
 public:
  virtual ~erased_connector();
  virtual void open(open_ticket ticket) = 0;
  virtual bool is_reusable(void* resource) noexcept = 0;
  virtual void ping(void* resource, ping_ticket ticket) = 0;
  virtual bool reset(void* resource) noexcept = 0;
  virtual void close(void* resource) noexcept = 0;
};

/// Someone in the queue who does not block. Exactly one of the two is called, once, without the pool's lock, with the only share of itself: its
/// memory must be free before the handler runs.
class SPILLWAY_EXPORT async_waiter {
 public:
  virtual ~async_waiter();
  virtual void granted(std::shared_ptr<async_waiter> self, pool_slot& slot) = 0;
  virtual void refused(std::shared_ptr<async_waiter> self, pool_error why) = 0;
};

using pool_milestone_handler = boost::asio::any_completion_handler<void(result<void, pool_error>)>;

// What the templates call; all of it may be called from any thread.
SPILLWAY_EXPORT std::shared_ptr<pool_state> make_pool_state(const pool_config& config, std::unique_ptr<erased_connector> connector,
                                                            const boost::asio::any_io_executor& executor);
SPILLWAY_EXPORT pool_slot* try_acquire(pool_state& state, const acquire_options& options, pool_errc& why);
SPILLWAY_EXPORT result<pool_slot*, pool_error> acquire(pool_state& state, const acquire_options& options);
/// Only without waiting for the lock or for others: null sends the caller the longer way.
SPILLWAY_EXPORT pool_slot* acquire_at_once(pool_state& state, const acquire_options& options) noexcept;
SPILLWAY_EXPORT void start_acquire(const std::shared_ptr<pool_state>& state, const acquire_options& options, std::shared_ptr<async_waiter> waiter,
                                   boost::asio::cancellation_slot slot);
SPILLWAY_EXPORT void* resource_of(pool_slot& slot) noexcept;
SPILLWAY_EXPORT std::chrono::nanoseconds age_of(const pool_slot& slot) noexcept;
SPILLWAY_EXPORT void give_back(pool_slot& slot, bool keep) noexcept;
SPILLWAY_EXPORT bool hand_over(pool_slot& slot) noexcept;
/// Where handlers without an executor of their own are called.
SPILLWAY_EXPORT boost::asio::any_io_executor fallback_executor(pool_state& state);

}  // namespace spillway::detail
