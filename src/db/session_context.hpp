// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "db_driver.hpp"

#include <spillway/db/session.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::detail {

struct slow_statement {
  std::string sql;
  std::chrono::nanoseconds queue;  ///< From getting the session to this statement: what the function did before.
  std::chrono::nanoseconds run;    ///< To the first row, or to the end.
  std::chrono::nanoseconds drain;  ///< From there to the end, with what the caller did with the rows.
};

/// What a session object stands on: a connection inside a transaction, and the limits that hold.
class session_context {
 public:
  session_context(db_connection& connection, const statement_control& control, const database_config& config) noexcept
      : connection_{&connection}, control_{&control}, config_{&config}, began_{system_clock_source().now()} {}

  /// The session handed to the caller's function; a read's function sees only its base.
  [[nodiscard]] write_session session() noexcept { return write_session{*this}; }

  [[nodiscard]] static session_context& of(read_session& session) noexcept { return *session.context_; }

  result<std::uint64_t, db_error> run(std::string_view sql, std::span<const sql_value> parameters, row_data& rows, row_sink& sink);
  result<void, db_error> run_script(std::string_view sql);
  result<std::uint64_t, db_error> bulk(const bulk_job& job, bulk_rows& rows);

  [[nodiscard]] db_connection& connection() noexcept { return *connection_; }
  [[nodiscard]] const statement_control& control() const noexcept { return *control_; }
  [[nodiscard]] const database_config& config() const noexcept { return *config_; }
  /// At most `slow_limit` of them, to be logged once the session is given back.
  [[nodiscard]] const std::vector<slow_statement>& slow() const noexcept { return slow_; }
  [[nodiscard]] std::uint64_t slow_count() const noexcept { return slow_count_; }
  [[nodiscard]] time_point began() const noexcept { return began_; }

  /// A statement has ended. `first_row`: when it gave the first, if it gave any.
  void note(std::string_view sql, time_point statement_began, std::optional<time_point> first_row);

 private:
  static constexpr std::size_t slow_limit{16};

  db_connection* connection_;
  const statement_control* control_;
  const database_config* config_;
  time_point began_;
  std::vector<slow_statement> slow_;
  std::uint64_t slow_count_{0};
};

}  // namespace spillway::detail
