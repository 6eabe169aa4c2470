// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../../db_driver.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>

namespace spillway::detail {

/// Counts what several statements have changed as one would that has only the last of the rows given with equal keys: each returns the keys of
/// the rows it has changed, since the database alone knows which are equal. Of a statement that returns none, all it has changed counts.
class pg_changed_rows final : public row_sink {
 public:
  bool row_added(row_data& rows) override {
    ++statement_[std::string{std::get<std::string_view>(rows.value(0).get())}];
    rows.clear_rows();
    return true;
  }
  void statement_ended(std::uint64_t changed) {
    if (statement_.empty()) without_key_ += changed;
    for (const auto& [key, count] : statement_) last_[key] = count;
    statement_.clear();
  }
  [[nodiscard]] std::uint64_t count() const {
    auto sum = without_key_;
    for (const auto& [key, count] : last_) sum += count;
    return sum;
  }

 private:
  std::map<std::string, std::uint64_t> statement_;
  std::map<std::string, std::uint64_t> last_;
  std::uint64_t without_key_{0};
};

}  // namespace spillway::detail
