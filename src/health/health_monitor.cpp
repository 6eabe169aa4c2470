// SPDX-License-Identifier: Apache-2.0
#include <spillway/health/health_monitor.hpp>

#include "health/monitor_driver.hpp"
#include "health/monitor_state.hpp"

#include <boost/system/system_error.hpp>
#include <fmt/format.h>

#include <array>
#include <stdexcept>

namespace spillway {

namespace {

using std::chrono::milliseconds;

template <class Value, class Show>
void field(std::string_view name, Value value, Value least, Value most, std::string_view unit, Show show) {
  if (value < least || value > most) {
    throw std::invalid_argument(fmt::format("health_monitor_config.{} is {}{}; it must be in [{}{}, {}{}]", name, show(value), unit,
                                            show(least), unit, show(most), unit));
  }
}

health_monitor_config checked(health_monitor_config config) {
  const auto count = [](std::size_t value) { return value; };
  const auto ticks = [](milliseconds value) { return value.count(); };
  field<std::size_t>("max_checks", config.max_checks, 1, 10'000, "", count);
  field<std::size_t>("max_threads", config.max_threads, 1, 1'024, "", count);
  field("heartbeat_interval", config.heartbeat_interval, milliseconds{10}, milliseconds{std::chrono::minutes{1}}, " ms", ticks);
  field("max_heartbeat_age", config.max_heartbeat_age, config.heartbeat_interval + milliseconds{1},
        milliseconds{std::chrono::hours{24}}, " ms", ticks);
  field("shutdown_wait", config.shutdown_wait, milliseconds{0}, milliseconds{std::chrono::minutes{1}}, " ms", ticks);
  return config;
}

template <class Function>
std::shared_ptr<const Function> shared(Function check, const std::string& name) {
  if (!check) throw std::invalid_argument(fmt::format("health check '{}' has an empty function", name));
  return std::make_shared<const Function>(std::move(check));
}

}  // namespace

health_reporter::health_reporter(std::weak_ptr<detail::monitor_state> state, std::size_t check) noexcept
    : state_{std::move(state)}, check_{check} {}

void health_reporter::report(health_result result) const {
  if (const auto state = state_.lock()) state->reported(check_, std::move(result));
}

health_heartbeat::health_heartbeat(std::shared_ptr<detail::heartbeat_cell> cell) noexcept : cell_{std::move(cell)} {}
void health_heartbeat::beat() const noexcept { cell_->beat(); }

health_monitor::health_monitor(health_monitor_config config, const clock_source& clock)
    : state_{std::make_shared<detail::monitor_state>(checked(std::move(config)), clock)} {}

health_monitor::~health_monitor() { state_->shut_down(); }

void health_monitor::add(const health_check_config& config, blocking_health_check check) {
  state_->add(config, shared(std::move(check), config.name));
}

void health_monitor::add_async(const health_check_config& config, async_health_check check) {
  state_->add(config, shared(std::move(check), config.name));
}

health_reporter health_monitor::add_reporter(const health_check_config& config) {
  return {state_, state_->add(config, std::monostate{})};
}

void health_monitor::watch_loop(std::string name, boost::asio::any_io_executor loop, liveness_rule rule) {
  if (!loop) throw std::invalid_argument(fmt::format("watch_loop: the executor of '{}' is empty", name));
  state_->add_heartbeat(std::move(name), std::move(loop), rule);
}

health_heartbeat health_monitor::add_heartbeat(std::string name, liveness_rule rule) {
  return health_heartbeat{state_->add_heartbeat(std::move(name), {}, rule)};
}

void health_monitor::start(boost::asio::any_io_executor executor) {
  auto driver = std::make_shared<detail::monitor_driver>(executor, state_, nullptr);
  if (const auto failed = state_->begin_driving(std::move(driver), executor)) {
    throw boost::system::system_error{failed, "health_monitor::start"};
  }
}

void health_monitor::run(boost::asio::any_io_executor executor, boost::asio::any_completion_handler<void(error_code)> handler) {
  auto driver = std::make_shared<detail::monitor_driver>(executor, state_, std::move(handler));
  if (const auto failed = state_->begin_driving(driver, executor)) driver->end(failed);
}

time_point health_monitor::poll() { return state_->poll(); }
void health_monitor::stop() noexcept { state_->stop(); }
void health_monitor::set_draining(bool draining) noexcept { state_->set_draining(draining); }
void health_monitor::set_fatal(std::string why) { state_->set_fatal(std::move(why)); }
health_report health_monitor::report(health_probe probe) const { return state_->report(probe); }
health_monitor_stats health_monitor::stats() const { return state_->stats(); }

void write_metrics(const health_monitor& monitor, std::string_view name, metric_writer& out) {
  const metric_label of_monitor{"monitor", name};
  const std::array<metric_label, 1> alone{of_monitor};
  out.gauge("spillway_health_ready", "Whether the readiness probe is answered with 200.", alone,
            monitor.report(health_probe::readiness).http_status == 200 ? 1 : 0);
  out.gauge("spillway_health_alive", "Whether the liveness probe is answered with 200.", alone,
            monitor.report(health_probe::liveness).http_status == 200 ? 1 : 0);
  out.counter("spillway_health_lost_changes_total", "Changes of state the observer was too slow for.", alone,
              static_cast<double>(monitor.stats().lost_changes));
  for (const auto& [check, outcomes] : monitor.state_->snapshots()) {
    const metric_label of_check{"check", check.name};
    const std::array<metric_label, 2> labels{of_monitor, of_check};
    const bool up = check.state == health_state::ok || check.state == health_state::degraded;
    out.gauge("spillway_health_check_up", "Whether the check is ok or degraded.", labels, up ? 1 : 0);
    for (const auto state : {health_state::ok, health_state::degraded, health_state::failed, health_state::unknown}) {
      const std::array<metric_label, 3> with_state{of_monitor, of_check, {"state", to_string(state)}};
      out.gauge("spillway_health_check_state", "1 for the state the check is in.", with_state, check.state == state ? 1 : 0);
    }
    out.gauge("spillway_health_check_duration_seconds", "How long the last run took.", labels,
              std::chrono::duration<double>{check.duration}.count());
    out.gauge("spillway_health_check_last_change_timestamp_seconds", "When the state last changed, in seconds since 1970.", labels,
              std::chrono::duration<double>{check.changed_at.time_since_epoch()}.count());
    out.gauge("spillway_health_check_hung", "Whether the last run is past its deadline and has not returned.", labels, check.hung ? 1 : 0);
    constexpr std::array<std::string_view, detail::run_outcomes> names{"ok", "degraded", "failed", "unknown", "timed_out"};
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::array<metric_label, 3> with_outcome{of_monitor, of_check, {"outcome", names[i]}};
      out.counter("spillway_health_check_runs_total", "Answers by outcome; a run that hangs counts as timed_out once an interval.",
                  with_outcome, static_cast<double>(outcomes[i]));
    }
  }
}

}  // namespace spillway
