// SPDX-License-Identifier: Apache-2.0
// What the router knows about one node.
#pragma once

#include "db/backends/postgres/latency_average.hpp"
#include "db/backends/postgres/outlier_rule.hpp"
#include "db/backends/postgres/route_types.hpp"

#include <spillway/core/backoff.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>

namespace spillway::detail {

/// How far a replica had replayed, when that was measured.
struct replay_sample {
  wal_place place;
  measured when;
};

struct route_node {
  route_node(const routing_node& c, const routing_config& config, time_point now)
      : name{c.name}, weight{c.weight}, next_probe{now}, probe_wait{config.probe_backoff}, latency{config.latency_window}, outlier{config} {}

  enum class reach : std::uint8_t { unheard, up, suspect, down };

  std::string name;
  double weight;

  // Does it answer?
  reach state{reach::unheard};
  std::uint32_t silent_probes{0};
  std::uint64_t probe_failures{0};
  time_point silent_since{};
  bool probing{false};
  bool probe_again{false};  // something happened during the probe
  bool foreign_told{false};
  time_point next_probe;
  decorrelated_backoff probe_wait;

  // How far is it? A replica may replay more, never less, as long as its server runs; so a sample from before it may have restarted is void.
  std::optional<replay_sample> replay;
  time_point samples_from{time_point::min()};

  // How does it answer?
  latency_average latency;
  std::size_t in_flight{0};
  std::uint32_t bad_in_a_row{0};
  std::uint64_t judged_at_count{0};  // answers, when its latency was last compared
  ejection outlier;
  std::uint64_t chosen{0};

  /// Takes in a sample, unless it is void or says less than the one there is.
  void note_replay(const wal_place& place, const measured& when);
  /// Its server may be another one from now on.
  void may_have_restarted(time_point now) noexcept {
    replay.reset();
    samples_from = std::max(samples_from, now);
  }
};

}  // namespace spillway::detail
