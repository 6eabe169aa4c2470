// SPDX-License-Identifier: Apache-2.0
// pg_cluster: the end of a transaction.
#include "pg_cluster.hpp"

#include "pg_outcome.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

namespace spillway::detail {

query_end end_of(const transaction_end& end) {
  const auto& failure = end.failure;
  if (failure == db_errc::connection_lost || failure == db_errc::commit_unknown) return query_end::lost;
  if (failure == db_errc::timed_out) return query_end::timed_out;
  if (failure == db_errc::cancelled) return query_end::cancelled;
  return query_end::answered;
}

void pg_cluster::ended(const session_search& search, session_lease session, transaction_end& end) noexcept {
  auto& connection = static_cast<pg_connection&>(**session);
  // Of this node, whatever another one tells about the transaction.
  const node_answer answer{end_of(end), {search.granted, system_clock_source().now()}};
  std::optional<pg_position> place;
  try {
    if (end.failure == db_errc::commit_unknown) place = resolve(search, connection, end);
  } catch (...) {  // no memory; then it stays unknown
  }
  note_end(search, connection, end, answer, place);
  give_back(*nodes_[search.node].driver, std::move(session));
}

std::optional<pg_position> pg_cluster::resolve(const session_search& search, const pg_connection& connection, transaction_end& end) {
  const auto transaction = pg_transaction::of(connection);
  if (!transaction) return std::nullopt;
  const auto limit = pg_outcome_limit(search.until, config_.routing.buffer_for);
  for (auto now = system_clock_source().now(); !limit.passed(now) && !draining_; now = system_clock_source().now()) {
    const auto seen = watch_.version();
    const auto primary = watch_.with([](route_core& core, auto) { return core.primary(); });
    if (primary) {
      const bool itself = *primary == search.node;
      // A number that it had not come to before it took over may be another transaction's there. If that was not committed either, ours was not: it would
      // have kept the number.
      const auto before = watch_.last_as_standby(*primary);
      const bool its_own = itself || (before.place.timeline == transaction->timeline && transaction->id < before.next_transaction);
      const auto soon = limit.sooner(deadline::after(now, config_.sessions.connect_timeout));
      const auto answer = ask_outcome(nodes_[*primary].driver->node()->info, *transaction, itself, soon);
      if (!its_own && answer.outcome == pg_outcome::committed) return std::nullopt;
      if (settle_outcome(answer.outcome, end)) return answer.outcome == pg_outcome::committed ? std::optional{answer.place} : std::nullopt;
    }
    watch_.wait(seen, std::min(limit.at(), now + std::chrono::milliseconds{20}));
  }
  return std::nullopt;
}

void pg_cluster::note_end(const session_search& search, pg_connection& connection, const transaction_end& end, const node_answer& answer,
                          std::optional<pg_position> place) noexcept {
  const auto index = static_cast<node_index>(search.node);
  const auto& [how, when] = answer;
  // A place that was looked up is the primary's of now, and may be another node's.
  const bool looked_up = place.has_value();
  if (!looked_up) place = connection.position();
  const bool committed = !end.thrown && !end.failure.failed() && !end.returned.failed();
  const route_ticket ticket{index, search.epoch, static_cast<route_use>(search.use)};
  // The first one may have waited for the session to be opened, too.
  const bool slower_than_others = connection.is_first_use() && how == query_end::answered;
  const auto took = slower_than_others ? std::nullopt : std::optional{when.answered - when.asked};
  struct known {
    std::optional<std::uint64_t> system;
    std::uint32_t timeline;
  };
  const auto about = watch_.with([&](route_core& core, std::uint64_t random) -> known {
    core.finished(ticket, when.answered, how, took, random);
    const auto standby = connection.was_answered() ? connection.is_standby() : std::nullopt;
    if (end.failure == db_errc::not_primary) {
      core.write_refused(index, when, standby);
    } else if (standby) {
      core.role_reported(index, when, *standby);
    }
    if (committed && !looked_up && place && place->flushed) core.committed(index, when, {place->timeline, place->lsn});
    return {core.system(), core.timeline()};
  });
  auto* const token = search.kind == session_kind::write ? search.options.token : nullptr;
  if (token == nullptr || !committed || !about.system || !connection.was_answered()) return;
  // Committed, and the place of it was lost on the way: the primary is sure to show it.
  if (!place) place = pg_position{1, std::max<std::uint32_t>(about.timeline, 1), false};
  (void)token->merge({*about.system, place->timeline, place->lsn, !place->flushed});
}

}  // namespace spillway::detail
