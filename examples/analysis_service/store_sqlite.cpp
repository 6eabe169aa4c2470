// SPDX-License-Identifier: Apache-2.0
// SQLite: plain tables.
#include "analysis_service/store_sql.hpp"

#include <array>

namespace analysis {

namespace {

constexpr std::array<std::string_view, 1> sqlite_migrations{R"(
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

}  // namespace

const store_sql sqlite_sql{
    .migrations = sqlite_migrations,
    .by_month = false,
    .renew_versions = {},
    .wait_for_the_dead = {},
    .hold_attempt = "SELECT id FROM analysis WHERE id = $1 AND status = 'running' AND attempts = $2",
};

}  // namespace analysis
