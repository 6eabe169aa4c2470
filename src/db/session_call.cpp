// SPDX-License-Identifier: Apache-2.0
#include "session_call.hpp"

namespace spillway::detail {

namespace {

/// What the function throws is put into `end`. A function of its own: g++ 12 lets `verdict = task.run(session)` write into `verdict` even when the
/// call throws, and a function that threw would be committed. Here whatever is returned was written last.
task_verdict verdict_of(session_task& task, session_context& context, transaction_end& end) {
  try {
    auto session = context.session();
    return task.run(session);
  } catch (const db_exception& thrown) {
    end.failure = thrown.error();
  } catch (...) {
    end = {db_errc::callback_threw, std::current_exception(), {}};
  }
  return {false, {}};
}

}  // namespace

void run_function(session_context& context, session_task& task, session_kind kind, session_call& call) {
  const auto verdict = verdict_of(task, context, call.end);
  call.well = verdict.commit;
  call.end.returned = verdict.why;
  if (!call.well || kind == session_kind::read) return;
  if (const auto late = context.control().interrupted()) {
    call.end.failure = *late;
    call.well = false;
  }
}

}  // namespace spillway::detail
