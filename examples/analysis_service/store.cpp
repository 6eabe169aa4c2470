// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/store.hpp"

#include <spillway/db/migrate.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace analysis {

using spillway::read_session;
using spillway::result;
using spillway::row_view;
using spillway::sql_value;
using spillway::write_session;

namespace {

constexpr std::int64_t most_attempts{3};
constexpr std::chrono::minutes long_timeout{2};  // for what grows with the tree
constexpr std::int64_t end_of_time{INT64_MAX};  // last_analysis of a version that is still valid

constexpr std::string_view schema{R"(
  CREATE TABLE project (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
  );
  CREATE TABLE analysis (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL REFERENCES project (id),
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    scan_started_ns INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    result TEXT NOT NULL DEFAULT ''
  );
  CREATE UNIQUE INDEX analysis_active ON analysis (project_id) WHERE status IN ('queued', 'running');
  CREATE INDEX analysis_of_project ON analysis (project_id, id);
  CREATE TABLE file (
    id INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES project (id),
    first_analysis INTEGER NOT NULL,
    last_analysis INTEGER NOT NULL,
    path TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    language TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    code INTEGER NOT NULL,
    comment INTEGER NOT NULL,
    blank INTEGER NOT NULL,
    longest_line_bytes INTEGER NOT NULL,
    longest_line_number INTEGER NOT NULL,
    blob BLOB NOT NULL,
    imports_truncated INTEGER NOT NULL,
    imports TEXT NOT NULL,
    known BLOB NOT NULL
  );
  CREATE INDEX file_of_project ON file (project_id, path, first_analysis);
  CREATE INDEX file_by_first_analysis ON file (first_analysis);
  -- Holds all that an analysis begins with, so that it reads no more than this.
  CREATE INDEX file_current ON file (project_id, path, known) WHERE last_analysis = 9223372036854775807;
)"};

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

template <class Record>
std::vector<Record> all_of(const spillway::row_set& rows, Record (*read)(const row_view&)) {
  std::vector<Record> records;
  records.reserve(rows.size());
  for (const auto row : rows) records.push_back(read(row));
  return records;
}

/// The versions that `analysis` alone has added, and nobody has seen.
void drop_added_files(write_session& session, std::int64_t analysis_id) {
  session.execute("DELETE FROM file WHERE first_analysis = $1", analysis_id).value();
}

}  // namespace

store::store(spillway::database database) : database_{std::move(database)} {}

result<void, db_error> store::prepare() {
  const auto done = spillway::migrate(database_, {schema});
  if (!done) return done.error();
  return {};
}

result<project_record, db_error> store::add_project(const std::string& name, const std::string& path, unix_ms now, deadline until) {
  return database_.write([&](write_session& session) {
    const auto rows = session.query(fmt::format("INSERT INTO project (name, path, created_at) VALUES ($1, $2, $3) RETURNING {}", project_columns),
                                    name, path, now);
    return read_project(rows.value()[0]);
  }, until);
}

result<std::optional<project_record>, db_error> store::project(std::int64_t id, deadline until) {
  return database_.read([&](read_session& session) {
    return at_most_one(session.query(fmt::format("SELECT {} FROM project WHERE id = $1", project_columns), id).value(), read_project);
  }, until);
}

result<std::optional<project_record>, db_error> store::project_at(const std::string& path, deadline until) {
  return database_.read([&](read_session& session) {
    return at_most_one(session.query(fmt::format("SELECT {} FROM project WHERE path = $1", project_columns), path).value(), read_project);
  }, until);
}

result<std::vector<project_record>, db_error> store::projects(std::int64_t after_id, std::int64_t limit, deadline until) {
  return database_.read([&](read_session& session) {
    const auto sql = fmt::format("SELECT {} FROM project WHERE id > $1 ORDER BY id LIMIT $2", project_columns);
    return all_of(session.query(sql, after_id, limit).value(), read_project);
  }, until);
}

result<analysis_record, db_error> store::add_analysis(std::int64_t project_id, unix_ms now) {
  return database_.write([&](write_session& session) {
    const auto sql = fmt::format("INSERT INTO analysis (project_id, status, created_at) VALUES ($1, 'queued', $2) RETURNING {}", analysis_columns);
    return read_analysis(session.query(sql, project_id, now).value()[0]);
  });
}

result<std::optional<analysis_record>, db_error> store::analysis(std::int64_t id, deadline until) {
  return database_.read([&](read_session& session) {
    return at_most_one(session.query(fmt::format("SELECT {} FROM analysis WHERE id = $1", analysis_columns), id).value(), read_analysis);
  }, until);
}

result<std::vector<analysis_record>, db_error> store::analyses(std::int64_t project_id, std::int64_t after_id, std::int64_t limit, deadline until) {
  return database_.read([&](read_session& session) {
    const auto sql = fmt::format("SELECT {} FROM analysis WHERE project_id = $1 AND id > $2 ORDER BY id LIMIT $3", analysis_columns);
    return all_of(session.query(sql, project_id, after_id, limit).value(), read_analysis);
  }, until);
}

