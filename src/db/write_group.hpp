// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "session_call.hpp"
#include "session_pool.hpp"

#include <spillway/core/striped_counter.hpp>

namespace spillway::detail {

/// Transactions, by how they ended.
struct transaction_counts {
  striped_counter committed;
  striped_counter rolled_back;
};

/// Runs writes so that those that come one after the other share a commit, on an engine that has one session to write and can do so.
///
/// A write that ended well leaves the transaction open and hands the session over to whoever waits for it; that one runs in a part of the same
/// transaction, which can be undone alone. The last one commits for all, and then all are told. Handing over and being the next holder are one
/// step of the pool: if nobody took the session, the write has it still and commits.
///
/// Everybody is told after the commit, those as well whose part was undone: they may have seen, and complain about, what was not committed yet.
///
/// Threads: the holder of the session.
class write_group {
 public:
  write_group(const write_group_limits& limits, transaction_counts& counts) noexcept : core_{limits}, counts_{counts} {}

  /// Runs the function on the session, and gives that back. False: `call` is told later, on another thread; it may be gone already.
  bool run(session_lease session, session_context& context, session_task& task, session_call& call, bool alone);

  /// Commits that several writes shared, and how many those were.
  [[nodiscard]] std::uint64_t commits() const noexcept { return static_cast<std::uint64_t>(commits_.value()); }
  [[nodiscard]] std::uint64_t members() const noexcept { return static_cast<std::uint64_t>(members_.value()); }

 private:
  /// Counts `call`, if any, and all who wait, by what became of the transaction; returns those who wait.
  write_group_node* close(session_call* call, bool committed, bool lost);
  static void tell(write_group_node* first, const db_error& failure);

  write_group_core core_;
  transaction_counts& counts_;
  striped_counter commits_;
  striped_counter members_;
};

}  // namespace spillway::detail
