// SPDX-License-Identifier: Apache-2.0
// PostgreSQL: the files in partitions by month. Text that is sorted or unique is compared by its bytes, as in SQLite.
#include "analysis_service/store_sql.hpp"

#include <array>

namespace analysis {

namespace {

constexpr std::array<std::string_view, 1> postgres_migrations{R"(
  CREATE TABLE project (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    path TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
  );
  -- Not of the path itself: a long one does not fit into an index of PostgreSQL.
  CREATE UNIQUE INDEX project_of_path ON project (md5(path));
  CREATE TABLE analysis (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id BIGINT NOT NULL REFERENCES project (id),
    status TEXT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    scan_started_ns BIGINT NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    result TEXT NOT NULL DEFAULT ''
  );
  CREATE UNIQUE INDEX analysis_active ON analysis (project_id) WHERE status IN ('queued', 'running');
  CREATE INDEX analysis_of_project ON analysis (project_id, id);
  -- No foreign key to project, which would have every new partition wait for those who write there; no project is ever deleted.
  CREATE TABLE file (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    project_id BIGINT NOT NULL,
    found_at BIGINT NOT NULL,
    first_analysis BIGINT NOT NULL,
    last_analysis BIGINT NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    language TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    lines BIGINT NOT NULL,
    code BIGINT NOT NULL,
    comment BIGINT NOT NULL,
    blank BIGINT NOT NULL,
    longest_line_bytes BIGINT NOT NULL,
    longest_line_number BIGINT NOT NULL,
    blob BYTEA NOT NULL,
    imports_truncated BOOLEAN NOT NULL,
    imports TEXT NOT NULL,
    known BYTEA NOT NULL,
    PRIMARY KEY (id, found_at)
  ) PARTITION BY RANGE (found_at);
  CREATE INDEX file_of_project ON file (project_id, first_analysis);
  CREATE INDEX file_by_first_analysis ON file (first_analysis);
  CREATE INDEX file_current ON file (project_id) WHERE last_analysis = 9223372036854775807;
)"};

constexpr std::string_view renew_versions{R"(
  WITH kept AS (
    UPDATE file SET last_analysis = $1::bigint - 1
    WHERE project_id = $2::bigint AND last_analysis = 9223372036854775807 AND found_at < $3::bigint
    RETURNING path, status, reason, language, size_bytes, lines, code, comment, blank, longest_line_bytes, longest_line_number, blob, imports_truncated,
      imports, known
  )
  INSERT INTO file (project_id, found_at, first_analysis, last_analysis, path, status, reason, language, size_bytes, lines, code, comment, blank,
    longest_line_bytes, longest_line_number, blob, imports_truncated, imports, known)
  SELECT $2::bigint, $4::bigint, $1::bigint, 9223372036854775807, path, status, reason, language, size_bytes, lines, code, comment, blank,
    longest_line_bytes, longest_line_number, blob, imports_truncated, imports, known
  FROM kept
)"};

}  // namespace

// A server goes on with a statement for a moment after the program that sent it was killed. What it still adds to an analysis must not come after the
// next attempt has dropped what this one had added: so the row is held while files are added, and an attempt that is over adds nothing.
const store_sql postgres_sql{
    .migrations = postgres_migrations,
    .by_month = true,
    .renew_versions = renew_versions,
    .wait_for_the_dead = "LOCK TABLE analysis IN EXCLUSIVE MODE",
    .hold_attempt = "SELECT id FROM analysis WHERE id = $1 AND status = 'running' AND attempts = $2 FOR SHARE",
};

}  // namespace analysis
