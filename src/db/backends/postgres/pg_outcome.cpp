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
  const auto first = text->find('-');
  const auto second = text->find('-', first + 1);
  if (second == std::string::npos) return std::nullopt;
  pg_transaction made;
  std::from_chars(text->data(), text->data() + first, made.id);
  std::from_chars(text->data() + first + 1, text->data() + second, made.timeline, 16);
  made.statistics_began = text->substr(second + 1);
  return made;
}

pg_outcome_answer ask_outcome(const pg_conninfo& server, const pg_transaction& transaction, bool itself, deadline until) {
  auto channel = pg_channel::connect(server, session_kind::read, {until});
  if (!channel) return {pg_outcome::not_told};
  const auto id = std::to_string(transaction.id);
  // In one statement, so that all of it is of one run of the server.
  const auto row = pg_ask(*channel,
                          "SELECT coalesce(pg_xact_status($1::xid8), ''), at - '0/0'::pg_lsn, ('x' || left(pg_walfile_name(at), 8))::bit(32)::int, "
                          "extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time()) "
                          "FROM (SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END AS at) AS now WHERE at IS NOT NULL",
                          {id.c_str()}, {until});
  // Of the future: after a crash the server does not remember ever having begun it.
  if (!row) return {sqlstate_text(row.error().native_code()) == "22023" ? pg_outcome::aborted : pg_outcome::not_told};
  if (row->empty()) return {pg_outcome::forgotten};
  const auto& values = *row;
  const pg_position place{number_in(values[1].c_str()), static_cast<std::uint32_t>(number_in(values[2].c_str())), true};
  if (itself && place.timeline != transaction.timeline) return {pg_outcome::forgotten};
  if (values[0] == "aborted") return {pg_outcome::aborted};
  if (values[0] == "in progress") return {pg_outcome::in_progress};
  // After a crash the number may have been given out again, and this is the end of another transaction.
  if (itself && values[3] != transaction.statistics_began) return {pg_outcome::forgotten};
  return values[0] == "committed" ? pg_outcome_answer{pg_outcome::committed, place} : pg_outcome_answer{pg_outcome::forgotten};
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
