// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/route_config.hpp"

#include <fmt/format.h>

#include <set>
#include <string_view>

namespace spillway::detail {

namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

/// Keeps the first problem.
class checker {
 public:
  template <class T>
  void in(std::string_view field, T value, T least, T most) {
    if (!(value >= least && value <= most)) refuse(fmt::format("{} is {}; it must be in [{}, {}]", field, value, least, most));  // NaN, too
  }
  void in(std::string_view field, milliseconds value, milliseconds least, milliseconds most) {
    if (value < least || value > most) {
      refuse(fmt::format("{} is {} ms; it must be in [{} ms, {} ms]", field, value.count(), least.count(), most.count()));
    }
  }
  void refuse(std::string text) {
    if (problem_.empty()) problem_ = std::move(text);
  }
  [[nodiscard]] std::string take() noexcept { return std::move(problem_); }

 private:
  std::string problem_;
};

}  // namespace

result<void, std::string> validate(const routing_config& c, const std::vector<routing_node>& nodes) {
  constexpr milliseconds day{24h};
  checker check;
  if (c.system == std::uint64_t{0}) check.refuse("system is 0; it must be above 0, or not given");
  check.in("max_sample_age", c.max_sample_age, 10ms, 10s);
  check.in("replay_wait", c.replay_wait, 0ms, 10s);
  check.in("probe_interval", c.probe_interval, 10ms, 10s);
  if (c.probe_interval >= c.max_sample_age) {
    check.refuse(fmt::format("probe_interval is {} ms; it must be below max_sample_age, {} ms", c.probe_interval.count(), c.max_sample_age.count()));
  }
  check.in("failover_interval", c.failover_interval, 5ms, c.probe_interval);
  check.in("probe_timeout", c.probe_timeout, 10ms, 10s);
  check.in("probe_backoff.base", c.probe_backoff.base, 1ms, day);
  check.in("probe_backoff.cap", c.probe_backoff.cap, c.probe_backoff.base, day);
  check.in("hedge_ratio", c.hedge_ratio, 0.0, 0.5);
  check.in<std::uint32_t>("down_after", c.down_after, 1, 100);
  check.in<std::uint32_t>("eject_after", c.eject_after, 1, 1'000);
  check.in("eject_latency_factor", c.eject_latency_factor, 1.5, 1'000.0);
  check.in("eject_latency_floor", c.eject_latency_floor, 0ms, 1h);
  check.in("ejection.base", c.ejection.base, 1ms, day);
  check.in("ejection.cap", c.ejection.cap, c.ejection.base, day);
  check.in("max_ejected_ratio", c.max_ejected_ratio, 0.0, 1.0);
  check.in("slow_start", c.slow_start, 0ms, 1h);
  check.in("latency_window", c.latency_window, 1ms, 1h);
  check.in<std::size_t>("primary_read_sessions", c.primary_read_sessions, 1, 10'000);
  check.in("fallback_ratio", c.fallback_ratio, 0.0, 1.0);
  check.in("buffer_for", c.buffer_for, 0ms, 10min);
  check.in<std::size_t>("max_buffered", c.max_buffered, 0, 1'000'000);
  check.in("claim_lapse", c.claim_lapse, 1s, day);
  check.in<std::size_t>("nodes size", nodes.size(), 1, most_nodes);
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    check.in<std::size_t>(fmt::format("nodes[{}].name length", i), nodes[i].name.size(), 1, 64);
    check.in(fmt::format("nodes[{}].weight", i), nodes[i].weight, 0.01, 100.0);
    if (!names.insert(nodes[i].name).second) {
      check.refuse(fmt::format("nodes[{}].name is '{}', as that of another node; each must have its own", i, nodes[i].name));
    }
  }
  if (auto problem = check.take(); !problem.empty()) return problem;
  return {};
}

}  // namespace spillway::detail
