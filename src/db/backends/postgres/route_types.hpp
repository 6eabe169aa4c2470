// SPDX-License-Identifier: Apache-2.0
// The words in which the router is told and answers.
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/db/consistency_token.hpp>
#include <spillway/db/routing.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::detail {

/// A node is its place in the list of the configuration.
using node_index = std::uint32_t;
inline constexpr node_index no_node{0xffff'ffffU};

/// A place in the write-ahead log.
struct wal_place {
  std::uint32_t timeline{0};
  std::uint64_t position{0};
  friend bool operator==(const wal_place&, const wal_place&) = default;
};

/// When the server measured something: at some moment between these two.
struct measured {
  time_point asked;
  time_point answered;
  /// Certainly measured later than the other.
  [[nodiscard]] bool surely_after(const measured& other) const noexcept { return asked >= other.answered; }
};

/// What a node says when asked.
struct probe_answer {
  db_node_role role{db_node_role::unknown};
  std::uint64_t system{0};
  /// A primary: exactly where its log is, flushed. A replica: at least this timeline, replayed to here.
  wal_place place;
  /// A replica: every transaction with a lower number was begun on what this replica has; its primary, if it becomes that, gives out none of them again.
  std::uint64_t next_transaction{0};
};

enum class probe_failure : std::uint8_t {
  refused,    ///< Certainly not serving: connection refused, starting up, shutting down.
  timed_out,
  lost,       ///< The connection broke.
  forbidden,  ///< Wrong credentials, no such database, no right to connect.
};

/// How a query that was given to a node ended.
enum class query_end : std::uint8_t {
  answered,   ///< With rows or with an error of its own making: the node is well.
  lost,       ///< The connection broke.
  timed_out,
  cancelled,  ///< By the caller; says nothing about the node.
};

enum class route_use : std::uint8_t {
  replica_read,
  primary_read,   ///< As the caller wished.
  fallback_read,  ///< On the primary, because no replica may serve it. Counted against the cap.
  write,
};

/// What is granted, and to be given back by `finished`.
struct route_ticket {
  node_index node{no_node};
  std::uint64_t epoch{0};
  route_use use{route_use::replica_read};
};

enum class read_preference : std::uint8_t { replica, primary };

/// What a caller wants to read.
struct read_question {
  consistency_token token;
  /// The read must see all that was committed before this moment: the time of the call less `max_staleness`. None: any age will do.
  std::optional<time_point> fresh_as_of;
  read_preference prefer{read_preference::replica};
  std::uint64_t tried{0};      ///< Nodes that are not to be given again, one bit each.
  time_point may_wait_until{}; ///< How long the caller would wait for a node rather than be refused.
};

enum class freshness : std::uint8_t {
  not_asked,  ///< Any age will do, or it is the primary.
  proven,     ///< By a sample of this node, for sessions opened before it was asked for; on a later one do as with `check`.
  check,      ///< The node must be asked, on the session, whether it has replayed up to `need`.
};

enum class route_action : std::uint8_t {
  use,
  wait,    ///< Ask again when `revision` has changed, at the latest at `at`.
  refuse,  ///< `at`: when asking again can succeed; time_point::max(): never.
};

struct read_answer {
  route_action action{route_action::refuse};
  route_ticket ticket;
  freshness how{freshness::not_asked};
  std::uint64_t need{0};      ///< The position to have been replayed, if `how` is not `not_asked`.
  time_point proof_asked{};   ///< `proven`: when the sample was asked for. A session opened later may be of a server that restarted.
  db_route_refusal why{db_route_refusal::none};
  time_point at{};
};

struct write_answer {
  route_action action{route_action::refuse};
  route_ticket ticket;
  db_route_refusal why{db_route_refusal::none};  ///< Also of `wait`.
  time_point at{};
};

enum class route_change_kind : std::uint8_t { system_known, primary_is, primary_lost, two_primaries, node_down, node_up, node_foreign, node_ejected, node_returned };
[[nodiscard]] std::string_view to_string(route_change_kind kind) noexcept;

/// Something to log, and to act on: at `node_down` and `node_ejected` what runs there is better tried elsewhere.
struct route_change {
  route_change_kind kind;
  node_index node{no_node};
  std::uint64_t epoch{0};
};

}  // namespace spillway::detail
