// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pool/pool_core.hpp"
#include "pool/pool_slot.hpp"

#include <spillway/core/backoff.hpp>
#include <spillway/core/latency_histogram.hpp>
#include <spillway/core/striped_counter.hpp>
#include <spillway/pool/detail/pool_state.hpp>

#include <boost/asio/steady_timer.hpp>

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace spillway::detail {

/// A wait_node and who stands behind it.
class queued_caller : public wait_node {
 public:
  acquire_options options;
  std::uint64_t asked_by{this_thread_number()};
  const bool blocks;  // that thread

  /// Told once, without the pool's lock. `slot` is null if it was refused.
  virtual void answer(pool_slot* slot, pool_error why) noexcept = 0;

 protected:
  queued_caller(const acquire_options& asked, bool blocked) noexcept : options{asked}, blocks{blocked} {}
  ~queued_caller() = default;
};

/// pool_core behind a mutex, with everything it decides carried out after unlocking; and before both, the parking places.
///
/// The gate is zero while nobody waits and the pool is open. Who joins the queue raises it, and then collects what is parked; who parks offers,
/// looks at the gate, and takes back what it offered if that is up. Both are sequentially consistent, so one of the two sees the other.
///
/// Lock order: the mutex is a leaf. Connector, handlers and log sink are called without it, the budget with it.
class pool_state : public std::enable_shared_from_this<pool_state> {
 public:
  /// `timers` runs the timer, `fallback` the handlers that have no executor.
  pool_state(const pool_config& config, std::unique_ptr<erased_connector> connector, const boost::asio::any_io_executor& timers,
             const boost::asio::any_io_executor& fallback);
  pool_state(const pool_state&) = delete;
  pool_state& operator=(const pool_state&) = delete;
  ~pool_state();

  /// The handle is gone: drains, and keeps itself alive until nothing is open. Openings under way are not waited for.
  void abandon();

  /// What this thread parked, if nobody waits.
  pool_slot* take_parked(const acquire_options& options) noexcept;
  [[nodiscard]] bool is_late(const acquire_options& options) const noexcept;
  pool_slot* try_take(const acquire_options& options, pool_errc& why);
  result<pool_slot*, pool_error> take(const acquire_options& options);
  void take_for(std::shared_ptr<async_waiter> waiter, const acquire_options& options, boost::asio::cancellation_slot slot);
  void give_back(pool_slot& slot, bool keep) noexcept;
  bool hand_over(pool_slot& slot) noexcept;
  [[nodiscard]] std::chrono::nanoseconds age_of(const pool_slot& slot) const noexcept { return lent_for(slot); }

  void opened(std::uint64_t attempt, void* resource);
  void open_failed(std::uint64_t attempt, error_code reason, std::string text);
  void pinged(std::uint64_t number, bool alive);

  void tick();
  /// `handler` is posted to its executor.
  void start_milestone(bool drained, std::chrono::nanoseconds timeout, pool_milestone_handler handler);
  /// Blocks.
  result<void, pool_error> await_milestone(bool drained, std::chrono::nanoseconds timeout);
  result<void, std::string> resize(std::size_t min, std::size_t max);
  void invalidate();

  [[nodiscard]] pool_stats stats();
  [[nodiscard]] std::vector<pool_holder> holders();
  [[nodiscard]] const std::string& name() const noexcept { return config_.name; }
  [[nodiscard]] const boost::asio::any_io_executor& executor() const noexcept { return executor_; }

 private:
  struct attempt {
    time_point began;
    deadline until;
    std::uint64_t generation;  // at the beginning: what it brings may be from before an invalidation
    bool lost{false};
  };
  struct ping {
    std::uint64_t number;
    pool_slot* slot;  // null once its slot was given to others; then only the resource is left
    void* resource;
    deadline until;
    bool lost{false};  // its resource is closed when the ping ends
  };
  struct milestone {
    bool drained;
    deadline until;
    std::function<void(result<void, pool_error>)> tell;
    std::uint64_t failures{0};  // of openings, when it was asked for
  };
  struct note {
    log_level level;
    std::string_view message;
    std::vector<std::pair<std::string_view, std::string>> fields;
  };
  class async_caller;
  struct todo;
  using lock = std::unique_lock<std::mutex>;

  [[nodiscard]] time_point now() const noexcept { return clock_.now(); }
  [[nodiscard]] deadline deadline_of(const acquire_options& options, time_point at) const noexcept;
  /// Marks it as lent from now on.
  void lend(pool_slot& slot, const acquire_options& options, std::uint64_t asked_by, tick_source::ticks at) noexcept;
  void end_loan(pool_slot& slot, tick_source::ticks at) noexcept;
  [[nodiscard]] parking_place& my_place() noexcept { return places_[this_thread_stripe()]; }
  [[nodiscard]] bool is_fit(const pool_slot& slot, tick_source::ticks at) const noexcept;

  void cancel(async_caller& caller, std::uint64_t turn);
  [[nodiscard]] std::unique_ptr<async_caller> new_async_caller(const acquire_options& options);
  void recycle(std::unique_ptr<async_caller> caller);
  void give_back_to_core(pool_slot& slot, bool keep) noexcept;
  /// How long ago it came back, and since when it is lent.
  [[nodiscard]] time_point returned_at(const pool_slot& slot, time_point at) const noexcept;
  [[nodiscard]] std::chrono::nanoseconds lent_for(const pool_slot& slot) const noexcept;
  void tell(const note& line) const;

  // With the lock held; those that take it unlock it when they carried out what was decided.
  pool_slot* take_idle(lock& held, pool_core::actions& decided, const acquire_options& options, time_point at);
  [[nodiscard]] std::optional<pool_errc> enqueue(queued_caller& caller, time_point at, pool_core::actions& decided);
  void carry_out(lock& held, pool_core::actions& decided, time_point at);
  void carry_out(lock& held, pool_core::actions& decided, time_point at, todo list);
  void carry_out_unlocked(todo& list);
  void collect_parked(time_point at, pool_core::actions& out);
  void raise_gate();
  void prepare(pool_core::actions& decided, time_point at, todo& list);
  void prepare_openings(pool_core::actions& decided, time_point at, todo& list);
  void add_milestone(milestone added);
  void check_milestones(time_point at, todo& list);
  void end_milestones(todo& list, time_point at);
  void return_leave();
  /// Whether an abandoned pool has to go on: for what is lent or being closed, not for a ping, which may hang.
  [[nodiscard]] bool is_needed() const noexcept { return core_.live() + core_.closing() > pinged_resources(); }
  [[nodiscard]] std::size_t pinged_resources() const noexcept;
  void arm_timer(time_point at);
  void lose_late_work(time_point at, pool_core::actions& out, todo& list);
  void note_down(todo& list, const std::string& why);
  void find_leaks(todo& list);
  [[nodiscard]] bool note_failure(error_code reason, std::string text);
  [[nodiscard]] time_point next_try(time_point at) { return at + backoff_.next(random_); }
  [[nodiscard]] pool_error refusal(pool_errc why, time_point at);
  [[nodiscard]] pool_error timed_out(pool_wait_cause cause, const queued_caller& caller, time_point at);
  [[nodiscard]] pool_error explain(pool_errc why, pool_wait_cause cause, std::chrono::nanoseconds waited, time_point at);
  [[nodiscard]] std::vector<pool_holder> longest_holders(std::size_t most);
  /// Takes the lock itself.
  [[nodiscard]] pool_stats counts(std::vector<const pool_slot*>& slots);
  void count_refusal(pool_errc why, pool_wait_cause cause);

  const clock_source& clock_;
  std::unique_ptr<erased_connector> connector_;
  const bool own_time_;  // the timer follows the system's clock
  const tick_source ticks_;

  alignas(cache_line_bytes) std::atomic<std::size_t> gate_{0};
  std::atomic<std::uint64_t> generation_{0};
  tick_source::ticks ping_after_idle_;

  std::array<parking_place, stripe_count> places_;

  alignas(cache_line_bytes) std::mutex mutex_;
  pool_config config_;
  pool_core core_;
  std::deque<pool_slot> slots_;  // by resource id
  std::map<std::uint64_t, attempt> attempts_;
  std::vector<ping> pings_;
  std::size_t forgotten_{0};  // openings and pings that were given up for good, and have not ended
  std::vector<milestone> milestones_;
  std::vector<std::unique_ptr<async_caller>> spare_callers_;
  std::uint64_t next_attempt_{1};
  std::uint64_t next_ping_{1};
  std::uint64_t next_turn_{1};
  decorrelated_backoff backoff_;
  std::minstd_rand random_;
  error_code down_reason_;
  std::string down_text_;
  bool told_down_{false};
  std::optional<boost::asio::steady_timer> timer_;
  const boost::asio::any_io_executor executor_;
  time_point armed_{time_point::max()};
  time_point next_sweep_{};
  std::chrono::nanoseconds sweep_period_{0};
  std::shared_ptr<pool_state> self_;  // once abandoned

  latency_histogram wait_;
  latency_histogram open_;
  std::uint64_t opened_{0};
  std::uint64_t open_failures_{0};
  std::uint64_t closed_{0};
  std::uint64_t leaks_{0};
  std::array<std::uint64_t, pool_errc_count + 1> refused_{};
  std::array<std::uint64_t, pool_wait_cause_count> timeouts_{};
  std::atomic<std::uint64_t> pings_failed_{0};
};

}  // namespace spillway::detail
