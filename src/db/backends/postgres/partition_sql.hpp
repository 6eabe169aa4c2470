// SPDX-License-Identifier: Apache-2.0
// The statements of partition_manager. Names are quoted, or literals made of them.
#pragma once

#include "partition_plan.hpp"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::detail {

/// The table as the catalogue knows it.
struct partitioned_table {
  std::string schema;
  std::string name;
  std::int64_t oid{0};
  std::string column;                ///< By which it is partitioned, quoted.
  partition_column type{partition_column::date};
  std::vector<std::string> columns;  ///< All that can be written, quoted.

  [[nodiscard]] std::string full_name() const;
  /// Of a table beside it, quoted.
  [[nodiscard]] std::string beside(std::string_view table) const;
};

/// The table, given as $1 like "shop"."event".
inline constexpr std::string_view table_sql{
    "SELECT c.oid::bigint, n.nspname::text, c.relname::text, coalesce(p.partstrat::text, ''), coalesce(p.partnatts, 0), "
    "coalesce(a.attname::text, ''), coalesce(a.atttypid::bigint, 0) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid "
    "LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0] WHERE c.oid = to_regclass($1)"};
inline constexpr std::string_view columns_sql{
    "SELECT attname::text FROM pg_attribute WHERE attrelid = $1::bigint::oid AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum"};
/// Name, bounds, and whether it is half detached. The default one is among them.
inline constexpr std::string_view partitions_sql{
    "SELECT c.relname::text, pg_get_expr(c.relpartbound, c.oid), i.inhdetachpending, n.nspname::text, c.relkind::text FROM pg_inherits i "
    "JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE i.inhparent = $1::bigint::oid ORDER BY 1"};
/// Tables in the schema $2 that are no partitions now and have a mark that begins like made_mark or detached_mark of the table $1.
inline constexpr std::string_view loose_sql{
    "SELECT c.relname::text, d.description FROM pg_description d JOIN pg_class c ON c.oid = d.objoid JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE d.classoid = 'pg_class'::regclass AND d.objsubid = 0 AND c.relkind = 'r' AND NOT c.relispartition AND n.nspname = $2 "
    "AND (starts_with(d.description, 'spillway: made for ' || $1 || ', ') OR starts_with(d.description, 'spillway: detached from ' || $1 || ', ')) "
    "ORDER BY 1"};
inline constexpr std::string_view referenced_sql{
    "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND confrelid = $1::bigint::oid"};

/// What the comment of a table says about it while it is no partition, and ends in the month: "spillway: made for 16423, 2026-01".
[[nodiscard]] std::string made_mark(const partitioned_table& table, std::chrono::year_month month);
[[nodiscard]] std::string detached_mark(const partitioned_table& table, std::chrono::year_month month);
[[nodiscard]] std::string comment_sql(const partitioned_table& table, std::string_view partition, std::string_view text);

/// A table like the partitioned one, that the server can see to hold nothing but rows of the month.
[[nodiscard]] std::string create_sql(const partitioned_table& table, std::chrono::year_month month);
/// Whether it can be seen to hold nothing else: null if there is no such promise, false if it has not been checked. The table is $1, quoted.
inline constexpr std::string_view checked_sql{
    "SELECT convalidated FROM pg_constraint WHERE conrelid = to_regclass($1) AND contype = 'c' AND conname = 'spillway_month'"};
/// The promise for a table that is there already; what it holds is checked by the second.
[[nodiscard]] std::string add_check_sql(const partitioned_table& table, std::chrono::year_month month);
[[nodiscard]] std::string validate_check_sql(const partitioned_table& table, std::chrono::year_month month);
[[nodiscard]] std::string attach_sql(const partitioned_table& table, std::chrono::year_month month);
[[nodiscard]] std::string drop_check_sql(const partitioned_table& table, std::chrono::year_month month);
[[nodiscard]] std::string detach_sql(const partitioned_table& table, std::string_view partition, std::string_view how);
[[nodiscard]] std::string drop_sql(const partitioned_table& table, std::string_view partition);

/// The months of the rows in the default partition, as the first of them.
[[nodiscard]] std::string months_in_default_sql(const partitioned_table& table, std::string_view default_one);
/// How many rows of the month are there, counted up to a number.
[[nodiscard]] std::string count_in_default_sql(const partitioned_table& table, std::string_view default_one, std::chrono::year_month month,
                                               std::size_t up_to);
/// Moves up to so many of them.
[[nodiscard]] std::string drain_sql(const partitioned_table& table, std::string_view default_one, std::chrono::year_month month, std::size_t rows);

}  // namespace spillway::detail
