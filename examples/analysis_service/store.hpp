// SPDX-License-Identifier: Apache-2.0
/// @file
/// Everything the server remembers, in one database.
#pragma once

#include "analysis_service/file_query.hpp"
#include "analysis_service/records.hpp"

#include <spillway/db/database.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace analysis {

using spillway::db_error;
using spillway::session_options;

struct store_sql;

/// One version of one file of a project. A version is stored once and belongs to every analysis that found the file unchanged.
struct file_row {
  std::int64_t id{0};
  std::string path;    ///< Printable and one to one with the bytes of the name.
  std::string status;  ///< "analyzed", "binary", ...
  std::string reason;
  std::string language;  ///< Empty if none was recognised.
  std::int64_t size_bytes{0};
  std::int64_t lines{0};
  std::int64_t code{0};
  std::int64_t comment{0};
  std::int64_t blank{0};
  std::int64_t longest_line_bytes{0};
  std::int64_t longest_line_number{0};
  std::vector<std::byte> blob;  ///< The git blob id; empty if the file was not read.
  bool imports_truncated{false};
  std::string imports;          ///< A JSON array.
  std::vector<std::byte> known; ///< What the next analysis needs to tell whether the file has changed; see known_files.
};

/// A version that is valid now, in the few columns that an analysis begins with.
struct current_file {
  std::int64_t id;
  std::string_view path;
  std::span<const std::byte> known;
};

/// What else is kept of one version.
struct file_notes {
  std::string imports{"[]"};
  bool imports_truncated{false};
  std::string reason;
};

/// What an analysis found, against what was there before.
struct snapshot_change {
  std::span<const std::int64_t> superseded;  ///< Row ids of files that changed or are gone.
  std::string_view result;                   ///< The summary as JSON text.
  std::size_t kept;                          ///< How many of the versions before it stay valid.
  std::int64_t scan_started_ns;              ///< By the clock that stamps files. What changed since is read again by the next analysis.
};

/// Projects, analyses and files in a `spillway::database`.
///
/// Files are kept by version: a row is valid from one analysis to another, so an analysis that finds nothing changed writes nothing. What a running
/// analysis adds becomes visible in one transaction, `complete`; until then, and after a crash, nobody sees half of it.
///
/// On PostgreSQL files are kept by month, so that old ones can be dropped: an analysis refers only to versions that were found in the month in which it
/// began, or later. The first of a month takes the unchanged ones over into it.
///
/// Threads: every member may be called from any thread.
/// Errors:  as spillway::database. Not found is an empty optional.
/// Time:    `options` hold the deadline and the consistency token of the request a call is made for; the database's own timeout holds besides.
class store {
 public:
  explicit store(spillway::database database);

  /// Creates or updates the tables.
  spillway::result<void, db_error> prepare();

  spillway::result<project_record, db_error> add_project(const std::string& name, const std::string& path, unix_ms now, const session_options& options = {});
  spillway::result<std::optional<project_record>, db_error> project(std::int64_t id, const session_options& options = {});
  spillway::result<std::optional<project_record>, db_error> project_at(const std::string& path, const session_options& options = {});
  spillway::result<std::vector<project_record>, db_error> projects(std::int64_t after_id, std::int64_t limit, const session_options& options = {});

  /// Conflict (db_errc::unique_violation) if the project has an analysis that is queued or running.
  spillway::result<analysis_record, db_error> add_analysis(std::int64_t project_id, unix_ms now, const session_options& options = {});
  spillway::result<std::optional<analysis_record>, db_error> analysis(std::int64_t id, const session_options& options = {});
  spillway::result<std::vector<analysis_record>, db_error> analyses(std::int64_t project_id, std::int64_t after_id, std::int64_t limit,
                                                                   const session_options& options = {});

  /// The queued analyses, oldest first. What was running when the program died is queued again, or failed after three attempts.
  spillway::result<std::vector<analysis_record>, db_error> recover(unix_ms now, const session_options& options = {});

  /// Marks it running, and drops what an attempt before has added; false if it is no longer queued. What is found from then on is of that moment.
  spillway::result<bool, db_error> begin(std::int64_t analysis_id, unix_ms now, const session_options& options = {});
  /// Puts a running one back into the queue, with what it has added, to be taken up again after a restart.
  spillway::result<void, db_error> pause(std::int64_t analysis_id, const session_options& options = {});
  /// Adds versions that nobody sees yet. Here and in `complete` the analysis is as it was read after `begin`: an attempt that is over changes nothing.
  spillway::result<void, db_error> add_files(const analysis_record& analysis, std::span<const file_row> files);
  /// Shows the snapshot, all at once.
  spillway::result<void, db_error> complete(const analysis_record& analysis, const snapshot_change& change, unix_ms now, const session_options& options = {});
  /// Takes back everything a queued or running analysis added. `status` is failed or cancelled.
  spillway::result<bool, db_error> abandon(std::int64_t analysis_id, analysis_status status, const std::string& error, unix_ms now,
                                           const session_options& options = {});

  /// Gives the versions that are valid now, and returns when the scan that found them began; 0 if there was none.
  spillway::result<std::int64_t, db_error> current_files(std::int64_t project_id, const std::function<void(const current_file&)>& each,
                                                       const session_options& options = {});
  spillway::result<file_notes, db_error> notes_of(std::int64_t file_id, const session_options& options = {});

  /// One page of a complete analysis, at most `query.limit` + 1 rows: one more tells that there is another page.
  spillway::result<std::vector<file_row>, db_error> files(const analysis_record& analysis, const file_query& query, const session_options& options = {});

  /// Whether any of its files are left: those of a month that was dropped are gone.
  spillway::result<bool, db_error> has_files(const analysis_record& analysis, const session_options& options = {});

  [[nodiscard]] spillway::database& database() noexcept { return database_; }
  /// Whether `file` needs a partition for each month.
  [[nodiscard]] bool by_month() const noexcept;

 private:
  spillway::database database_;
  const store_sql* sql_;
};

}  // namespace analysis
