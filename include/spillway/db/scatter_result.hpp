// SPDX-License-Identifier: Apache-2.0
/// @file
/// What several databases answered to one question.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/db/db_error.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace spillway {

namespace detail {
/// The error with the number of its shard in front.
[[nodiscard]] SPILLWAY_EXPORT db_error error_of_shard(std::size_t shard, const db_error& error);
}  // namespace detail

/// The answers in the order of the shards. A shard that failed, or was late (db_errc::timed_out), does not spoil the others.
///
///     auto counts = shards.scatter(count_items, 500ms);
///     for (auto count : std::move(counts).all().value()) total += count;      // all of them, or the first error
///     for (auto count : std::move(counts).partial()) at_least += count;       // those that came in time
template <class T>
class scatter_result {
 public:
  explicit scatter_result(std::vector<result<T, db_error>> shards) noexcept : shards_{std::move(shards)} {}

  [[nodiscard]] const std::vector<result<T, db_error>>& shards() const noexcept { return shards_; }
  [[nodiscard]] std::size_t failed() const noexcept {
    std::size_t count{0};
    for (const auto& shard : shards_) count += shard.has_error() ? 1U : 0U;
    return count;
  }
  [[nodiscard]] bool complete() const noexcept { return failed() == 0; }

  /// The answers of all shards, or the first error, which names its shard.
  [[nodiscard]] result<std::vector<T>, db_error> all() &&
    requires(!std::is_void_v<T>)
  {
    std::vector<T> values;
    values.reserve(shards_.size());
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      if (!shards_[i]) return detail::error_of_shard(i, shards_[i].error());
      values.push_back(std::move(*shards_[i]));
    }
    return values;
  }

  /// The answers of those that gave one.
  [[nodiscard]] std::vector<T> partial() &&
    requires(!std::is_void_v<T>)
  {
    std::vector<T> values;
    for (auto& shard : shards_) {
      if (shard) values.push_back(std::move(*shard));
    }
    return values;
  }

 private:
  std::vector<result<T, db_error>> shards_;
};

}  // namespace spillway
