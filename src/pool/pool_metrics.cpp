// SPDX-License-Identifier: Apache-2.0
#include <spillway/pool/pool_stats.hpp>

#include <array>

namespace spillway::detail {

namespace {

using namespace std::chrono_literals;

constexpr std::array<std::chrono::nanoseconds, 12> bounds{10us, 100us, 1ms, 5ms, 10ms, 50ms, 100ms, 500ms, 1s, 5s, 10s, 60s};

}  // namespace

void write_pool_metrics(const pool_stats& stats, std::string_view name, metric_writer& out) {
  const metric_label pool{"pool", name};
  const std::array labels{pool};
  const auto in_state = [&](std::string_view state, std::size_t count) {
    const std::array both{pool, metric_label{"state", state}};
    out.gauge("spillway_pool_resources", "Resources of the pool, by what they do", both, static_cast<double>(count));
  };
  in_state("used", stats.lent);
  in_state("idle", stats.idle);
  in_state("opening", stats.opening);
  in_state("pinging", stats.pinging);
  in_state("closing", stats.closing);
  in_state("lost", stats.lost);
  out.gauge("spillway_pool_max_resources", "Most resources there may be", labels, static_cast<double>(stats.max));
  out.gauge("spillway_pool_overflow_resources", "Most resources there may be on top of that for critical callers", labels,
            static_cast<double>(stats.overflow));
  out.gauge("spillway_pool_min_resources", "Resources kept open", labels, static_cast<double>(stats.min));
  out.gauge("spillway_pool_pending_requests", "Callers waiting for a resource", labels, static_cast<double>(stats.waiting));
  out.gauge("spillway_pool_backend_down", "1 while the last opening failed", labels, stats.down ? 1.0 : 0.0);

  const auto total = [&](std::string_view metric, std::string_view help, std::uint64_t count) {
    out.counter(metric, help, labels, static_cast<double>(count));
  };
  total("spillway_pool_opened_total", "Resources opened", stats.opened);
  total("spillway_pool_closed_total", "Resources closed", stats.closed);
  total("spillway_pool_open_failures_total", "Openings that failed", stats.open_failures);
  total("spillway_pool_failed_checks_total", "Idle resources found dead by a peek or a ping", stats.pings_failed);
  total("spillway_pool_leaks_total", "Loans longer than the time after which they count as leaked", stats.leaks);
  for (std::size_t value = 1; value < stats.refused.size(); ++value) {
    const std::array both{pool, metric_label{"reason", to_string(static_cast<pool_errc>(value))}};
    out.counter("spillway_pool_refusals_total", "Callers that got no resource, by reason", both, static_cast<double>(stats.refused[value]));
  }
  for (std::size_t value = 1; value < stats.timeouts.size(); ++value) {
    const std::array both{pool, metric_label{"cause", to_string(static_cast<pool_wait_cause>(value))}};
    out.counter("spillway_pool_timeouts_total", "Callers whose deadline passed, by what held them up", both, static_cast<double>(stats.timeouts[value]));
  }
  out.histogram("spillway_pool_wait_time_seconds", "Wait for a resource, by those who got one", labels, stats.wait, bounds);
  out.histogram("spillway_pool_use_time_seconds", "From lending to return", labels, stats.hold, bounds);
  out.histogram("spillway_pool_create_time_seconds", "Openings that went well", labels, stats.open, bounds);
}

}  // namespace spillway::detail
