// SPDX-License-Identifier: Apache-2.0
#include "pg_known_key.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace spillway::detail {

namespace {

bool is_given(const bulk_job& job, const std::string& column) { return std::ranges::find(job.columns, column) != job.columns.end(); }

}  // namespace

const std::string_view pg_known_key_sql{R"(
WITH target AS (
  SELECT c.oid FROM pg_catalog.pg_class c
  WHERE c.oid = $1::pg_catalog.regclass AND c.relkind = 'r' AND NOT c.relispartition AND NOT c.relhasrules AND NOT c.relrowsecurity
    AND pg_catalog.current_setting('transaction_isolation') <> 'serializable'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint o WHERE o.conrelid = c.oid AND o.contype IN ('c', 'x'))
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 4 <> 0)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated <> '')
), unique_key AS (
  SELECT i.indrelid, i.indkey, i.indnkeyatts, i.indclass, i.indcollation FROM pg_catalog.pg_index i JOIN target ON i.indrelid = target.oid
  WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
    AND (SELECT count(*) FROM pg_catalog.pg_index o WHERE o.indrelid = i.indrelid AND (o.indisunique OR o.indisexclusion)) = 1
), key_column AS (
  SELECT k.place, a.attname, a.attnotnull AND c.opcdefault AND u.indcollation[k.place - 1] = a.attcollation AS plain
  FROM unique_key u, pg_catalog.generate_series(1, u.indnkeyatts) AS k (place), pg_catalog.pg_attribute a, pg_catalog.pg_opclass c
  WHERE a.attrelid = u.indrelid AND a.attnum = u.indkey[k.place - 1] AND c.oid = u.indclass[k.place - 1]
)
SELECT '"' || pg_catalog.replace(a.attname, '"', '""') || '"', k.place IS NOT NULL
FROM pg_catalog.pg_attribute a JOIN target ON a.attrelid = target.oid LEFT JOIN key_column k ON k.attname = a.attname
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND (SELECT pg_catalog.bool_and(plain) FROM key_column)
ORDER BY k.place)"};

void pg_known_key::add(std::string_view column, bool is_key) { (is_key ? columns : not_null).emplace_back(column); }

bool pg_known_key::serves(const bulk_job& job) const {
  return !columns.empty() && std::ranges::all_of(columns, [&](const auto& column) { return is_given(job, column); });
}

std::string pg_require_values_sql(const bulk_job& job, const pg_known_key& key) {
  std::string changes;
  for (const auto& column : key.not_null) {
    if (is_given(job, column)) changes += fmt::format("{} ALTER {} SET NOT NULL", changes.empty() ? "" : ",", column);
  }
  return changes.empty() ? changes : "ALTER TABLE pg_temp.spillway_bulk" + changes;
}

std::string pg_insert_unknown_sql(const bulk_job& job, const pg_known_key& key) {
  std::string is_known;
  for (const auto& column : key.columns) is_known += fmt::format("{0}known.{1} = given.{1}", is_known.empty() ? "" : " AND ", column);
  // In the order of the key two programs wait for each other's rows, and not both ways; it also is the order in which an index grows fastest.
  return fmt::format(
      "INSERT INTO {0} ({1}) SELECT DISTINCT ON ({2}) {1} FROM pg_temp.spillway_bulk AS given "
      "WHERE NOT EXISTS (SELECT FROM ONLY {0} AS known WHERE {3}) ORDER BY {2}, given.ctid",
      job.table, fmt::join(job.columns, ", "), fmt::join(key.columns, ", "), is_known);
}

}  // namespace spillway::detail
