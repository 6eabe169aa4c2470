// SPDX-License-Identifier: Apache-2.0
#include "write_group.hpp"

#include <fmt/format.h>

#include <new>

namespace spillway::detail {

namespace {

time_point now() { return system_clock_source().now(); }

/// For what may run out of memory while it describes a failure.
template <class F>
auto guarded(F&& call) -> decltype(call()) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    return db_error{db_errc::out_of_memory};
  }
}

db_error commit(db_connection& connection) {
  const auto committed = guarded([&] { return connection.commit(); });
  if (committed) return {};
  connection.rollback();
  return committed.error();
}

/// What the writes are told that shared a transaction with one that made the engine give it up. The engine's troubles are everybody's; what the one
/// write did wrong is not.
db_error failure_of_others(const db_error& cause) {
  if (cause == errc::unavailable || cause == errc::internal) return cause;
  return guarded([&] { return db_error{db_errc::aborted, fmt::format("another write in the same transaction: {}", cause.code().message())}; });
}

}  // namespace

bool write_group::run(session_lease session, session_context& context, session_task& task, session_call& call, bool alone) {
  auto& connection = context.connection();
  auto& shared = *connection.shared();
  if (core_.anyone_waits() && !core_.takes_in(now(), alone)) {
    const auto failure = commit(connection);
    tell(close(nullptr, !failure.failed(), false), failure);
  }
  const bool joined = core_.anyone_waits();
  core_.begins(now(), alone);

  const auto begun = guarded([&] { return joined ? shared.begin_part(context.control()) : connection.begin(context.control()); });
  if (begun) run_function(context, task, session_kind::write, call);
  else call.end.failure = begun.error();

  bool may_stay_open{joined};
  db_error lost;  // why the engine gave up the whole transaction
  if (call.well) {
    const auto kept = guarded([&] { return shared.end_part(); });
    if (kept) {
      may_stay_open = *kept;
    } else {
      call.end.failure = kept.error();
      call.well = false;
    }
  }
  if (joined && !call.well) {
    if (const auto undone = guarded([&] { return shared.undo_part(); }); !undone) lost = undone.error();
  }
  const bool may_wait = core_.ends(now(), context.control().until);
  if (may_wait && may_stay_open && !lost.failed()) {
    core_.waits(call);
    if (session.hand_over()) return false;
    core_.goes_on();
  }

  db_error failure;
  if (lost.failed()) {
    connection.rollback();
    failure = failure_of_others(lost);
  } else if (joined || call.well) {
    failure = commit(connection);
    call.settle(failure);
  } else {
    connection.rollback();
  }
  auto* const others = close(&call, !failure.failed(), lost.failed());
  session.release();
  tell(others, failure);
  return true;
}

write_group_node* write_group::close(session_call* call, bool committed, bool lost) {
  auto* const first = core_.closes(lost);
  std::int64_t well{0};
  std::int64_t failed{0};
  const auto count = [&](const session_call& one) { ++(one.well && committed ? well : failed); };
  for (auto* node = first; node != nullptr; node = node->behind) count(static_cast<session_call&>(*node));
  if (call != nullptr) count(*call);
  if (well > 0) counts_.committed.add(well);
  if (failed > 0) counts_.rolled_back.add(failed);
  if (well > 1) {
    commits_.add();
    members_.add(well);
  }
  return first;
}

void write_group::tell(write_group_node* first, const db_error& failure) {
  for (auto* node = first; node != nullptr;) {
    auto& call = static_cast<session_call&>(*node);
    node = node->behind;  // before it is gone
    call.told(failure);
  }
}

}  // namespace spillway::detail
