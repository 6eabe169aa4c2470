// SPDX-License-Identifier: Apache-2.0
#include "pg_plan.hpp"

#include <fmt/format.h>

namespace spillway::detail {

db_error pg_refusal(const pg_statement& statement, std::string_view sql) {
  const auto refuse = [sql](std::string_view why) { return db_error{db_errc::not_allowed, std::string{why}, 0, sql}; };
  switch (statement.kind) {
    case pg_statement_kind::transaction: return refuse("BEGIN, COMMIT and ROLLBACK belong to the session: it commits when the function returns");
    case pg_statement_kind::transaction_mode: return refuse("how the transaction runs belongs to the session");
    case pg_statement_kind::session_state: return refuse("what outlives the transaction does not belong into a session that others use next; SET LOCAL is allowed");
    case pg_statement_kind::copy: return refuse("COPY has functions of its own");
    default: return {};
  }
}

result<std::shared_ptr<pg_prepared>, db_error> pg_plan(pg_statement_cache& cache, std::string_view sql, std::span<const sql_value> parameters) {
  auto known = cache.find(sql, parameters);
  if (!known) {
    if (sql.find('\0') != std::string_view::npos) return db_error{db_errc::syntax_error, "the statement contains a NUL byte", 0, sql};
    std::size_t at{0};
    const auto statement = pg_next_statement(sql, at);
    if (!statement) return db_error{db_errc::syntax_error, "there is no statement in the text", 0, sql};
    if (pg_next_statement(sql, at)) return db_error{db_errc::multiple_statements, "one statement is taken; execute_script takes several", 0, sql};
    if (auto refused = pg_refusal(*statement, sql); refused.failed()) return refused;
    if (statement->highest_parameter > pg_most_parameters) {
      return db_error{db_errc::wrong_parameters, fmt::format("parameters are written $1 to ${}", pg_most_parameters), 0, sql};
    }
    if (statement->missing_parameter != 0) {
      return db_error{db_errc::wrong_parameters,
                      fmt::format("the statement uses ${} but not ${}", statement->highest_parameter, statement->missing_parameter), 0, sql};
    }
    if (statement->highest_parameter == parameters.size()) {
      known = cache.add(*statement, sql);
    } else {
      return db_error{db_errc::wrong_parameters,
                      fmt::format("the statement takes {} parameters{}, {} given", statement->highest_parameter,
                                  statement->highest_parameter == 0 ? "" : fmt::format(" (up to ${})", statement->highest_parameter),
                                  parameters.size()),
                      0, sql};
    }
  }
  return known;
}

}  // namespace spillway::detail
