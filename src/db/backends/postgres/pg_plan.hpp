// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pg_statement_cache.hpp"

#include <spillway/core/result.hpp>
#include <spillway/db/db_error.hpp>

#include <memory>
#include <span>
#include <string_view>

namespace spillway::detail {

/// What a session may not run, and why.
[[nodiscard]] db_error pg_refusal(const pg_statement& statement, std::string_view sql);

/// The statement as this session knows it, or will.
/// Errors: what is no single statement, or none that a session may run, or takes other parameters than those given.
[[nodiscard]] result<std::shared_ptr<pg_prepared>, db_error> pg_plan(pg_statement_cache& cache, std::string_view sql,
                                                                     std::span<const sql_value> parameters);

}  // namespace spillway::detail
