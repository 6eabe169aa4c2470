// SPDX-License-Identifier: Apache-2.0
// All that the router decides.
#pragma once

#include "db/backends/postgres/cluster_identity.hpp"
#include "db/backends/postgres/primary_election.hpp"
#include "db/backends/postgres/replica_balance.hpp"
#include "db/backends/postgres/route_config.hpp"
#include "db/backends/postgres/route_node.hpp"
#include "db/backends/postgres/route_types.hpp"
#include "db/backends/postgres/wal_history.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace spillway::detail {

/// Chooses nodes for reads and writes, by what it is told about them. No lock, clock, thread, I/O or randomness of its own; `random` is a
/// uniform draw each time.
///
/// Promises:
///   - a write is given to none but the settled primary, with the epoch it is primary in; `holds` is false from the moment it is not;
///   - a read with demands is given to a replica only as `proven` (a sample of that replica says so, and is not old) or as `check`;
///   - reads that fall back to the primary are never more at a time than the cap; an ejected node is given nothing;
///   - every answer that is not a node says why, and when to ask again.
class route_core {
 public:
  /// Precondition: `validate` finds nothing wrong.
  route_core(const routing_config& config, const std::vector<routing_node>& nodes, time_point now);

  // What has happened.

  /// Appends the nodes to be probed now. Each is to be ended by `probe_answered` or `probe_failed`, after `probe_timeout` at the latest.
  /// Also lets ejected nodes return and ejects slow ones; to be called at `next_tick`, or after anything else here.
  void tick(time_point now, std::uint64_t random, std::vector<node_index>& probe);
  [[nodiscard]] time_point next_tick() const noexcept;

  void probe_answered(node_index node, const measured& when, const probe_answer& answer);
  void probe_failed(node_index node, time_point now, probe_failure why, std::uint64_t random);
  /// A result on a session of this node brought the news, or confirmed, whether it is a standby.
  void role_reported(node_index node, const measured& when, bool is_standby);
  /// A write was refused as in a read-only transaction. `is_standby`: as the session last reported, if the server does; false means the refusal
  /// was the caller's own doing.
  void write_refused(node_index node, const measured& when, std::optional<bool> is_standby);
  /// A replica was asked on a session whether it has replayed `need`; it is at `position`.
  void replay_answered(node_index node, const measured& when, std::uint64_t position, std::uint64_t need);
  /// A commit on this node was followed by asking where the log is.
  void committed(node_index node, const measured& when, const wal_place& place);
  /// What was granted is given back. `took`: none if the time it took says nothing about those to come.
  void finished(const route_ticket& ticket, time_point now, query_end how, std::optional<std::chrono::nanoseconds> took, std::uint64_t random);

  // What is to be done.

  [[nodiscard]] read_answer choose_read(const read_question& question, time_point now, std::uint64_t random);
  /// `held`: callers that wait for a primary already, this one not counted.
  [[nodiscard]] write_answer choose_write(time_point now, std::size_t held);
  /// A session on the primary that was granted by this ticket may still be used. Replicas hold for what they were proven or checked for.
  [[nodiscard]] bool holds(const route_ticket& ticket) const noexcept;

  // What it knows.

  [[nodiscard]] std::uint64_t epoch() const noexcept { return election_.epoch(); }
  /// If settled and not down.
  [[nodiscard]] std::optional<node_index> primary() const noexcept;
  [[nodiscard]] std::optional<std::uint64_t> system() const noexcept { return identity_.system(); }
  /// Why there is none.
  [[nodiscard]] db_route_refusal primary_trouble() const noexcept;
  /// Changes whenever an answer may have changed.
  [[nodiscard]] std::uint64_t revision() const noexcept { return revision_; }
  /// What is worth a log line since the last call, oldest first; the newest 256.
  [[nodiscard]] std::vector<route_change> take_changes();
  /// Each node with its reason, in one line each.
  /// `failures`: of each node why it is silent, if it is.
  [[nodiscard]] std::string explain(const read_question& question, time_point now, std::span<const std::string> failures = {}) const;
  [[nodiscard]] std::uint32_t timeline() const noexcept { return reference_timeline(); }
  [[nodiscard]] routing_stats stats(time_point now) const;

 private:
  using reach = route_node::reach;

  /// What a read asks of a replica.
  struct demand {
    enum class kind : std::uint8_t { none, position, primary, refused };
    kind what{kind::none};
    std::uint64_t position{0};
    db_route_refusal why{db_route_refusal::none};  // of `refused`
    bool no_comparison{false};               // of `primary`: no sample of it is young enough
  };

  [[nodiscard]] std::uint32_t reference_timeline() const noexcept;
  [[nodiscard]] demand demand_of(const read_question& question) const;
  [[nodiscard]] db_node_state verdict_of(node_index node, const read_question& question, const demand& wanted, time_point now) const;
  struct choice {
    node_index node;
    db_node_state verdict;
  };
  [[nodiscard]] choice pick(std::span<const choice> from, time_point now, std::uint64_t random);
  [[nodiscard]] read_answer on_replica(const choice& chosen, const demand& wanted);
  /// Why the primary cannot take a read that fell to it, if so.
  [[nodiscard]] db_route_refusal fallback_refusal(const read_question& question) const noexcept;
  [[nodiscard]] read_answer on_primary(const read_question& question, time_point now);
  /// No node: wait, if the caller would, or refuse.
  [[nodiscard]] read_answer otherwise(db_route_refusal why, const read_question& question, time_point now);
  [[nodiscard]] std::size_t fallback_cap() const noexcept;
  [[nodiscard]] time_point next_news(time_point now) const noexcept;
  [[nodiscard]] bool is_usable_replica(node_index node) const noexcept;

  /// Takes in what the nodes said, as soon as it is known which system counts.
  void place_words();
  void sample_primary(node_index node, const measured& when, const wal_place& place);
  void hear(node_index node, time_point now);
  void may_have_restarted(node_index node, time_point now);
  void probe_now(node_index node, time_point now);
  void eject(node_index node, time_point now, std::uint64_t random);
  void judge_latency(time_point now, std::uint64_t random);
  /// After every event: notices what has changed.
  void settle(time_point now);
  void note(route_change_kind kind, node_index node);
  [[nodiscard]] std::chrono::nanoseconds probe_interval() const noexcept;
  void grant(read_answer& answer, node_index node, route_use use);

  struct last_answer {
    measured when;
    probe_answer said;
  };

  routing_config config_;
  std::vector<route_node> nodes_;
  std::vector<std::optional<last_answer>> unplaced_;
  cluster_identity identity_;
  primary_election election_;
  wal_history history_;  // of the primary, or of the last one
  replica_balance balance_;
  std::optional<time_point> trouble_since_;  // no primary to write to
  std::uint64_t seen_epoch_{0};
  node_index seen_primary_{no_node};
  bool system_told_{false};
  std::uint64_t revision_{0};
  std::vector<route_change> changes_;
  std::size_t fallbacks_in_flight_{0};
  routing_stats counted_;
};

}  // namespace spillway::detail
