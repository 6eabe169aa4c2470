// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/file_query.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace analysis {

namespace {

constexpr std::int64_t largest_page{1000};
constexpr std::int64_t largest_page_with_imports{20};  // a file may have a thousand of them

struct field_entry {
  file_field field;
  std::string_view name;
  bool sortable;
};

constexpr std::array<field_entry, 14> field_table{{
    {file_field::path, "path", true},
    {file_field::status, "status", false},
    {file_field::reason, "reason", false},
    {file_field::language, "language", true},
    {file_field::size_bytes, "size_bytes", true},
    {file_field::lines, "lines", true},
    {file_field::code, "code", true},
    {file_field::comment, "comment", true},
    {file_field::blank, "blank", true},
    {file_field::longest_line_bytes, "longest_line_bytes", true},
    {file_field::longest_line_number, "longest_line_number", false},
    {file_field::blob, "blob", false},
    {file_field::imports, "imports", false},
    {file_field::imports_truncated, "imports_truncated", false},
}};

const field_entry* find_field(std::string_view name) {
  const auto found = std::ranges::find(field_table, name, &field_entry::name);
  return found == field_table.end() ? nullptr : &*found;
}

const field_entry& entry_of(file_field field) { return *std::ranges::find(field_table, field, &field_entry::field); }

std::string names_where(bool sortable_only) {
  std::string names;
  for (const auto& entry : field_table) {
    if (sortable_only && !entry.sortable) continue;
    if (!names.empty()) names += ", ";
    names += entry.name;
  }
  return names;
}

/// Bounded, so that an error never repeats a megabyte of what was sent.
std::string_view shown(std::string_view text) { return text.substr(0, 64); }

template <class T>
std::optional<T> whole_number(std::string_view text) {
  T value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string order_name(const file_query& query) { return (query.descending ? "-" : "") + std::string{name_of(query.sort)}; }

/// "analysis.order.row"
std::optional<std::int64_t> decode_cursor(std::string_view text, const file_query& query, std::int64_t analysis_id) {
  const auto prefix = fmt::format("{}.{}.", analysis_id, order_name(query));
  if (!text.starts_with(prefix)) return std::nullopt;
  const auto row = whole_number<std::int64_t>(text.substr(prefix.size()));
  return row && *row > 0 ? row : std::nullopt;
}

spillway::result<std::vector<file_field>, query_refusal> parse_fields(std::string_view text) {
  std::vector<file_field> fields;
  for (;;) {
    const auto comma = text.find(',');
    const auto name = text.substr(0, comma);
    const auto* entry = find_field(name);
    if (entry == nullptr) {
      return query_refusal{"fields", fmt::format("'{}' is no field; allowed: {}", shown(name), names_where(false))};
    }
    if (std::ranges::find(fields, entry->field) != fields.end()) {
      return query_refusal{"fields", fmt::format("'{}' is named twice", name)};
    }
    fields.push_back(entry->field);
    if (comma == std::string_view::npos) return fields;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

std::string_view name_of(file_field field) noexcept { return entry_of(field).name; }

spillway::result<std::int64_t, query_refusal> parse_limit(const parameter_lookup& parameter, std::int64_t most) {
  const auto text = parameter("limit");
  if (!text) return std::min<std::int64_t>(100, most);
  const auto limit = whole_number<std::int64_t>(*text);
  if (!limit || *limit < 1 || *limit > most) {
    return query_refusal{"limit", fmt::format("'{}' is not a whole number in [1, {}]{}", shown(*text), most,
                                              most == largest_page_with_imports ? ", the range with the field imports" : "")};
  }
  return *limit;
}

spillway::result<std::int64_t, query_refusal> parse_id_cursor(const parameter_lookup& parameter) {
  const auto text = parameter("cursor");
  if (!text) return std::int64_t{0};
  const auto id = whole_number<std::int64_t>(*text);
  if (!id || *id < 1) return query_refusal{"cursor", fmt::format("'{}' is not a cursor of this list; use next_cursor of a page", shown(*text))};
  return *id;
}

spillway::result<file_query, query_refusal> parse_file_query(const parameter_lookup& parameter, std::int64_t analysis_id) {
  file_query query;
  if (const auto text = parameter("fields")) {
    auto fields = parse_fields(*text);
    if (!fields) return fields.error();
    query.fields = std::move(*fields);
  } else {
    for (const auto& entry : field_table) {
      if (entry.field != file_field::imports) query.fields.push_back(entry.field);
    }
  }
  if (auto text = parameter("sort")) {
    const auto given = *text;
    query.descending = text->starts_with('-');
    if (query.descending) text->remove_prefix(1);
    const auto* entry = find_field(*text);
    if (entry == nullptr || !entry->sortable) {
      return query_refusal{"sort", fmt::format("'{}' is no sort order; allowed: {}, each with '-' in front for descending", shown(given),
                                               names_where(true))};
    }
    query.sort = entry->field;
  }
  const bool imports = std::ranges::find(query.fields, file_field::imports) != query.fields.end();
  const auto limit = parse_limit(parameter, imports ? largest_page_with_imports : largest_page);
  if (!limit) return limit.error();
  query.limit = *limit;
  if (const auto text = parameter("cursor")) {
    query.after_row = decode_cursor(*text, query, analysis_id);
    if (!query.after_row) {
      return query_refusal{"cursor", "it is not a cursor of this list in this order; use next_cursor of a page, with the same sort"};
    }
  }
  return query;
}

std::string encode_cursor(const file_query& query, std::int64_t analysis_id, std::int64_t last_row) {
  return fmt::format("{}.{}.{}", analysis_id, order_name(query), last_row);
}

}  // namespace analysis
