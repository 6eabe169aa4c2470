// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spillway/core/result.hpp>
#include <spillway/db/database.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::detail {

/// What a session is opened with: libpq's keywords and values, of a URL and of our own defaults.
class pg_conninfo {
 public:
  /// `url` as libpq takes it, `postgresql://...` or `key=value ...`. What it says wins over the defaults.
  /// Errors: what is wrong with it, never with the password in it.
  static result<pg_conninfo, std::string> parse(std::string_view url, std::string_view application_name);

  /// Null-terminated, as PQconnectStartParams takes them.
  [[nodiscard]] std::vector<const char*> keywords() const;
  [[nodiscard]] std::vector<const char*> values(session_kind kind) const;

  /// "host:port", or the directory of the socket.
  [[nodiscard]] const std::string& where() const noexcept { return where_; }
  /// The name of the one that it leads to, given or not.
  [[nodiscard]] const std::string& database() const noexcept { return database_; }
  /// By what both say, not by what names resolve to.
  [[nodiscard]] bool is_same_server(const pg_conninfo& other) const noexcept;

 private:
  [[nodiscard]] const std::string* find(std::string_view keyword) const noexcept;
  void set_default(std::string_view keyword, std::string_view value);

  std::vector<std::pair<std::string, std::string>> settings_;
  std::string options_[2];  // the value of "options", by session_kind
  std::string where_;
  std::string database_;
};

}  // namespace spillway::detail
