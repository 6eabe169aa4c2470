// SPDX-License-Identifier: Apache-2.0
/// @file
/// Runs health checks in the background, and answers probes from memory.
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/core/error.hpp>
#include <spillway/core/export.hpp>
#include <spillway/core/log.hpp>
#include <spillway/core/metric_writer.hpp>
#include <spillway/health/health_check.hpp>
#include <spillway/health/health_error.hpp>
#include <spillway/health/health_report.hpp>
#include <spillway/health/liveness_rule.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace spillway {

namespace detail {
class monitor_state;
struct heartbeat_cell;
}  // namespace detail

/// A check that went from one state to another. The text lives as long as the call.
struct health_change {
  std::string_view check;
  health_state from;
  health_state to;
  std::string_view message;
};

struct health_monitor_config {
  std::size_t max_checks{200};  ///< Checks, and likewise heartbeats, it takes at most. In [1, 10,000].
  /// Threads for blocking checks, made when needed. A check that hangs keeps its thread and delays no other until all
  /// are kept; then blocking checks are not started any more, and become unknown. In [1, 1,024].
  std::size_t max_threads{32};
  /// Runs blocking checks instead, if not empty; a check that hangs then blocks one of its threads.
  boost::asio::any_io_executor blocking_executor{};
  std::chrono::milliseconds heartbeat_interval{1'000};   ///< How often watched loops are asked. In [10 ms, 1 min].
  /// An older heartbeat means a stalled loop. Above heartbeat_interval, at most 1 day.
  std::chrono::milliseconds max_heartbeat_age{10'000};
  std::chrono::milliseconds shutdown_wait{1'000};        ///< How long the destructor waits for blocking checks to return. In [0, 1 min].
  std::optional<std::uint64_t> jitter_seed{};            ///< Makes the intervals' jitter repeatable. None: drawn at random.
  /// Told of each change of state, in order, outside locks and by one thread at a time. It must be quick and not throw.
  std::function<void(const health_change&)> on_change{};
  log_sink log{};  ///< Told of changes, of checks that begin or cease to hang, and of those left behind by the destructor.
};

struct health_monitor_stats {
  std::size_t checks{0};
  std::size_t running{0};  ///< Runs within their deadline.
  std::size_t hung{0};     ///< Runs past their deadline that have not returned. Never above `checks`, as no check runs twice at a time.
  std::uint64_t lost_changes{0};  ///< Changes `on_change` and `log` were too slow for: at most 1,024 wait.
};

/// Hands in what a part of the program knows of itself, instead of being asked. Copies report for the same check.
///
/// Threads:  any.
/// Lifetime: may outlive the monitor; then reports are dropped.
class SPILLWAY_EXPORT health_reporter {
 public:
  void report(health_result result) const;

 private:
  friend class health_monitor;
  health_reporter(std::weak_ptr<detail::monitor_state> state, std::size_t check) noexcept;
  std::weak_ptr<detail::monitor_state> state_;
  std::size_t check_;
};

/// The pulse of an event loop that is not Asio's: beat it from the loop. Copies beat the same one.
///
/// Threads:  any.
/// Lifetime: may outlive the monitor, but not its clock.
/// Cost:     one reading of the clock and an atomic store.
class SPILLWAY_EXPORT health_heartbeat {
 public:
  void beat() const noexcept;

 private:
  friend class health_monitor;
  explicit health_heartbeat(std::shared_ptr<detail::heartbeat_cell> cell) noexcept;
  std::shared_ptr<detail::heartbeat_cell> cell_;
};

/// Runs checks at their intervals, each at most once at a time, and remembers the answers.
///
///     health_monitor health;
///     health.add({.name = "database"}, database_health_check(db));
///     health.watch_loop("http", server_executor);
///     health.start(executor);
///     const health_report report = health.report(health_probe::readiness);
///     reply(report.http_status, to_json(report));
///
/// Threads:  every member may be called from any thread; the destructor from none that runs a check or observer, or drives the monitor.
/// Lifetime: the destructor stops, and waits up to `shutdown_wait` for blocking checks on its own threads; threads of those that
///           hang are left behind with what their functions own. It waits for observers and asynchronous checks to return, however
///           long. Executors handed in live until `stop` has returned; `clock` outlives the monitor, its heartbeats and every check.
/// Errors:   the constructor and members that add throw std::invalid_argument naming the field. A check that throws has failed.
/// Time:     deadlines and ages by `clock`; between runs `start` waits on Asio's steady timer.
/// Cost:     a report is one lock and linear in the number of checks, however many of them hang. No user code runs under the lock.
class SPILLWAY_EXPORT health_monitor {
 public:
  explicit health_monitor(health_monitor_config config = {}, const clock_source& clock = system_clock_source());
  ~health_monitor();
  health_monitor(const health_monitor&) = delete;
  health_monitor& operator=(const health_monitor&) = delete;

  /// A check that may block, run on a thread of the monitor or on `blocking_executor`.
  void add(const health_check_config& config, blocking_health_check check);
  /// A check that completes later, called on the thread that drives the monitor.
  void add_async(const health_check_config& config, async_health_check check);
  /// A part that reports by itself. `interval` and `timeout` only make the default of `stale_after`, `jitter_ratio` is not used.
  [[nodiscard]] health_reporter add_reporter(const health_check_config& config);

  /// Has `loop` beat once the monitor is driven: a small handler is posted to it at each heartbeat_interval, when the one before has
  /// run; none after `stop` has returned. The loop that `start` gets is watched anyway, as `health_monitor`.
  void watch_loop(std::string name, boost::asio::any_io_executor loop, liveness_rule rule = beats_in_time);
  [[nodiscard]] health_heartbeat add_heartbeat(std::string name, liveness_rule rule = beats_in_time);

  /// Drives the monitor on `executor`, which lives until `stop` has returned. Throws boost::system::system_error with
  /// health_errc::already_running or health_errc::stopped.
  void start(boost::asio::any_io_executor executor);

  /// As `start`, and completes with signature void(error_code) once stopped: without an error, or at once with one of the codes above.
  /// Cancellation: all types, the same as `stop`.
  template <boost::asio::completion_token_for<void(error_code)> Token>
  auto async_run(boost::asio::any_io_executor executor, Token&& token) {
    return boost::asio::async_initiate<Token, void(error_code)>(
        [](auto handler, health_monitor* self, boost::asio::any_io_executor on) { self->run(std::move(on), std::move(handler)); }, token,
        this, std::move(executor));
  }

  /// Does what is due now, and says when to be called again at the latest. For programs that drive the monitor by a loop of their
  /// own; `start` does it by a timer.
  time_point poll();

  /// Starts no more checks, and asks those that run to stop. From then on liveness is not judged, and answers become stale. Once it has
  /// returned, whoever else is in it, nothing is posted to any executor.
  void stop() noexcept;

  /// From now on not ready, with reason `draining`, while liveness stays as it is; false takes it back.
  void set_draining(bool draining = true) noexcept;

  /// From now on not alive, for good: for faults that only a restart can mend.
  void set_fatal(std::string why);

  [[nodiscard]] health_report report(health_probe probe) const;

  [[nodiscard]] health_monitor_stats stats() const;

 private:
  friend SPILLWAY_EXPORT void write_metrics(const health_monitor& monitor, std::string_view name, metric_writer& out);
  void run(boost::asio::any_io_executor executor, boost::asio::any_completion_handler<void(error_code)> handler);
  std::shared_ptr<detail::monitor_state> state_;
};

/// spillway_health_* with the label `monitor`: readiness, and for each check its state, last duration, last change, runs by outcome, and
/// whether it hangs.
SPILLWAY_EXPORT void write_metrics(const health_monitor& monitor, std::string_view name, metric_writer& out);

}  // namespace spillway
