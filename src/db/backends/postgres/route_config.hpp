// SPDX-License-Identifier: Apache-2.0
// What the router decides by.
#pragma once

#include <spillway/core/backoff.hpp>
#include <spillway/core/result.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace spillway::detail {

enum class read_strategy : std::uint8_t {
  power_of_two,  ///< Of two at random the one with the lower latency x (in flight + 1).
  round_robin,
  weighted,      ///< At random, in proportion to the weights.
  least_in_use,
};

struct route_config {
  read_strategy strategy{read_strategy::power_of_two};
  /// The system identifier that all nodes must have. None: that of the node listed first, or, if it is down at the start, the one that all
  /// others agree on. Not 0.
  std::optional<std::uint64_t> system{};

  // Freshness.
  std::chrono::milliseconds max_sample_age{250};     ///< An older sample of a replica proves nothing; it is asked instead. In [10 ms, 10 s].
  std::chrono::milliseconds replay_wait{50};         ///< A replica known to be further behind than this is not waited for. In [0, 10 s].

  // Probes.
  std::chrono::milliseconds probe_interval{150};     ///< Between two probes of a node. In [10 ms, 10 s], below `max_sample_age`.
  std::chrono::milliseconds failover_interval{40};   ///< The same while there is no primary. In [5 ms, probe_interval].
  std::chrono::milliseconds probe_timeout{200};      ///< For the answer to one. In [10 ms, 10 s].
  backoff_config probe_backoff{std::chrono::milliseconds{50}, std::chrono::milliseconds{1'000}};  ///< Between probes of a node that fails.
  std::uint32_t down_after{2};                       ///< Probes in a row without an answer. A refused one is enough by itself. In [1, 100].

  // Replicas that answer badly.
  std::uint32_t eject_after{3};                      ///< Queries in a row that were lost or timed out. In [1, 1'000].
  double eject_latency_factor{8.0};                  ///< Slower than the middle of the others by this factor. In [1.5, 1'000].
  std::chrono::milliseconds eject_latency_floor{20}; ///< Faster than this is never too slow. In [0, 1 h].
  backoff_config ejection{std::chrono::milliseconds{1'000}, std::chrono::milliseconds{30'000}};  ///< How long it stays out, again and again.
  double max_ejected_ratio{0.5};                     ///< Of the replicas, rounded down. In [0, 1].
  std::chrono::milliseconds slow_start{1'000};       ///< Until a replica that came back gets its whole share. In [0, 1 h].
  std::chrono::milliseconds latency_window{1'000};   ///< Over which latencies are averaged. In [1 ms, 1 h].

  // The primary.
  std::size_t primary_read_sessions{8};              ///< How many reads it takes at a time. In [1, 10'000].
  double fallback_ratio{0.5};                        ///< Share of these for reads that no replica may serve, at least one unless 0. In [0, 1].
  std::chrono::milliseconds buffer_for{5'000};       ///< How long callers are held while there is no primary. In [0, 10 min].
  std::size_t max_buffered{1'000};                   ///< Callers held at a time. In [0, 1'000'000].
  std::chrono::milliseconds claim_lapse{30'000};     ///< A node silent for this long no longer counts as a second primary. In [1 s, 1 day].
};

struct route_node_config {
  std::string name;   ///< In logs and metrics: not empty, at most 64 bytes, no two the same.
  double weight{1.0}; ///< In [0.01, 100].
};

inline constexpr std::size_t most_nodes{64};

/// What is wrong: field, value and legal range. None if it can be used.
[[nodiscard]] result<void, std::string> validate(const route_config& config, const std::vector<route_node_config>& nodes);

}  // namespace spillway::detail
