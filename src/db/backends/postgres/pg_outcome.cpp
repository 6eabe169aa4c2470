// SPDX-License-Identifier: Apache-2.0
#include "pg_outcome.hpp"

#include "pg_ask.hpp"
#include "pg_error.hpp"

#include <algorithm>
#include <charconv>

namespace spillway::detail {

using namespace std::chrono_literals;

std::optional<pg_transaction> pg_transaction::of(const pg_connection& session) {
  const auto& text = session.transaction_id();
  if (!text || !session.lost_its_commit()) return std::nullopt;
  const auto dash = text->find('-');
  pg_transaction made;
  std::from_chars(text->data(), text->data() + dash, made.id);
  std::from_chars(text->data() + dash + 1, text->data() + text->size(), made.timeline, 16);
  return made;
}

pg_outcome ask_outcome(const pg_conninfo& server, const pg_transaction& transaction, bool same_timeline, deadline until) {
  auto channel = pg_channel::connect(server, session_kind::read, until);
  if (!channel) return pg_outcome::not_told;
  const auto id = std::to_string(transaction.id);
  const auto timeline = same_timeline ? std::to_string(transaction.timeline) : std::string{};
  const auto row = pg_ask(*channel,
                          "SELECT pg_xact_status($1::xid8) FROM pg_is_in_recovery() AS standby "
                          "WHERE CASE WHEN standby THEN false ELSE $2 IN ('', (('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int)::text) END",
                          {id.c_str(), timeline.c_str()}, {until});
  // Of the future: after a crash the server does not remember ever having begun it.
  if (!row) return sqlstate_text(row.error().native_code()) == "22023" ? pg_outcome::aborted : pg_outcome::not_told;
  const auto status = row->empty() ? std::string{} : row->front();
  if (status == "committed") return pg_outcome::committed;
  if (status == "aborted") return pg_outcome::aborted;
  return status == "in progress" ? pg_outcome::in_progress : pg_outcome::forgotten;
}

bool settle_outcome(pg_outcome outcome, transaction_end& end) {
  switch (outcome) {
    case pg_outcome::in_progress:
    case pg_outcome::not_told: return false;
    case pg_outcome::committed: end.failure = {}; break;
    case pg_outcome::aborted: end.failure = db_error{db_errc::connection_lost, "the connection was lost during the commit, and nothing was committed"}; break;
    case pg_outcome::forgotten: break;
  }
  return true;
}

deadline pg_outcome_limit(deadline until, std::chrono::nanoseconds most) {
  const auto now = system_clock_source().now();
  const auto least = deadline::after(now, 1s);
  const auto limit = until.sooner(deadline::after(now, most));
  return limit.at() < least.at() ? least : limit;
}

}  // namespace spillway::detail
