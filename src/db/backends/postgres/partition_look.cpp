// SPDX-License-Identifier: Apache-2.0
// partition_keeper: what there is.
#include "partition_keeper.hpp"

#include "../../sql_name.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace spillway::detail {

namespace {

db_error not_fit(std::string_view table, std::string_view why) {
  return {db_errc::incompatible_schema,
          fmt::format("\"{}\" {}; it must be partitioned by range, by one column of type date, timestamptz or bigint", table, why)};
}

}  // namespace

result<partitioned_table, db_error> partition_keeper::find_table(read_session& s) const {
  const auto rows = s.query(table_sql, quoted_);
  if (!rows) return rows.error();
  if (rows->empty()) return db_error{db_errc::no_such_object, fmt::format("there is no table {}", quoted_)};
  const auto [oid, schema, name, strategy, keys, column, type] =
      (*rows)[0].as<std::tuple<std::int64_t, std::string, std::string, std::string, int, std::string, std::int64_t>>();
  if (strategy.empty()) return not_fit(name, "is not partitioned");
  if (strategy != "r") return not_fit(name, "is partitioned by list or hash");
  if (keys != 1) return not_fit(name, fmt::format("is partitioned by {} columns", keys));
  if (column.empty()) return not_fit(name, "is partitioned by an expression");
  constexpr std::array<std::pair<std::int64_t, partition_column>, 3> types{
      {{1082, partition_column::date}, {1184, partition_column::timestamptz}, {20, partition_column::epoch_ms}}};
  const auto* const known = std::ranges::find(types, type, &std::pair<std::int64_t, partition_column>::first);
  if (known == types.end()) return not_fit(name, fmt::format("is partitioned by \"{}\", which is of another type", column));
  partitioned_table table{schema, name, oid, quoted_part(column), known->second, {}};
  const auto columns = s.query(columns_sql, oid);
  if (!columns) return columns.error();
  for (const auto row : *columns) table.columns.push_back(quoted_part(row.get<std::string_view>(0)));
  return table;
}

result<partition_view, db_error> partition_keeper::look(read_session& s, partitioned_table table) const {
  partition_view seen;
  seen.table = std::move(table);
  // Both decide how the server writes bounds.
  for (const auto* setting : {"SELECT set_config('TimeZone', 'UTC', true)", "SELECT set_config('DateStyle', 'ISO, YMD', true)"}) {
    if (const auto set = s.query(setting); !set) return set.error();
  }
  const auto now = s.query_one<std::int64_t>("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
  if (!now) return now.error();
  seen.now = config_.now ? config_.now() : wall_time_point{std::chrono::microseconds{now->value_or(0)}};
  seen.current = month_at(std::chrono::floor<std::chrono::microseconds>(seen.now));
  for (const auto part : {&partition_keeper::look_at_partitions, &partition_keeper::look_at_default, &partition_keeper::look_at_loose}) {
    if (const auto looked = (this->*part)(s, seen); !looked) return looked.error();
  }
  return seen;
}

result<void, db_error> partition_keeper::look_at_partitions(read_session& s, partition_view& seen) const {
  const auto rows = s.query(partitions_sql, seen.table.oid);
  if (!rows) return rows.error();
  for (const auto row : *rows) {
    const auto [name, bounds, pending, schema, kind] = row.as<std::tuple<std::string, std::string, bool, std::string, std::string>>();
    if (bounds == "DEFAULT") {
      if (kind != "r" || schema != seen.table.schema) {
        return db_error{db_errc::partition_conflict, fmt::format("the default partition \"{}\" is no plain table in the schema \"{}\"", name, seen.table.schema)};
      }
      seen.facts.default_one = name;
      continue;
    }
    const auto parsed = parse_bounds(bounds, seen.table.type);
    if (!parsed) return db_error{db_errc::partition_conflict, fmt::format("the bounds of \"{}\" are not understood: {}", name, bounds)};
    seen.facts.attached.push_back({name, *parsed, pending, schema != seen.table.schema});
  }
  return {};
}

result<void, db_error> partition_keeper::look_at_default(read_session& s, partition_view& seen) const {
  if (!seen.facts.default_one) return {};
  const auto rows = s.query(months_in_default_sql(seen.table, *seen.facts.default_one));
  if (!rows) return rows.error();
  for (const auto row : *rows) {
    if (const auto month = parse_month(row.get<std::string_view>(0))) seen.facts.in_default.push_back(*month);
  }
  return {};
}

result<void, db_error> partition_keeper::look_at_loose(read_session& s, partition_view& seen) const {
  const auto rows = s.query(loose_sql, std::to_string(seen.table.oid), seen.table.schema);
  if (!rows) return rows.error();
  for (const auto row : *rows) {
    const auto [name, mark] = row.as<std::pair<std::string, std::string>>();
    const auto month = parse_month(std::string_view{mark}.substr(mark.rfind(' ') + 1));
    if (month) seen.facts.loose.push_back({name, *month, mark == detached_mark(seen.table, *month)});
  }
  return {};
}

partition_status partition_keeper::note(const partition_view& seen) {
  partition_status status;
  const auto covered = covered_until(seen.facts, seen.current);
  constexpr auto latest = std::chrono::floor<std::chrono::microseconds>(wall_time_point::max().time_since_epoch());
  status.covered_until = wall_time_point{std::min(std::chrono::microseconds{covered}, latest)};
  status.runway = std::max(std::chrono::seconds{0}, std::chrono::duration_cast<std::chrono::seconds>(status.covered_until - seen.now));
  status.has_default = seen.facts.default_one.has_value();
  status.partitions = seen.facts.attached.size();
  for (const auto& one : seen.facts.attached) {
    if (one.pending) status.being_detached.push_back(one.name);
    else if (!month_of(one.bounds)) status.unknown.push_back(one.name);
  }
  const std::lock_guard lock{mutex_};
  last_ = status;
  return status;
}

}  // namespace spillway::detail
