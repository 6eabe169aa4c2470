// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/json_text.hpp"

#include <spillway/http/json_escape.hpp>

#include <boost/json.hpp>

#include <fmt/format.h>

#include <chrono>
#include <iterator>

namespace analysis {

namespace {

std::string json_string(std::string_view text) {
  std::string out;
  spillway::append_json_string(out, text);
  return out;
}

std::string time_or_null(const std::optional<unix_ms>& time) { return time ? json_string(utc_text(*time)) : "null"; }

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const auto byte : bytes) fmt::format_to(std::back_inserter(text), "{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

std::string field_json(const file_row& file, file_field field) {
  switch (field) {
    case file_field::path: return json_string(file.path);
    case file_field::status: return json_string(file.status);
    case file_field::reason: return file.reason.empty() ? "null" : json_string(file.reason);
    case file_field::language: return file.language.empty() ? "null" : json_string(file.language);
    case file_field::size_bytes: return std::to_string(file.size_bytes);
    case file_field::lines: return std::to_string(file.lines);
    case file_field::code: return std::to_string(file.code);
    case file_field::comment: return std::to_string(file.comment);
    case file_field::blank: return std::to_string(file.blank);
    case file_field::longest_line_bytes: return std::to_string(file.longest_line_bytes);
    case file_field::longest_line_number: return std::to_string(file.longest_line_number);
    case file_field::blob: return file.blob.empty() ? "null" : json_string(hex(file.blob));
    case file_field::imports: return file.imports.empty() ? "[]" : file.imports;
    case file_field::imports_truncated: return file.imports_truncated ? "true" : "false";
  }
  return "null";
}

}  // namespace

std::string utc_text(unix_ms time) {
  using namespace std::chrono;
  const sys_time<milliseconds> at{milliseconds{time}};
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss clock{at - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

std::string to_json(const project_record& project) {
  return fmt::format(R"({{"id":{},"name":{},"path":{},"created_at":{}}})", project.id, json_string(project.name),
                     json_string(project.path.empty() ? "." : project.path), json_string(utc_text(project.created_at)));
}

std::string to_json(const analysis_record& analysis, const std::optional<progress_snapshot>& progress) {
  std::string text = fmt::format(
      R"({{"id":{},"project_id":{},"status":{},"attempts":{},"created_at":{},"started_at":{},"finished_at":{},"error":{})", analysis.id,
      analysis.project_id, json_string(to_string(analysis.status)), analysis.attempts, json_string(utc_text(analysis.created_at)),
      time_or_null(analysis.started_at), time_or_null(analysis.finished_at), analysis.error.empty() ? "null" : json_string(analysis.error));
  if (progress) {
    fmt::format_to(std::back_inserter(text), R"(,"progress":{{"files_found":{},"files_done":{},"files_read":{},"bytes_read":{}}})",
                   progress->files_found, progress->files_done, progress->files_read, progress->bytes_read);
  }
  text.append(R"(,"result":)").append(analysis.result.empty() ? "null" : analysis.result).append("}");
  return text;
}

std::int64_t files_found(const analysis_record& analysis) {
  boost::system::error_code failure;
  const auto result = boost::json::parse(analysis.result, failure);
  const auto* object = failure ? nullptr : result.if_object();
  const auto* count = object == nullptr ? nullptr : object->if_contains("files_found");
  return count == nullptr ? 0 : count->to_number<std::int64_t>();
}

std::string page_json(std::span<const std::string> items, const std::optional<std::string>& next_cursor) {
  std::string text{R"({"items":[)"};
  for (const auto& item : items) {
    if (&item != items.data()) text += ',';
    text += item;
  }
  return text.append(R"(],"next_cursor":)").append(next_cursor ? json_string(*next_cursor) : "null").append("}");
}

std::string to_json(const file_row& file, std::span<const file_field> fields) {
  std::string text{"{"};
  for (const auto field : fields) {
    if (text.size() > 1) text += ',';
    text.append("\"").append(name_of(field)).append("\":").append(field_json(file, field));
  }
  return text.append("}");
}

}  // namespace analysis
