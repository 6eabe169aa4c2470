// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/report_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace analysis {

namespace {

constexpr std::string_view rule{"------------------------------------------------------------------------------\n"};

void add_row(std::string& out, std::string_view name, std::uint64_t files, std::uint64_t blank, std::uint64_t comment, std::uint64_t code) {
  fmt::format_to(std::back_inserter(out), "{:<28.28}{:>11}{:>13}{:>13}{:>13}\n", name, files, blank, comment, code);
}

}  // namespace

std::string to_table(const run_report& report) {
  const auto& summary = report.summary;
  std::string out{rule};
  fmt::format_to(std::back_inserter(out), "{:<28}{:>11}{:>13}{:>13}{:>13}\n", "Language", "files", "blank", "comment", "code");
  out += rule;
  language_total all;
  for (const auto& one : summary.languages) {
    add_row(out, name_of(one.id), one.files, one.blank, one.comment, one.code);
    all.files += one.files;
    all.blank += one.blank;
    all.comment += one.comment;
    all.code += one.code;
  }
  out += rule;
  add_row(out, "Sum", all.files, all.blank, all.comment, all.code);
  out += rule;
  std::string left_out;
  for (std::size_t i = 0; i < file_status_count; ++i) {
    const auto status = static_cast<file_status>(i);
    if (is_counted(status) || summary.files_by_status[i] == 0) continue;
    fmt::format_to(std::back_inserter(left_out), "{}{} {}", left_out.empty() ? "" : ", ", summary.files_by_status[i], name_of(status));
  }
  if (!left_out.empty()) out.append("Not counted: ").append(left_out).append("\n");
  if (report.longest_line.longest_line_bytes > 0) {
    fmt::format_to(std::back_inserter(out), "Longest line: {} bytes, {}:{}\n", report.longest_line.longest_line_bytes, report.longest_line_path,
                   report.longest_line.longest_line_number);
  }
  fmt::format_to(std::back_inserter(out), "{} files in {:.3f} s: {} read ({:.1f} MB), {} unchanged\n", summary.files,
                 static_cast<double>(report.duration_ms) / 1000.0, summary.files_read, static_cast<double>(summary.bytes_read) / 1e6,
                 summary.unchanged);
  return out;
}

std::string progress_line(const analysis_progress& progress, double seconds, std::size_t width) {
  const auto found = std::max<std::uint64_t>(1, progress.files_found.load());
  const auto done = std::min(progress.files_done.load(), found);
  constexpr std::size_t bar_width{24};
  const auto filled = static_cast<std::size_t>(bar_width * done / found);
  const auto rate = seconds > 0 ? static_cast<double>(progress.bytes_read.load()) / 1e6 / seconds : 0.0;
  auto line = fmt::format("[{}{}] {} of {} files found, {:.0f} MB/s", std::string(filled, '#'), std::string(bar_width - filled, '.'), done, found, rate);
  if (line.size() > width) line.resize(width);
  return line;
}

}  // namespace analysis
