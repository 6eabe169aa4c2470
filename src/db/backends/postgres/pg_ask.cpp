// SPDX-License-Identifier: Apache-2.0
#include "pg_ask.hpp"

#include "pg_error.hpp"

namespace spillway::detail {

result<std::vector<std::string>, db_error> pg_ask(pg_channel& channel, const char* sql, std::initializer_list<const char*> parameters,
                                                  const pg_limit& limit) {
  auto* const raw = channel.raw();
  const bool sent = PQsendQueryParams(raw, sql, static_cast<int>(parameters.size()), nullptr, parameters.begin(), nullptr, nullptr, 0) == 1 &&
                    PQpipelineSync(raw) == 1;
  if (!sent) return pg_connection_lost(channel.last_words(), sql);
  std::vector<std::string> row;
  db_error failure;
  for (;;) {
    pg_result answer;
    const auto waited = channel.next(limit, answer);
    if (waited == pg_wait::lost) return failure.failed() ? failure : pg_connection_lost(channel.last_words(), sql);
    if (waited != pg_wait::ready) return db_error{db_errc::timed_out, {}, 0, sql};
    if (!answer) continue;
    if (is(answer.get(), PGRES_PIPELINE_SYNC)) break;
    if (is(answer.get(), PGRES_FATAL_ERROR) && !failure.failed()) failure = pg_error(answer.get(), sql);
    if (!is(answer.get(), PGRES_TUPLES_OK) || PQntuples(answer.get()) == 0) continue;
    for (int i = 0; i < PQnfields(answer.get()); ++i) row.emplace_back(PQgetvalue(answer.get(), 0, i));
  }
  if (failure.failed()) return failure;
  return row;
}

}  // namespace spillway::detail
