// SPDX-License-Identifier: Apache-2.0
#include "keyset_sql.hpp"

#include "db/sql_name.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
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
  page_sql(const keyset_config& config, const keyset_start& start, std::size_t parameters)
      : config_{config}, start_{start}, parameters_{parameters}, columns_{travelled_columns(config, start.backward)} {}

  keyset_statement joined(std::size_t rows) {
    const auto limit = fmt::format("{}", rows);
    const auto all = ranges();
    if (all.size() == 1) return {select(condition(all.front()), limit), used_};
    std::string sql;
    for (std::size_t i = 0; i < all.size(); ++i) {
      sql += fmt::format("{}SELECT * FROM ({}) AS range_{}", i == 0 ? "" : " UNION ALL ", select(condition(all[i]), limit), i + 1);
    }
    sql += fmt::format(" ORDER BY {} LIMIT {}", order_of(columns_, &travelled::output), limit);
    return {std::move(sql), used_};
  }

  std::vector<keyset_statement> each() {
    std::vector<keyset_statement> made;
    for (const auto& next : ranges()) {
      used_.clear();
      const auto where = condition(next);
      made.push_back({select(where, fmt::format("${}", parameters_ + used_.size() + 1)), used_});
    }
    return made;
  }

 private:
  /// Rows that agree with the place in the columns before this one, and in this one lie behind it.
  struct range {
    enum class part : std::uint8_t { all, nothing, behind_row, behind, nulls, no_nulls };
    part what;
    std::size_t column{0};
  };

  [[nodiscard]] std::string select(std::string_view behind, std::string_view limit) const {
    std::string where;
    if (!config_.where.empty()) where = fmt::format("({})", config_.where);
    if (!behind.empty()) where += fmt::format("{}{}", where.empty() ? "" : " AND ", behind);
    return fmt::format("SELECT {} FROM {}{}{} ORDER BY {} LIMIT {}", config_.select, config_.from, where.empty() ? "" : " WHERE ", where,
                       order_of(columns_, &travelled::name), limit);
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

  [[nodiscard]] std::vector<range> ranges() const {
    using part = range::part;
    if (start_.values.empty()) return {{part::all}};
    if (one_comparison_will_do()) return {{part::behind_row}};
    std::vector<range> made;
    for (auto i = columns_.size(); i-- > 0;) {
      const auto& column = columns_[i];
      if (start_.values[i].is_null()) {
        if (column.nulls_first) made.push_back({part::no_nulls, i});
        continue;
      }
      made.push_back({part::behind, i});
      if (column.nullable && !column.nulls_first) made.push_back({part::nulls, i});
    }
    if (made.empty()) made.push_back({part::nothing});  // the one column is null, and nulls come last
    return made;
  }

  std::string condition(const range& of) {
    std::string same;
    for (std::size_t earlier = 0; earlier < of.column; ++earlier) same += equal(earlier) + " AND ";
    const auto& column = columns_[of.column];
    switch (of.what) {
      case range::part::all: return {};
      case range::part::nothing: return "1 = 0";
      case range::part::behind_row: return row_comparison();
      case range::part::behind: return fmt::format("{}{} {} {}", same, column.name, column.descending ? "<" : ">", value(of.column));
      case range::part::nulls: return fmt::format("{}{} IS NULL", same, column.name);
      case range::part::no_nulls: return fmt::format("{}{} IS NOT NULL", same, column.name);
    }
    return {};
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

  const keyset_config& config_;
  const keyset_start& start_;
  std::size_t parameters_;
  std::vector<travelled> columns_;
  std::vector<std::size_t> used_;
};

}  // namespace

keyset_statement keyset_sql(const keyset_config& config, const keyset_start& start, std::size_t parameters, std::size_t rows) {
  return page_sql{config, start, parameters}.joined(rows);
}

std::vector<keyset_statement> keyset_range_sql(const keyset_config& config, const keyset_start& start, std::size_t parameters) {
  return page_sql{config, start, parameters}.each();
}

}  // namespace spillway::detail
