// SPDX-License-Identifier: Apache-2.0
/// @file
/// How reads and writes find their way through a primary and its replicas: what that is decided by, and what is known.
#pragma once

#include <spillway/core/backoff.hpp>
#include <spillway/core/export.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

/// Which of several replicas that may serve a read gets it.
enum class read_strategy : std::uint8_t {
  /// Of two at random the one with the lower latency x (in flight + 1); latencies within a factor of 2 count as the same.
  power_of_two,
  round_robin,
  weighted,      ///< At random, in proportion to the weights.
  least_in_use,
};

/// The defaults suit nodes in one data centre.
struct routing_config {
  read_strategy strategy{read_strategy::power_of_two};
  /// The system identifier that all nodes must have. None: that of the node listed first, or, if it is down at the start, the one that all
  /// others agree on. Not 0.
  std::optional<std::uint64_t> system{};

  // Freshness.
  std::chrono::milliseconds max_sample_age{250};     ///< An older sample of a replica proves nothing; it is asked instead. In [10 ms, 10 s].
  std::chrono::milliseconds replay_wait{50};         ///< A replica known to be further behind than this is not waited for. In [0, 10 s].

  // Probes.
  std::chrono::milliseconds probe_interval{150};     ///< Between two probes of a node. In [10 ms, 10 s], below `max_sample_age`.
  std::chrono::milliseconds failover_interval{10};   ///< The same while there is no primary. In [5 ms, probe_interval].
  std::chrono::milliseconds probe_timeout{250};      ///< For the answer to one; twice that if it has to connect first. In [10 ms, 10 s].
  backoff_config probe_backoff{std::chrono::milliseconds{50}, std::chrono::milliseconds{1'000}};  ///< Between probes of a node that fails.
  std::uint32_t down_after{2};                       ///< Probes in a row without an answer. A refused one is enough by itself. In [1, 100].

  // Queries of `async_query` that take long.
  /// Share of them for which a second replica may be asked as well, once they take longer than 97 % of the others, or if more are slow
  /// than that, longer than all but this share: the first answer counts. In [0, 0.5]; 0: none.
  double hedge_ratio{0};

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

/// What a node says of itself.
enum class db_node_role : std::uint8_t { unknown, primary, replica };
[[nodiscard]] SPILLWAY_EXPORT std::string_view to_string(db_node_role role) noexcept;

/// Why no node was given.
enum class db_route_refusal : std::uint8_t {
  none,
  starting,           ///< Not enough nodes have answered yet.
  clusters_disagree,  ///< The nodes belong to different systems, and none of them is named as the right one.
  foreign_token,      ///< The token is of another system. No waiting helps.
  unknown_timeline,   ///< The token is of a timeline newer than any node's.
  no_primary,         ///< No node says that it is one, or the only one is too old.
  primary_down,       ///< It does not answer.
  two_primaries,      ///< Two nodes say so on the same timeline.
  load_cap,           ///< No replica may serve it, and the primary has taken as many of these reads as it may.
  buffer_full,        ///< As many callers are held as may be.
  primary_tried,      ///< Only the primary could serve it, and it was tried.
};
inline constexpr std::size_t db_route_refusals{11};
[[nodiscard]] SPILLWAY_EXPORT std::string_view to_string(db_route_refusal why) noexcept;

/// What a node is to a read, with its demands.
enum class db_node_state : std::uint8_t {
  usable,          ///< Any age will do.
  proven,
  check,
  not_heard,       ///< Has not answered yet.
  down,
  suspect,         ///< Its last probe failed.
  foreign,         ///< Belongs to another system.
  is_primary,
  fenced,          ///< Says that it is the primary, and is not.
  ejected,
  tried,
  other_timeline,  ///< Not known to be on the primary's.
  behind,          ///< Known to be so far behind that waiting does not pay.
  no_comparison,   ///< The primary's place at that moment is not known.
};
[[nodiscard]] SPILLWAY_EXPORT std::string_view to_string(db_node_state state) noexcept;

/// Counts since the start, and what is known of one node now.
struct routing_node_stats {
  std::string name;
  db_node_role role{db_node_role::unknown};
  std::uint64_t system{0};                        ///< The system identifier that it named last; 0: none yet.
  db_node_state state{db_node_state::not_heard};  ///< To a read that any age will do for.
  std::uint32_t timeline{0};
  std::uint64_t position{0};
  std::uint64_t lag_bytes{0};                        ///< Behind the primary's last known place; 0 if either is unknown.
  std::optional<std::chrono::nanoseconds> lag;       ///< A read now is not older than this. None: not known.
  std::chrono::nanoseconds latency{0};
  std::size_t in_flight{0};
  std::uint64_t chosen{0};
  std::uint64_t ejections{0};
  std::uint64_t probe_failures{0};
};

/// The same of the router.
struct routing_stats {
  std::vector<routing_node_stats> nodes;
  std::uint64_t epoch{0};
  std::optional<std::size_t> primary;  ///< Its place in `nodes`, if it is known and answers.
  std::uint64_t system{0};             ///< The system identifier; 0: not known.
  std::uint64_t proven{0};         ///< Reads given to a replica that was known to be fresh.
  std::uint64_t checks{0};         ///< Reads given to a replica that had to be asked.
  std::uint64_t checks_passed{0};
  std::uint64_t checks_missed{0};
  std::uint64_t fallbacks{0};
  std::size_t fallbacks_in_flight{0};
  std::uint64_t hedged{0};             ///< Queries that were asked of a second node as well.
  std::vector<std::uint64_t> refusals;  ///< By db_route_refusal.
};

}  // namespace spillway
