// SPDX-License-Identifier: Apache-2.0
#include "pg_statement_cache.hpp"

#include "pg_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace spillway::detail {

namespace {

/// FNV-1a, 64 bits: the same statement has the same name in every session, in every process.
std::uint64_t hash_of(std::string_view text) noexcept {
  std::uint64_t hash{0xcbf2'9ce4'8422'2325U};
  for (const char byte : text) {
    hash ^= static_cast<unsigned char>(byte);
    hash *= 0x0000'0100'0000'01b3U;
  }
  return hash;
}

}  // namespace

std::shared_ptr<pg_prepared> pg_statement_cache::find(std::string_view sql, std::span<const sql_value> parameters) {
  key_.clear();
  for (const auto& value : parameters) key_ += pg_parameters::signature_of(value);
  key_ += ' ';
  key_ += sql;
  const auto found = by_key_.find(key_);
  if (found == by_key_.end()) {
    counters_.misses.add();
    return nullptr;
  }
  counters_.hits.add();
  entries_.splice(entries_.begin(), entries_, found->second);
  return *found->second;
}

std::shared_ptr<pg_prepared> pg_statement_cache::add(const pg_statement& statement, std::string_view sql) {
  auto made = std::make_shared<pg_prepared>();
  made->key = key_;
  made->sql = std::string_view{made->key}.substr(key_.size() - sql.size());
  made->kind = statement.kind;
  made->parameters = statement.highest_parameter;
  if (capacity_ == 0 || sql.size() > sql_limit_bytes || !statement.planned) return made;
  auto name = fmt::format("spillway_{:016x}", hash_of(made->key));
  // Two texts of one name: the second does without.
  if (std::ranges::any_of(entries_, [&](const auto& entry) { return entry->name == name; })) return made;
  made->name = std::move(name);
  entries_.push_front(made);
  by_key_.emplace(made->key, entries_.begin());
  if (entries_.size() > capacity_) evict_oldest();
  return made;
}

void pg_statement_cache::evict_oldest() {
  const auto oldest = entries_.back();
  by_key_.erase(oldest->key);
  entries_.pop_back();
  if (oldest->on_server) dropped_.push_back(oldest->name);
  oldest->name.clear();
  counters_.evictions.add();
}

void pg_statement_cache::forget_server() noexcept {
  for (const auto& entry : entries_) entry->on_server = false;
  dropped_.clear();
}

}  // namespace spillway::detail
