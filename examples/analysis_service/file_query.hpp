// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a client asks of the list of files: which fields, in which order, from where on.
#pragma once

#include <spillway/core/result.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace analysis {

enum class file_field : std::uint8_t {
  path, status, reason, language, size_bytes, lines, code, comment, blank, longest_line_bytes, longest_line_number, blob, imports, imports_truncated,
};

/// The name of a field in the API.
[[nodiscard]] std::string_view name_of(file_field field) noexcept;

/// One page of one list.
struct file_query {
  std::vector<file_field> fields;
  file_field sort{file_field::path};
  bool descending{false};
  std::int64_t limit{100};
  std::optional<std::int64_t> after_row;  ///< The last row the client has seen.
};

/// What is wrong with a parameter, for the one who sent it.
struct query_refusal {
  std::string parameter;
  std::string reason;
};

/// Looks a query parameter up by name.
using parameter_lookup = std::function<std::optional<std::string_view>(std::string_view)>;

/// Reads `fields`, `sort`, `limit` and `cursor`. A cursor belongs to the analysis and the sort order it was made for.
[[nodiscard]] spillway::result<file_query, query_refusal> parse_file_query(const parameter_lookup& parameter, std::int64_t analysis_id);

/// The cursor that continues after a row. It names the row, not its values, so it stays short however long a path is.
[[nodiscard]] std::string encode_cursor(const file_query& query, std::int64_t analysis_id, std::int64_t last_row);

/// Reads `limit`, a whole number in [1, most].
[[nodiscard]] spillway::result<std::int64_t, query_refusal> parse_limit(const parameter_lookup& parameter, std::int64_t most = 1000);

/// Reads `cursor` of lists ordered by id alone: a positive whole number.
[[nodiscard]] spillway::result<std::int64_t, query_refusal> parse_id_cursor(const parameter_lookup& parameter);

}  // namespace analysis
