// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pg_conninfo.hpp"
#include "pg_statement_cache.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace spillway::detail {

/// What all sessions of one server share: how they are opened, and what any of them has learnt.
///
/// Threads: any.
struct pg_node {
  explicit pg_node(pg_conninfo opened_with) : info{std::move(opened_with)} {}

  const pg_conninfo info;
  std::size_t statement_cache{256};
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds answer_timeout{10'000};  ///< For the end of a transaction, beyond its deadline.
  std::chrono::milliseconds clean_timeout{2'000};    ///< For cancelling and draining a statement that was given up.

  /// One of several, between which a router chooses. Then a session that was lost is not opened anew behind its back.
  bool in_cluster{false};
  /// The router has given the node up: whoever waits for an answer of it is told that it is lost.
  std::atomic<bool> given_up{false};

  /// For the waits of its sessions.
  [[nodiscard]] const std::atomic<bool>* lost() const noexcept { return in_cluster ? &given_up : nullptr; }

  pg_cache_counters statements;
  /// Raised when a schema change has made prepared statements useless: every session then forgets its own.
  std::atomic<std::uint64_t> statement_generation{0};

  // As the server has reported last, to any session. Servers before 14 report none of the first two.
  std::atomic<bool> in_hot_standby{false};
  std::atomic<bool> read_only_by_default{false};
  std::atomic<int> server_version{0};                 ///< 150018 for 15.18.
  std::atomic<std::uint64_t> refused_as_standby{0};   ///< Writes that were answered with 25006.
};

}  // namespace spillway::detail
