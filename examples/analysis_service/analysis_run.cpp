// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/analysis_run.hpp"

#include "analysis_service/known_files.hpp"
#include "analyzer/text_encoding.hpp"

#include <spillway/http/json_escape.hpp>

#include <fmt/format.h>

#include <chrono>
#include <iterator>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace analysis {

namespace {

constexpr std::size_t rows_per_transaction{1'000};

tree_options options_of(const run_options& options) {
  tree_options tree;
  tree.threads = options.threads;
  tree.walk.max_files = options.max_files;
  tree.file.max_file_bytes = options.max_file_bytes;
  tree.progress = options.progress;
  return tree;
}

void note_longest_line(run_report& report, const file_analysis& file) {
  if (file.counts.longest_line_bytes < report.longest_line.longest_line_bytes || file.counts.longest_line_bytes == 0) return;
  auto path = displayable(file.path);
  // Of equals the first by name, whichever thread came first.
  if (file.counts.longest_line_bytes == report.longest_line.longest_line_bytes && path >= report.longest_line_path) return;
  report.longest_line = file.counts;
  report.longest_line_path = std::move(path);
}

std::int64_t milliseconds_since(const spillway::clock_source& clock, spillway::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(clock.now() - start).count();
}

void fail(tree_summary& summary, std::string message) {
  summary.outcome = tree_outcome::failed;
  summary.message = std::move(message);
}

/// The part that writes: the walk, the versions it adds, and the snapshot.
void fill(run_report& report, store& records, const analysis_record& analysis, file_descriptor directory, const run_options& options,
          const spillway::clock_source& clock, std::stop_token stop) {
  const auto start = clock.now();
  known_files known{records, analysis.project_id, options.max_file_bytes, options.seen};
  auto tree = options_of(options);
  tree.earlier_started_at_ns = known.scan_started_ns();
  tree.known_file = [&known](std::string_view path, const file_identity& identity) { return known.unchanged(path, identity); };
  tree.file.known_content = [&known](const blob_id& blob, language id) { return known.with_content(blob, id); };

  std::vector<file_row> rows;
  const auto flush = [&] {
    if (!rows.empty()) records.add_files(analysis, rows).value();
    rows.clear();
  };
  report.summary = analyze_tree(directory.release(), tree, [&](std::span<file_analysis> files) {
    for (const auto& file : files) {
      note_longest_line(report, file);
      if (!known.keep(file)) rows.push_back(to_row(file));
      if (rows.size() >= rows_per_transaction) flush();
    }
  }, stop);
  if (report.summary.outcome != tree_outcome::completed) return;
  if (report.summary.file_limit_reached) {
    fail(report.summary, fmt::format("the tree has more than {} files, which is the configured limit", options.max_files));
    return;
  }
  flush();
  report.duration_ms = milliseconds_since(clock, start);
  if (options.may_complete && !options.may_complete()) {
    report.summary.outcome = tree_outcome::cancelled;
    return;
  }
  const auto superseded = known.superseded();
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(clock.wall_now().time_since_epoch()).count();
  const auto result = to_json(report);
  spillway::session_options tell;
  tell.token = &report.shown;
  records.complete(analysis, {superseded, result, known.kept(), report.summary.started_at_ns}, now, tell).value();
}

}  // namespace

std::string to_json(const run_report& report) {
  const auto& summary = report.summary;
  language_total all;
  for (const auto& one : summary.languages) {
    all.files += one.files;
    all.bytes += one.bytes;
    all.code += one.code;
    all.comment += one.comment;
    all.blank += one.blank;
  }
  const auto counts = [](const language_total& total) {
    return fmt::format(R"("files":{},"bytes":{},"lines":{},"code":{},"comment":{},"blank":{})", total.files, total.bytes,
                       total.code + total.comment + total.blank, total.code, total.comment, total.blank);
  };
  std::string text = fmt::format(
      R"({{"duration_ms":{},"files_found":{},"files_read":{},"bytes_read":{},"files_unchanged":{},"files_of_known_content":{},"totals":{{{}}},"languages":[)",
      report.duration_ms, summary.files, summary.files_read, summary.bytes_read, summary.unchanged, summary.known_content, counts(all));
  for (const auto& one : summary.languages) {
    if (text.back() != '[') text += ',';
    text.append(R"({"language":)");
    spillway::append_json_string(text, name_of(one.id));
    fmt::format_to(std::back_inserter(text), ",{}}}", counts(one));
  }
  text.append(R"(],"files_by_status":{)");
  for (std::size_t i = 0; i < file_status_count; ++i) {
    fmt::format_to(std::back_inserter(text), R"({}"{}":{})", i == 0 ? "" : ",", name_of(static_cast<file_status>(i)), summary.files_by_status[i]);
  }
  text.append(R"(},"longest_line":)");
  if (report.longest_line.longest_line_bytes == 0) return text.append("null}");
  text.append(R"({"path":)");
  spillway::append_json_string(text, report.longest_line_path);
  fmt::format_to(std::back_inserter(text), R"(,"line":{},"bytes":{}}}}})", report.longest_line.longest_line_number,
                 report.longest_line.longest_line_bytes);
  return text;
}

run_report run_analysis(store& records, const analysis_record& analysis, file_descriptor directory, const run_options& options,
                        const spillway::clock_source& clock, std::stop_token stop) {
  run_report report;
  try {
    fill(report, records, analysis, std::move(directory), options, clock, std::move(stop));
  } catch (const std::exception& failure) {
    fail(report.summary, failure.what());
  }
  return report;
}

run_report run_analysis(file_descriptor directory, const run_options& options, const spillway::clock_source& clock, std::stop_token stop) {
  run_report report;
  const auto start = clock.now();
  report.summary = analyze_tree(directory.release(), options_of(options), [&](std::span<file_analysis> files) {
    for (const auto& file : files) note_longest_line(report, file);
  }, std::move(stop));
  if (report.summary.outcome == tree_outcome::completed && report.summary.file_limit_reached) {
    fail(report.summary, fmt::format("the tree has more than {} files, which is the configured limit", options.max_files));
  }
  report.duration_ms = milliseconds_since(clock, start);
  return report;
}

}  // namespace analysis
