// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spillway/core/striped_counter.hpp>
#include <spillway/db/db_error.hpp>
#include <spillway/db/sql_value.hpp>

#include "../../row_data.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace spillway::detail {

struct sqlite_finalize {
  void operator()(sqlite3_stmt* statement) const noexcept;
};
using sqlite_statement_handle = std::unique_ptr<sqlite3_stmt, sqlite_finalize>;

/// A prepared statement whose parameters are `$1`, `$2`, ...
class sqlite_statement {
 public:
  /// Errors: what SQLite reports; syntax_error for no statement at all, multiple_statements, wrong_parameters for any other way to write
  ///         them, or a gap in their numbers.
  static result<sqlite_statement, db_error> prepare(sqlite3* connection, std::string_view sql, bool persistent);

  [[nodiscard]] sqlite3_stmt* handle() const noexcept { return handle_.get(); }
  [[nodiscard]] bool writes() const noexcept;
  /// The values must live until `reset`.
  result<void, db_error> bind(std::span<const sql_value> values, std::string_view sql);
  /// Appends the current row to `rows`, and the names of the columns if it has none yet.
  result<void, db_error> append_row(row_data& rows, std::string_view sql) const;
  void name_columns(row_data& rows) const;
  void reset() noexcept;

 private:
  sqlite_statement(sqlite_statement_handle handle, std::vector<std::uint16_t> numbers)
      : handle_{std::move(handle)}, numbers_{std::move(numbers)} {}

  sqlite_statement_handle handle_;
  std::vector<std::uint16_t> numbers_;  // the N of `$N`, by SQLite's own index less one
};

/// Counts of all sessions of one database together.
struct sqlite_cache_counters {
  striped_counter hits;
  striped_counter misses;
  striped_counter evictions;
};

/// The prepared statements of one connection, those used last kept.
///
/// Threads: one at a time.
class sqlite_statement_cache {
 public:
  /// A statement out of the cache, or prepared for once: nested use of the same SQL gets one of its own. Reset when it goes.
  class lease {
   public:
    explicit lease(sqlite_statement alone) : alone_{std::make_unique<sqlite_statement>(std::move(alone))}, statement_{alone_.get()} {}
    lease(sqlite_statement& cached, bool& in_use) noexcept : statement_{&cached}, in_use_{&in_use} { in_use = true; }
    lease(lease&& other) noexcept
        : alone_{std::move(other.alone_)}, statement_{std::exchange(other.statement_, nullptr)}, in_use_{std::exchange(other.in_use_, nullptr)} {}
    lease& operator=(lease&&) = delete;
    ~lease() {
      if (statement_ != nullptr) statement_->reset();
      if (in_use_ != nullptr) *in_use_ = false;
    }
    sqlite_statement* operator->() const noexcept { return statement_; }

   private:
    std::unique_ptr<sqlite_statement> alone_;
    sqlite_statement* statement_;
    bool* in_use_{nullptr};
  };

  sqlite_statement_cache(std::size_t capacity, sqlite_cache_counters& counters) noexcept : capacity_{capacity}, counters_{counters} {}

  result<lease, db_error> get(sqlite3* connection, std::string_view sql);
  /// Before the connection is closed. No lease may be left.
  void clear() noexcept;

 private:
  /// Longer statements are not worth their memory.
  static constexpr std::size_t sql_limit_bytes{16U << 10U};

  struct entry {
    std::string sql;
    sqlite_statement statement;
    bool in_use;
  };

  bool evict_one();

  std::size_t capacity_;
  sqlite_cache_counters& counters_;
  std::list<entry> entries_;  // most recently used first
  std::unordered_map<std::string_view, std::list<entry>::iterator> by_sql_;
};

}  // namespace spillway::detail