result<std::vector<analysis_record>, db_error> store::recover(unix_ms now) {
  return database_.write([&](write_session& session) {
    const auto given_up = session.query("SELECT id FROM analysis WHERE status = 'running' AND attempts >= $1", most_attempts).value();
    for (const auto row : given_up) drop_added_files(session, row.get<std::int64_t>(0));
    session.execute("UPDATE analysis SET status = 'failed', finished_at = $1, error = $2 WHERE status = 'running' AND attempts >= $3", now,
                    fmt::format("the server stopped during each of {} attempts", most_attempts), most_attempts).value();
    session.execute("UPDATE analysis SET status = 'queued' WHERE status = 'running'").value();
    const auto sql = fmt::format("SELECT {} FROM analysis WHERE status = 'queued' ORDER BY id", analysis_columns);
    return all_of(session.query(sql).value(), read_analysis);
  }, long_timeout);
}

result<bool, db_error> store::begin(std::int64_t analysis_id, unix_ms now) {
  return database_.write([&](write_session& session) {
    const auto changed = session.execute(
        "UPDATE analysis SET status = 'running', attempts = attempts + 1, started_at = $1 WHERE id = $2 AND status = 'queued'", now,
        analysis_id).value();
    if (changed == 1) drop_added_files(session, analysis_id);
    return changed == 1;
  }, long_timeout);
}

result<void, db_error> store::pause(std::int64_t analysis_id) {
  return database_.write([&](write_session& session) {
    session.execute("UPDATE analysis SET status = 'queued', attempts = attempts - 1 WHERE id = $1 AND status = 'running'", analysis_id).value();
  }, long_timeout);
}

result<void, db_error> store::add_files(const analysis_record& analysis, std::span<const file_row> files) {
  const auto sql = fmt::format(
      "INSERT INTO file (project_id, first_analysis, last_analysis, {}, imports, known) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
      file_columns.substr(std::string_view{"id, "}.size()));
  return database_.write([&](write_session& session) -> result<void, db_error> {
    for (const auto& file : files) {
      const auto added = session.execute(
          sql, {analysis.project_id, analysis.id, end_of_time, file.path, file.status, file.reason, file.language, file.size_bytes,
                file.lines, file.code, file.comment, file.blank, file.longest_line_bytes,
                file.longest_line_number, file.blob, file.imports_truncated, file.imports, file.known});
      if (!added) return added.error();
    }
    return {};
  }, long_timeout);
}

result<void, db_error> store::complete(const analysis_record& analysis, const snapshot_change& change, unix_ms now) {
  return database_.write([&](write_session& session) -> result<void, db_error> {
    for (const auto id : change.superseded) {
      const auto closed = session.execute("UPDATE file SET last_analysis = $1 WHERE id = $2", analysis.id - 1, id);
      if (!closed) return closed.error();
    }
    const auto done = session.execute(
        "UPDATE analysis SET status = 'complete', finished_at = $1, result = $2, scan_started_ns = $3 WHERE id = $4 AND status = 'running'", now,
        change.result, change.scan_started_ns, analysis.id);
    if (!done) return done.error();
    if (*done != 1) return db_error{spillway::db_errc::constraint_violation, "the analysis is no longer running"};
    return {};
  }, long_timeout);
}

result<bool, db_error> store::abandon(std::int64_t analysis_id, analysis_status status, const std::string& error, unix_ms now) {
  return database_.write([&](write_session& session) {
    const auto changed = session.execute(
        "UPDATE analysis SET status = $1, finished_at = $2, error = $3 WHERE id = $4 AND status IN ('queued', 'running')", to_string(status), now,
        error, analysis_id).value();
    if (changed == 1) drop_added_files(session, analysis_id);
    return changed == 1;
  }, long_timeout);
}

result<std::int64_t, db_error> store::current_files(std::int64_t project_id, const std::function<void(const current_file&)>& each) {
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
  }, long_timeout);
}

result<file_notes, db_error> store::notes_of(std::int64_t file_id) {
  return database_.read([&](read_session& session) {
    const auto rows = session.query("SELECT imports, imports_truncated, reason FROM file WHERE id = $1", file_id).value();
    if (rows.empty()) return file_notes{};
    return file_notes{rows[0].get<std::string>(0), rows[0].get<bool>(1), rows[0].get<std::string>(2)};
  });
}

result<std::vector<file_row>, db_error> store::files(const analysis_record& analysis, const file_query& query, deadline until) {
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
  sql += fmt::format(" ORDER BY {} {}, path {} LIMIT $3", order, direction, direction);
  return database_.read([&](read_session& session) {
    std::vector<file_row> files;
    for (const auto row : session.query(sql, spillway::sql_parameters{parameters}).value()) {
      files.push_back(read_file(row));
      if (with_imports) files.back().imports = row.get<std::string>("imports");
    }
    return files;
  }, until);
}

}  // namespace analysis
