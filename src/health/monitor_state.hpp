// SPDX-License-Identifier: Apache-2.0
// The shell of a health monitor: the lock, the checks, and what is to be told to whom.
#pragma once

#include <spillway/health/health_monitor.hpp>

#include "health/check_threads.hpp"
#include "health/health_core.hpp"

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

namespace spillway::detail {

class monitor_driver;
class check_run;

/// One event loop's pulse. What is not constant is guarded by the monitor's lock, but for `last_ns`.
struct heartbeat_cell {
  heartbeat_cell(std::string of, liveness_rule by, boost::asio::any_io_executor on, const clock_source& time);
  void beat() noexcept;
  [[nodiscard]] loop_heartbeat read(time_point now, std::chrono::nanoseconds allowed_age) const noexcept;

  const std::string name;
  const liveness_rule rule;
  const boost::asio::any_io_executor loop;  // empty if the loop beats by itself
  const clock_source& clock;
  std::atomic<std::int64_t> last_ns;
  std::chrono::nanoseconds lag{0};
  bool posted{false};  // a beat is on its way through the loop
};

/// Threads: all. `mutex_` guards everything but the beats of heartbeats; no code of the user runs under it.
class monitor_state : public std::enable_shared_from_this<monitor_state> {
 public:
  using question = std::variant<std::monostate, std::shared_ptr<const blocking_health_check>, std::shared_ptr<const async_health_check>>;

  struct check_snapshot {
    health_check_report report;
    std::array<std::uint64_t, run_outcomes> outcomes;
  };

  monitor_state(health_monitor_config config, const clock_source& clock);

  std::size_t add(const health_check_config& config, question ask);
  std::shared_ptr<heartbeat_cell> add_heartbeat(std::string name, boost::asio::any_io_executor loop, liveness_rule rule);

  /// Makes `driver` the one that drives it, and `executor` a loop that is watched.
  error_code begin_driving(std::shared_ptr<monitor_driver> driver, const boost::asio::any_io_executor& executor);
  time_point poll();
  /// How long the driver waits after poll; none once stopped. Apart, as the clock may be gone when the monitor is.
  [[nodiscard]] std::optional<time_point::duration> time_until(time_point next) const;
  void stop() noexcept;
  void shut_down();

  void finished(std::size_t check, std::uint64_t run, health_result result);
  void reported(std::size_t check, health_result result);

  void set_draining(bool draining) noexcept;
  void set_fatal(std::string why);
  [[nodiscard]] health_report report(health_probe probe) const;
  [[nodiscard]] std::vector<check_snapshot> snapshots() const;
  [[nodiscard]] health_monitor_stats stats() const;

 private:
  struct entry {
    entry(const health_check_config& with, question what) : config{with}, ask{std::move(what)}, core{with} {}
    const health_check_config config;
    const question ask;
    health_core core;
    std::uint64_t run{0};  // number of the newest run; answers of others are ignored
    std::stop_source stop{std::nostopstate};
    std::string message;
    std::chrono::nanoseconds duration{0};
    health_state shown{health_state::unknown};
    wall_time_point changed_at{};
  };
  /// Something to tell, once the lock is released.
  struct news {
    enum class kind : std::uint8_t { changed, hangs, returned } what;
    std::string check;
    health_state from{};
    health_state to{};
    std::string message;
  };
  using launches = std::vector<std::function<void()>>;

  [[nodiscard]] entry* find(const std::string& name);
  void nudge();  // under the lock, so that nothing is posted once `stop` has returned
  void begin_judging();
  void ask_loops(time_point now);
  void loop_ran(heartbeat_cell& cell, time_point asked);
  void begin_run(std::size_t index, time_point now, launches& later);
  bool hand_over(const std::shared_ptr<check_run>& run, const std::shared_ptr<const blocking_health_check>& check,
                 const health_check_context& context);
  void show(entry& one, time_point now);
  void push(news one);
  void deliver();
  void leave_user_code();
  void tell(const news& one);
  [[nodiscard]] time_point next_wake(time_point now) const;
  [[nodiscard]] health_check_report describe(const entry& one, time_point now) const;
  void report_liveness(health_report& to, time_point now) const;
  void report_readiness(health_report& to, time_point now) const;
  void report_startup(health_report& to, time_point now) const;

  const health_monitor_config config_;
  const clock_source& clock_;
  check_threads threads_;

  mutable std::mutex mutex_;
  std::mt19937_64 generator_;
  std::deque<entry> checks_;
  std::vector<std::shared_ptr<heartbeat_cell>> heartbeats_;
  std::weak_ptr<monitor_driver> driver_;
  time_point armed_{time_point::max()};  // when the driver calls next
  bool driven_{false};   // by a driver of ours
  bool judging_{false};  // whether watched loops are asked at all
  bool stopped_{false};
  bool starved_{false};  // a blocking check is due and no thread is free
  bool draining_{false};
  std::optional<std::string> fatal_;
  std::deque<news> news_;
  bool delivering_{false};
  bool closed_{false};  // the monitor is gone: nobody is told anything, and the clock is not read
  std::size_t in_user_code_{0};
  std::condition_variable left_user_code_;
  std::uint64_t lost_changes_{0};
};

}  // namespace spillway::detail
