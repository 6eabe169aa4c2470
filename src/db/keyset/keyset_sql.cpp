// SPDX-License-Identifier: Apache-2.0
#include "keyset_sql.hpp"

#include "db/sql_name.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

namespace spillway::detail {

namespace {

/// One column as the direction of travel sees it.
struct travelled {
  std::string name;
  std::string output;  ///< What the result calls it.
  bool descending;
  bool nullable;
  bool nulls_first;
};

std::vector<travelled> travelled_columns(const keyset_config& config, bool backward) {
  std::vector<travelled> made;
  for (const auto& column : config.sort) {
    made.push_back({quoted_name(column.name, "sort", 3).value(), quoted_name(last_part(column.name), "sort", 1).value(),
                    (column.direction == sort_direction::descending) != backward, column.nulls != sort_nulls::none,
                    (column.nulls == sort_nulls::first) != backward});
  }
  return made;
}

std::string order_of(const std::vector<travelled>& columns, std::string travelled::*name) {
  std::vector<std::string> terms;
  for (const auto& column : columns) {
    terms.push_back(column.*name + (column.descending ? " DESC" : "") +
                    (!column.nullable ? "" : column.nulls_first ? " NULLS FIRST" : " NULLS LAST"));
  }
  return fmt::format("{}", fmt::join(terms, ", "));
}

class page_sql {
 public:
  page_sql(const keyset_config& config, const keyset_start& start, std::size_t parameters, std::size_t rows)
      : config_{config}, start_{start}, parameters_{parameters}, rows_{rows}, columns_{travelled_columns(config, start.backward)} {}

  keyset_statement made() && {
    const auto conditions = start_.values.empty() ? std::vector<std::string>{""} : ranges();
    if (conditions.size() == 1) return {select(conditions.front()), std::move(used_)};
    std::string sql;
    for (std::size_t i = 0; i < conditions.size(); ++i) {
      sql += fmt::format("{}SELECT * FROM ({}) AS range_{}", i == 0 ? "" : " UNION ALL ", select(conditions[i]), i + 1);
    }
    sql += fmt::format(" ORDER BY {} LIMIT {}", order_of(columns_, &travelled::output), rows_);
    return {std::move(sql), std::move(used_)};
  }

 private:
  [[nodiscard]] std::string select(std::string_view range) const {
    std::string where;
    if (!config_.where.empty()) where = fmt::format("({})", config_.where);
    if (!range.empty()) where += fmt::format("{}{}", where.empty() ? "" : " AND ", range);
    return fmt::format("SELECT {} FROM {}{}{} ORDER BY {} LIMIT {}", config_.select, config_.from, where.empty() ? "" : " WHERE ", where,
                       order_of(columns_, &travelled::name), rows_);
  }

  /// The parameter that carries a sorted value.
  std::string value(std::size_t column) {
    auto at = std::ranges::find(used_, column);
    if (at == used_.end()) at = used_.insert(used_.end(), column);
    return fmt::format("${}", parameters_ + 1 + static_cast<std::size_t>(at - used_.begin()));
  }

  [[nodiscard]] bool one_comparison_will_do() const {
    return std::ranges::all_of(columns_, [&](const travelled& column) {
      return !column.nullable && column.descending == columns_.front().descending;
    });
  }

  std::vector<std::string> ranges() {
    if (one_comparison_will_do()) return {row_comparison()};
    std::vector<std::string> made;
    for (auto i = columns_.size(); i-- > 0;) {
      std::string same;
      for (std::size_t earlier = 0; earlier < i; ++earlier) same += equal(earlier) + " AND ";
      for (const auto& later : behind(i)) made.push_back(same + later);
    }
    if (made.empty()) made.emplace_back("1 = 0");  // the one column is null, and nulls come last
    return made;
  }

  std::string row_comparison() {
    std::vector<std::string> names;
    std::vector<std::string> values;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      names.push_back(columns_[i].name);
      values.push_back(value(i));
    }
    const char* compare = columns_.front().descending ? "<" : ">";
    if (names.size() == 1) return fmt::format("{} {} {}", names[0], compare, values[0]);
    return fmt::format("({}) {} ({})", fmt::join(names, ", "), compare, fmt::join(values, ", "));
  }

  std::string equal(std::size_t i) {
    if (start_.values[i].is_null()) return columns_[i].name + " IS NULL";
    return fmt::format("{} = {}", columns_[i].name, value(i));
  }

  std::vector<std::string> behind(std::size_t i) {
    const auto& column = columns_[i];
    if (start_.values[i].is_null()) {
      if (!column.nulls_first) return {};
      return {column.name + " IS NOT NULL"};
    }
    std::vector<std::string> made{fmt::format("{} {} {}", column.name, column.descending ? "<" : ">", value(i))};
    if (column.nullable && !column.nulls_first) made.push_back(column.name + " IS NULL");
    return made;
  }

  const keyset_config& config_;
  const keyset_start& start_;
  std::size_t parameters_;
  std::size_t rows_;
  std::vector<travelled> columns_;
  std::vector<std::size_t> used_;
};

}  // namespace

keyset_statement keyset_sql(const keyset_config& config, const keyset_start& start, std::size_t parameters, std::size_t rows) {
  return page_sql{config, start, parameters, rows}.made();
}

}  // namespace spillway::detail
