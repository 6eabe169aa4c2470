// SPDX-License-Identifier: Apache-2.0
#include "sql_name.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace spillway::detail {

namespace {

void append_quoted(std::string& sql, std::string_view part) {
  sql += '"';
  for (const char c : part) {
    if (c == '"') sql += '"';
    sql += c;
  }
  sql += '"';
}

}  // namespace

result<std::string, db_error> quoted_name(std::string_view name, std::string_view what, std::size_t most_parts) {
  const auto refuse = [&](std::string_view why) -> db_error {
    return {db_errc::wrong_parameters, fmt::format("{} \"{}\": {}", what, name.substr(0, 2 * name_limit_bytes), why)};
  };
  if (name.find('\0') != std::string_view::npos) return db_error{db_errc::wrong_parameters, fmt::format("{}: a name contains a NUL byte", what)};
  std::string sql;
  std::size_t parts{0};
  for (std::size_t at = 0; at <= name.size(); ++parts) {
    const auto end = std::min(name.find('.', at), name.size());
    const auto part = name.substr(at, end - at);
    if (part.empty()) return refuse("a name has at least one byte");
    if (part.size() > name_limit_bytes) return refuse(fmt::format("a name has at most {} bytes", name_limit_bytes));
    if (!sql.empty()) sql += '.';
    append_quoted(sql, part);
    at = end + 1;
  }
  if (parts > most_parts && most_parts == 1) return refuse("a name without a dot is expected");
  if (parts > most_parts) return refuse(fmt::format("at most {} names, separated by dots, are expected", most_parts));
  return sql;
}

}  // namespace spillway::detail
