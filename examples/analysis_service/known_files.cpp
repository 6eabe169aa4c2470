// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/known_files.hpp"

#include "analyzer/text_encoding.hpp"

#include <spillway/http/json_escape.hpp>

#include <boost/endian/conversion.hpp>
#include <boost/json.hpp>

#include <algorithm>
#include <cstring>

namespace analysis {

namespace {

/// No file has this: a version whose identity cannot be trusted is never taken for unchanged.
constexpr std::int64_t no_time{INT64_MIN};

std::string imports_json(const std::vector<import_edge>& edges) {
  std::string text{"["};
  for (const auto& edge : edges) {
    if (text.size() > 1) text += ',';
    text.append(R"({"kind":")").append(name_of(edge.kind)).append(R"(","target":)");
    spillway::append_json_string(text, edge.target);
    text.append(R"(,"line":)").append(std::to_string(edge.line)).append("}");
  }
  return text.append("]");
}

/// What `imports_json` wrote.
std::vector<import_edge> imports_from_json(const std::string& text) {
  std::vector<import_edge> edges;
  boost::system::error_code failure;
  const auto document = boost::json::parse(text, failure);
  if (failure || !document.is_array()) return edges;
  for (const auto& element : document.get_array()) {
    const auto& object = element.as_object();
    import_edge edge;
    const std::string_view kind{object.at("kind").as_string().data(), object.at("kind").as_string().size()};
    for (const auto candidate : {edge_kind::quoted_include, edge_kind::angled_include, edge_kind::import, edge_kind::submodule}) {
      if (name_of(candidate) == kind) edge.kind = candidate;
    }
    edge.target = object.at("target").as_string().c_str();
    edge.line = object.at("line").to_number<std::uint32_t>();
    edges.push_back(std::move(edge));
  }
  return edges;
}

bool same_version(const file_analysis& left, const file_analysis& right) {
  return left.status == right.status && left.id == right.id && left.identity == right.identity && left.blob == right.blob &&
         left.counts == right.counts;
}

/// By displayable path, which is the path itself for nearly all: those need no copy.
template <class Map>
auto* version_at(Map& by_path, std::string_view path) {
  const bool plain = std::ranges::all_of(path, [](char c) { return c >= 0x20 && c < 0x7f && c != '\\'; });
  const auto found = plain ? by_path.find(path) : by_path.find(displayable(path));
  return found == by_path.end() ? nullptr : &found->second;
}

constexpr unsigned char packed_format{1};  // to be raised with every change of the layout, of the order of file_status, and of what is counted
constexpr std::size_t packed_numbers{9};
constexpr std::size_t packed_bytes{1 + packed_numbers * 8 + std::tuple_size_v<blob_id> + 2};  // and the name of the language

/// The format, the numbers in little-endian order, the blob id, whether there is one, the status, and the name of the language.
std::vector<std::byte> pack(const file_analysis& file) {
  const auto language_name = file.id == language::unknown ? std::string_view{} : name_of(file.id);
  std::vector<std::byte> packed(packed_bytes + language_name.size());
  auto* at = reinterpret_cast<unsigned char*>(packed.data());
  *at++ = packed_format;
  const auto& counts = file.counts;
  for (const auto number : {file.identity.size, static_cast<std::uint64_t>(file.changed_while_reading ? no_time : file.identity.mtime_ns),
                            static_cast<std::uint64_t>(file.identity.ctime_ns), file.identity.inode, counts.code, counts.comment, counts.blank,
                            counts.longest_line_bytes, counts.longest_line_number}) {
    boost::endian::store_little_u64(at, number);
    at += 8;
  }
  if (file.blob) std::memcpy(at, file.blob->data(), file.blob->size());
  at += std::tuple_size_v<blob_id>;
  *at++ = file.blob.has_value() ? 1 : 0;
  *at++ = static_cast<unsigned char>(file.status);
  std::ranges::copy(language_name, at);
  return packed;
}

/// What `pack` made; anything else becomes a version that equals no file.
file_analysis unpack(std::span<const std::byte> packed) {
  file_analysis file;
  file.identity.mtime_ns = no_time;
  if (packed.size() < packed_bytes || packed.front() != std::byte{packed_format}) return file;
  const auto* at = reinterpret_cast<const unsigned char*>(packed.data()) + 1;
  const auto number = [&at] {
    const auto value = boost::endian::load_little_u64(at);
    at += 8;
    return value;
  };
  file.identity.size = number();
  file.identity.mtime_ns = static_cast<std::int64_t>(number());
  file.identity.ctime_ns = static_cast<std::int64_t>(number());
  file.identity.inode = number();
  file.counts.code = number();
  file.counts.comment = number();
  file.counts.blank = number();
  file.counts.longest_line_bytes = number();
  file.counts.longest_line_number = number();
  if (at[std::tuple_size_v<blob_id>] != 0) {
    file.blob.emplace();
    std::memcpy(file.blob->data(), at, file.blob->size());
  }
  at += std::tuple_size_v<blob_id> + 1;
  file.status = *at < file_status_count ? static_cast<file_status>(*at) : file_status::unreadable;
  const auto name = packed.subspan(packed_bytes);
  if (!name.empty()) file.id = language_named({reinterpret_cast<const char*>(name.data()), name.size()});
  return file;
}

}  // namespace

file_row to_row(const file_analysis& file) {
  file_row row;
  row.path = displayable(file.path);
  row.status = name_of(file.status);
  row.reason = file.changed_while_reading ? "the file changed while it was read" : displayable(file.reason);
  row.language = file.id == language::unknown ? std::string_view{} : name_of(file.id);
  row.size_bytes = static_cast<std::int64_t>(file.identity.size);
  row.lines = static_cast<std::int64_t>(file.counts.lines());
  row.code = static_cast<std::int64_t>(file.counts.code);
  row.comment = static_cast<std::int64_t>(file.counts.comment);
  row.blank = static_cast<std::int64_t>(file.counts.blank);
  row.longest_line_bytes = static_cast<std::int64_t>(file.counts.longest_line_bytes);
  row.longest_line_number = static_cast<std::int64_t>(file.counts.longest_line_number);
  if (file.blob) {
    row.blob.resize(file.blob->size());
    std::memcpy(row.blob.data(), file.blob->data(), file.blob->size());
  }
  row.imports_truncated = file.imports_truncated;
  row.imports = imports_json(file.imports);
  row.known = pack(file);
  return row;
}

known_files::known_files(store& records, std::int64_t project_id, std::uint64_t max_file_bytes, const spillway::consistency_token& seen)
    : records_{records}, max_file_bytes_{max_file_bytes}, seen_{seen} {
  spillway::session_options fresh;
  fresh.token = &seen_;
  scan_started_ns_ = records.current_files(project_id, [this](const current_file& file) {
    by_path_.emplace(file.path, version{file.id, false, unpack(file.known)});
  }, fresh).value();
}

std::optional<file_analysis> known_files::unchanged(std::string_view path, const file_identity& identity) const {
  const auto* known = version_at(by_path_, path);
  if (known == nullptr || known->content.identity != identity) return std::nullopt;
  const auto status = known->content.status;
  // What could not be read may be readable by now, and the limit may be another.
  if (status == file_status::unreadable || (status == file_status::too_large) != (identity.size > max_file_bytes_)) return std::nullopt;
  return known->content;
}

std::optional<file_analysis> known_files::with_content(const blob_id& blob, language id) const {
  std::call_once(indexed_, [this] {
    for (const auto& [path, known] : by_path_) {
      if (known.content.blob && is_counted(known.content.status)) by_content_.emplace(std::pair{*known.content.blob, known.content.id}, &known);
    }
  });
  const auto found = by_content_.find({blob, id});
  if (found == by_content_.end()) return std::nullopt;
  auto file = found->second->content;
  auto seen = seen_;  // several threads ask at once
  spillway::session_options fresh;
  fresh.token = &seen;
  auto notes = records_.notes_of(found->second->row_id, fresh).value();
  file.imports = imports_from_json(notes.imports);
  file.imports_truncated = notes.imports_truncated;
  file.reason = std::move(notes.reason);
  return file;
}

bool known_files::keep(const file_analysis& found) {
  auto* known = version_at(by_path_, found.path);
  if (known == nullptr) return false;
  known->kept = found.origin == file_origin::unchanged || (!found.changed_while_reading && same_version(found, known->content));
  return known->kept;
}

std::vector<std::int64_t> known_files::superseded() const {
  std::vector<std::int64_t> rows;
  for (const auto& [path, known] : by_path_) {
    if (!known.kept) rows.push_back(known.row_id);
  }
  return rows;
}

std::size_t known_files::kept() const {
  return static_cast<std::size_t>(std::ranges::count_if(by_path_, [](const auto& entry) { return entry.second.kept; }));
}

}  // namespace analysis
