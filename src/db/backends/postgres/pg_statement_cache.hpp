// SPDX-License-Identifier: Apache-2.0
// Which statements one session has prepared on its server.
#pragma once

#include "pg_scan.hpp"

#include <spillway/core/striped_counter.hpp>
#include <spillway/db/sql_value.hpp>

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace spillway::detail {

/// What is known of a statement, and whether the server knows it by its name.
struct pg_prepared {
  std::string key;   // the types of its parameters and its text
  std::string name;  // empty: not kept, sent with its text each time
  std::string_view sql;
  pg_statement_kind kind{pg_statement_kind::plain};
  unsigned parameters{0};
  bool on_server{false};
  std::uint64_t prepared{0};  ///< How often it was sent to be prepared, where statements go out before the answers of others are known.
};

/// Counts of all sessions of one node together.
struct pg_cache_counters {
  striped_counter hits;
  striped_counter misses;
  striped_counter evictions;
};

/// Those used last are kept. What is dropped must be deallocated on the server, too.
///
/// Threads: one at a time.
class pg_statement_cache {
 public:
  pg_statement_cache(std::size_t capacity, pg_cache_counters& counters) noexcept : capacity_{capacity}, counters_{counters} {}

  /// Null if it is not there.
  [[nodiscard]] std::shared_ptr<pg_prepared> find(std::string_view sql, std::span<const sql_value> parameters);
  /// After `find` has not found it.
  [[nodiscard]] std::shared_ptr<pg_prepared> add(const pg_statement& statement, std::string_view sql);

  /// The names to be deallocated; they are then taken for deallocated.
  [[nodiscard]] std::vector<std::string> take_dropped() { return std::exchange(dropped_, {}); }
  void not_dropped(std::string name) { dropped_.push_back(std::move(name)); }
  /// The server knows none of them any more.
  void forget_server() noexcept;

 private:
  /// Longer statements are not worth their memory.
  static constexpr std::size_t sql_limit_bytes{16U << 10U};

  void evict_oldest();

  std::size_t capacity_;
  pg_cache_counters& counters_;
  std::string key_;  // of the last find
  std::list<std::shared_ptr<pg_prepared>> entries_;  // most recently used first
  std::unordered_map<std::string_view, std::list<std::shared_ptr<pg_prepared>>::iterator> by_key_;
  std::vector<std::string> dropped_;
};

}  // namespace spillway::detail
