// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/store.hpp"

#include "analysis_service/months.hpp"
#include "analysis_service/store_sql.hpp"

#include <spillway/db/bulk.hpp>
#include <spillway/db/migrate.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ranges>

namespace analysis {

using spillway::read_session;
using spillway::result;
using spillway::row_view;
using spillway::sql_value;
using spillway::write_session;

namespace {

constexpr std::int64_t most_attempts{3};
constexpr std::chrono::minutes long_timeout{2};
constexpr std::int64_t end_of_time{INT64_MAX};  // last_analysis of a version that is still valid

constexpr std::string_view project_columns{"id, name, path, created_at"};
constexpr std::string_view analysis_columns{"id, project_id, status, attempts, created_at, started_at, finished_at, error, result"};
/// All but the imports, in the order of `read_file`.
constexpr std::string_view file_columns{
    "id, path, status, reason, language, size_bytes, lines, code, comment, blank, longest_line_bytes, "
    "longest_line_number, blob, imports_truncated"};

project_record read_project(const row_view& row) {
  return {row.get<std::int64_t>(0), row.get<std::string>(1), row.get<std::string>(2), row.get<unix_ms>(3)};
}

analysis_record read_analysis(const row_view& row) {
  analysis_record record;
  record.id = row.get<std::int64_t>(0);
  record.project_id = row.get<std::int64_t>(1);
  record.status = analysis_status_named(row.get<std::string_view>(2)).value_or(analysis_status::failed);
  record.attempts = row.get<std::int64_t>(3);
  record.created_at = row.get<unix_ms>(4);
  record.started_at = row.get<std::optional<unix_ms>>(5);
  record.finished_at = row.get<std::optional<unix_ms>>(6);
  record.error = row.get<std::string>(7);
  record.result = row.get<std::string>(8);
  return record;
}

file_row read_file(const row_view& row) {
  file_row file;
  file.id = row.get<std::int64_t>(0);
  file.path = row.get<std::string>(1);
  file.status = row.get<std::string>(2);
  file.reason = row.get<std::string>(3);
  file.language = row.get<std::string>(4);
  file.size_bytes = row.get<std::int64_t>(5);
  file.lines = row.get<std::int64_t>(6);
  file.code = row.get<std::int64_t>(7);
  file.comment = row.get<std::int64_t>(8);
  file.blank = row.get<std::int64_t>(9);
  file.longest_line_bytes = row.get<std::int64_t>(10);
  file.longest_line_number = row.get<std::int64_t>(11);
  file.blob = row.get<std::vector<std::byte>>(12);
  file.imports_truncated = row.get<bool>(13);
  return file;
}

template <class Record>
std::optional<Record> at_most_one(const spillway::row_set& rows, Record (*read)(const row_view&)) {
  if (rows.empty()) return std::nullopt;
  return read(rows[0]);
}

/// What an INSERT gave that adds nothing if there is one already. It asks first, as one that was refused would use up a number in PostgreSQL.
template <class Record>
result<Record, db_error> the_added(const spillway::row_set& rows, Record (*read)(const row_view&)) {
  if (rows.empty()) return db_error{spillway::db_errc::unique_violation, "there is one already"};
  return read(rows[0]);
}

template <class Record>
std::vector<Record> all_of(const spillway::row_set& rows, Record (*read)(const row_view&)) {
  std::vector<Record> records;
  records.reserve(rows.size());
  for (const auto row : rows) records.push_back(read(row));
  return records;
}

/// For what grows with the tree.
session_options patient(session_options options) {
  if (!options.timeout) options.timeout = long_timeout;
  return options;
}

/// When what an analysis finds counts as found.
unix_ms found_at(const analysis_record& analysis) { return analysis.started_at.value_or(analysis.created_at); }

db_error no_longer_running() { return {spillway::db_errc::constraint_violation, "this attempt of the analysis is no longer running"}; }

/// The versions that were valid when the analysis began are not all there any more.
db_error month_was_dropped() {
  return {spillway::db_errc::constraint_violation, "files of an old month were dropped while the analysis ran; the next one will not refer to them"};
}

/// The versions that `analysis` alone has added, and nobody has seen.
void drop_added_files(write_session& session, std::int64_t analysis_id) {
  session.execute("DELETE FROM file WHERE first_analysis = $1", analysis_id).value();
}

}  // namespace

store::store(spillway::database database)
    : database_{std::move(database)}, sql_{database_.system_name() == "postgresql" ? &postgres_sql : &sqlite_sql} {}

bool store::by_month() const noexcept { return sql_->by_month; }

result<void, db_error> store::prepare() {
  const auto done = spillway::migrate(database_, sql_->migrations);
  if (!done) return done.error();
  return {};
}

result<project_record, db_error> store::add_project(const std::string& name, const std::string& path, unix_ms now, const session_options& options) {
  return database_.run_tx([&](write_session& session) {
    const auto sql = fmt::format(
        "INSERT INTO project (name, path, created_at) SELECT $1, $2, CAST($3 AS BIGINT) WHERE NOT EXISTS (SELECT 1 FROM project WHERE name = $1 OR path = $2) "
        "RETURNING {}", project_columns);
    return the_added(session.query(sql, name, path, now).value(), read_project);
  }, options);
}

result<std::optional<project_record>, db_error> store::project(std::int64_t id, const session_options& options) {
  return database_.run_read([&](read_session& session) {
    return at_most_one(session.query(fmt::format("SELECT {} FROM project WHERE id = $1", project_columns), id).value(), read_project);
  }, options);
}

result<std::optional<project_record>, db_error> store::project_at(const std::string& path, const session_options& options) {
  return database_.run_read([&](read_session& session) {
    return at_most_one(session.query(fmt::format("SELECT {} FROM project WHERE path = $1", project_columns), path).value(), read_project);
  }, options);
}

result<std::vector<project_record>, db_error> store::projects(std::int64_t after_id, std::int64_t limit, const session_options& options) {
  return database_.run_read([&](read_session& session) {
    const auto sql = fmt::format("SELECT {} FROM project WHERE id > $1 ORDER BY id LIMIT $2", project_columns);
    return all_of(session.query(sql, after_id, limit).value(), read_project);
  }, options);
}

result<analysis_record, db_error> store::add_analysis(std::int64_t project_id, unix_ms now, const session_options& options) {
  return database_.run_tx([&](write_session& session) {
    const auto sql = fmt::format(
        "INSERT INTO analysis (project_id, status, created_at) SELECT CAST($1 AS BIGINT), 'queued', CAST($2 AS BIGINT) "
        "WHERE NOT EXISTS (SELECT 1 FROM analysis WHERE project_id = $1 AND status IN ('queued', 'running')) RETURNING {}", analysis_columns);
    return the_added(session.query(sql, project_id, now).value(), read_analysis);
  }, options);
}

result<std::optional<analysis_record>, db_error> store::analysis(std::int64_t id, const session_options& options) {
  return database_.run_read([&](read_session& session) {
    return at_most_one(session.query(fmt::format("SELECT {} FROM analysis WHERE id = $1", analysis_columns), id).value(), read_analysis);
  }, options);
}

result<std::vector<analysis_record>, db_error> store::analyses(std::int64_t project_id, std::int64_t after_id, std::int64_t limit,
                                                               const session_options& options) {
  return database_.run_read([&](read_session& session) {
    const auto sql = fmt::format("SELECT {} FROM analysis WHERE project_id = $1 AND id > $2 ORDER BY id LIMIT $3", analysis_columns);
    return all_of(session.query(sql, project_id, after_id, limit).value(), read_analysis);
  }, options);
}

result<std::vector<analysis_record>, db_error> store::recover(unix_ms now, const session_options& options) {
  return database_.run_tx([&](write_session& session) {
    if (!sql_->wait_for_the_dead.empty()) session.execute(sql_->wait_for_the_dead).value();
    const auto given_up = session.query("SELECT id FROM analysis WHERE status = 'running' AND attempts >= $1", most_attempts).value();
    for (const auto row : given_up) drop_added_files(session, row.get<std::int64_t>(0));
    session.execute("UPDATE analysis SET status = 'failed', finished_at = $1, error = $2 WHERE status = 'running' AND attempts >= $3", now,
                    fmt::format("the server stopped during each of {} attempts", most_attempts), most_attempts).value();
    session.execute("UPDATE analysis SET status = 'queued' WHERE status = 'running'").value();
    const auto sql = fmt::format("SELECT {} FROM analysis WHERE status = 'queued' ORDER BY id", analysis_columns);
    return all_of(session.query(sql).value(), read_analysis);
  }, patient(options));
}

result<bool, db_error> store::begin(std::int64_t analysis_id, unix_ms now, const session_options& options) {
  return database_.run_tx([&](write_session& session) {
    const auto changed = session.execute(
        "UPDATE analysis SET status = 'running', attempts = attempts + 1, started_at = $1 WHERE id = $2 AND status = 'queued'", now,
        analysis_id).value();
    if (changed == 1) drop_added_files(session, analysis_id);
    return changed == 1;
  }, patient(options));
}

result<void, db_error> store::pause(std::int64_t analysis_id, const session_options& options) {
  return database_.run_tx([&](write_session& session) {
    session.execute("UPDATE analysis SET status = 'queued', attempts = attempts - 1 WHERE id = $1 AND status = 'running'", analysis_id).value();
  }, patient(options));
}

result<void, db_error> store::add_files(const analysis_record& analysis, std::span<const file_row> files) {
  spillway::bulk_target target{"file", {"project_id", "first_analysis", "last_analysis", "path", "status", "reason", "language", "size_bytes", "lines", "code",
                                        "comment", "blank", "longest_line_bytes", "longest_line_number", "blob", "imports_truncated", "imports", "known"}};
  if (sql_->by_month) target.columns.emplace_back("found_at");
  const auto rows = files | std::views::transform([&](const file_row& file) {
    std::vector<sql_value> values{analysis.project_id, analysis.id, end_of_time, file.path, file.status, file.reason, file.language, file.size_bytes,
                                  file.lines, file.code, file.comment, file.blank, file.longest_line_bytes, file.longest_line_number, file.blob,
                                  file.imports_truncated, file.imports, file.known};
    if (sql_->by_month) values.emplace_back(found_at(analysis));
    return values;
  });
  return database_.run_tx([&](write_session& session) -> result<void, db_error> {
    if (session.query(sql_->hold_attempt, analysis.id, analysis.attempts).value().empty()) return no_longer_running();
    const auto added = spillway::bulk_insert(session, target, rows);
    if (!added) return added.error();
    return {};
  }, long_timeout);
}

result<void, db_error> store::complete(const analysis_record& analysis, const snapshot_change& change, unix_ms now, const session_options& options) {
  const auto ended = change.superseded | std::views::transform([&](std::int64_t id) { return std::pair{id, analysis.id - 1}; });
  return database_.run_tx([&](write_session& session) -> result<void, db_error> {
    const auto closed = spillway::bulk_update(session, "file", {"id"}, {"last_analysis"}, ended);
    if (!closed) return closed.error();
    if (*closed != change.superseded.size()) return month_was_dropped();
    if (sql_->by_month) {
      const auto before = session.query_one<std::size_t>(
          "SELECT count(*) FROM file WHERE project_id = $1 AND last_analysis = 9223372036854775807 AND first_analysis < $2", analysis.project_id, analysis.id);
      if (!before) return before.error();
      if (*before != change.kept) return month_was_dropped();
      const auto began = found_at(analysis);
      const auto renewed = session.execute(sql_->renew_versions, analysis.id, analysis.project_id, month_of(began), began);
      if (!renewed) return renewed.error();
    }
    const auto done = session.execute(
        "UPDATE analysis SET status = 'complete', finished_at = $1, result = $2, scan_started_ns = $3 "
        "WHERE id = $4 AND status = 'running' AND attempts = $5", now, change.result, change.scan_started_ns, analysis.id, analysis.attempts);
    if (!done) return done.error();
    if (*done != 1) return no_longer_running();
    return {};
  }, patient(options));
}

result<bool, db_error> store::abandon(std::int64_t analysis_id, analysis_status status, const std::string& error, unix_ms now, const session_options& options) {
  return database_.run_tx([&](write_session& session) {
    const auto changed = session.execute(
        "UPDATE analysis SET status = $1, finished_at = $2, error = $3 WHERE id = $4 AND status IN ('queued', 'running')", to_string(status), now,
        error, analysis_id).value();
    if (changed == 1) drop_added_files(session, analysis_id);
    return changed == 1;
  }, patient(options));
}

result<std::int64_t, db_error> store::current_files(std::int64_t project_id, const std::function<void(const current_file&)>& each,
                                                    const session_options& options) {
  // Not run_read: what was given to `each` cannot be taken back.
  return database_.read([&](read_session& session) -> result<std::int64_t, db_error> {
    const auto started = session.query_one<std::int64_t>(
        "SELECT scan_started_ns FROM analysis WHERE project_id = $1 AND status = 'complete' ORDER BY id DESC LIMIT 1", project_id);
    if (!started) return started.error();
    // The end of time stands here in digits for the planner, which otherwise could not use the index made for this.
    const auto read = session.stream("SELECT id, path, known FROM file WHERE project_id = $1 AND last_analysis = 9223372036854775807", {project_id},
                                     [&](const row_view& row) {
                                       each({row.get<std::int64_t>(0), row.get<std::string_view>(1), row.get<std::span<const std::byte>>(2)});
                                     });
    if (!read) return read.error();
    return started->value_or(0);
  }, patient(options));
}

result<file_notes, db_error> store::notes_of(std::int64_t file_id, const session_options& options) {
  return database_.run_read([&](read_session& session) {
    const auto rows = session.query("SELECT imports, imports_truncated, reason FROM file WHERE id = $1", file_id).value();
    if (rows.empty()) return file_notes{};
    return file_notes{rows[0].get<std::string>(0), rows[0].get<bool>(1), rows[0].get<std::string>(2)};
  }, options);
}

result<std::vector<file_row>, db_error> store::files(const analysis_record& analysis, const file_query& query, const session_options& options) {
  // The names come from a fixed table, never from the client.
  const bool with_imports = std::ranges::find(query.fields, file_field::imports) != query.fields.end();
  const auto order = name_of(query.sort);
  const std::string_view direction = query.descending ? "DESC" : "ASC";
  auto sql = fmt::format("SELECT {}{} FROM file WHERE project_id = $1 AND first_analysis <= $2 AND last_analysis >= $2", file_columns,
                         with_imports ? ", imports" : "");
  std::vector<sql_value> parameters{analysis.project_id, analysis.id, query.limit + 1};
  if (query.after_row) {
    sql += fmt::format(" AND ({0}, path) {1} (SELECT {0}, path FROM file WHERE id = $4 AND project_id = $1)", order, query.descending ? "<" : ">");
    parameters.emplace_back(*query.after_row);
  }
  if (sql_->by_month) {
    parameters.emplace_back(month_of(found_at(analysis)));  // spares the partitions before it
    sql += fmt::format(" AND found_at >= ${}", parameters.size());
  }
  sql += fmt::format(" ORDER BY {} {}, path {} LIMIT $3", order, direction, direction);
  return database_.run_read([&](read_session& session) {
    std::vector<file_row> files;
    for (const auto row : session.query(sql, spillway::sql_parameters{parameters}).value()) {
      files.push_back(read_file(row));
      if (with_imports) files.back().imports = row.get<std::string>("imports");
    }
    return files;
  }, options);
}

result<bool, db_error> store::has_files(const analysis_record& analysis, const session_options& options) {
  return database_.run_read([&](read_session& session) {
    const auto one = session.query("SELECT id FROM file WHERE project_id = $1 AND first_analysis <= $2 AND last_analysis >= $2 LIMIT 1", analysis.project_id,
                                   analysis.id);
    return !one.value().empty();
  }, options);
}

}  // namespace analysis
