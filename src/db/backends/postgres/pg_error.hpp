// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pg_result.hpp"

#include <spillway/db/db_error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace spillway::detail {

/// The code for a SQLSTATE. What is 25006 depends on who writes: read_only for a session that reads, not_primary for one that may write.
[[nodiscard]] db_errc db_errc_of_sqlstate(std::string_view sqlstate) noexcept;

/// Five letters or digits as the number PostgreSQL itself makes of them, and back. 0 for anything else, and empty for that.
[[nodiscard]] int sqlstate_number(std::string_view sqlstate) noexcept;
[[nodiscard]] std::string sqlstate_text(int number);

/// Whether it may be that the parameters of a prepared statement still have the types that columns had when it was prepared: then a value does not fit
/// them, or they do not fit the columns. The same is said of values that are wrong.
[[nodiscard]] bool may_be_of_old_types(std::string_view sqlstate) noexcept;
/// Whether the session ended with this answer.
[[nodiscard]] bool ends_session(std::string_view sqlstate) noexcept;

[[nodiscard]] std::string_view sqlstate_of(const PGresult* failed) noexcept;
/// The line of its data, from 1, that a failed COPY names; 0 if it names none.
[[nodiscard]] std::uint64_t copy_line_of(const PGresult* failed) noexcept;
/// "message (SQLSTATE)". Never the detail: that holds values.
[[nodiscard]] db_error pg_error(const PGresult* failed, std::string_view sql);
/// The connection is gone; `said` is what libpq knows about it.
[[nodiscard]] db_error pg_connection_lost(std::string_view said, std::string_view sql = {});

/// libpq's last words on one line, without blanks around them.
[[nodiscard]] std::string one_line(std::string_view text);

}  // namespace spillway::detail
