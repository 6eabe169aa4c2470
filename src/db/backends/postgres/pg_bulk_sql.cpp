// SPDX-License-Identifier: Apache-2.0
#include "pg_bulk_sql.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

namespace spillway::detail {

namespace {

template <class Term>
std::string joined(const std::vector<std::size_t>& places, std::string_view between, Term&& term) {
  std::string made;
  for (const auto place : places) {
    if (!made.empty()) made += between;
    made += term(place);
  }
  return made;
}

std::string columns_of(const bulk_job& job) { return fmt::format("{}", fmt::join(job.columns, ", ")); }

std::string keys_of(const bulk_job& job) {
  return joined(job.keys, ", ", [&](std::size_t i) { return job.columns[i]; });
}

/// What rows with equal keys come to, one after the other: what is set is of the last, and the rest of the first. The order also makes two programs lock
/// the rows of the table one after the other, and not each other out.
std::string last_of_equal(const bulk_job& job) {
  const auto keys = keys_of(job);
  std::string values;
  bool window{false};
  for (std::size_t i = 0; i < job.columns.size(); ++i) {
    const bool of_first = std::ranges::find(job.keys, i) == job.keys.end() && std::ranges::find(job.set, i) == job.set.end();
    if (i != 0) values += ", ";
    values += of_first ? fmt::format("first_value({0}) OVER given AS {0}", job.columns[i]) : job.columns[i];
    window = window || of_first;
  }
  return fmt::format("SELECT DISTINCT ON ({0}) {1} FROM pg_temp.spillway_bulk{2} ORDER BY {0}, spillway_row DESC", keys, values,
                     window ? fmt::format(" WINDOW given AS (PARTITION BY {} ORDER BY spillway_row)", keys) : "");
}

}  // namespace

std::string pg_staging_sql(const bulk_job& job) {
  return fmt::format("CREATE TEMP TABLE spillway_bulk ON COMMIT DROP AS SELECT {}{} FROM {} WITH NO DATA", columns_of(job),
                     pg_needs_numbers(job.kind) ? ", 0::bigint AS spillway_row" : "", job.table);
}

std::string pg_copy_sql(const bulk_job& job) {
  if (!pg_needs_staging(job.kind)) return fmt::format("COPY {} ({}) FROM STDIN", job.table, columns_of(job));
  return "COPY pg_temp.spillway_bulk FROM STDIN";
}

std::string pg_returned_key_sql(const bulk_job& job) {
  return fmt::format(" RETURNING ROW({})::text", keys_of(job));
}

std::string pg_merge_sql(const bulk_job& job) {
  if (job.kind == bulk_kind::update) {
    const auto set = joined(job.set, ", ", [&](std::size_t i) { return fmt::format("{0} = given.{0}", job.columns[i]); });
    const auto where = joined(job.keys, " AND ", [&](std::size_t i) { return fmt::format("target.{0} = given.{0}", job.columns[i]); });
    return fmt::format("UPDATE {} AS target SET {} FROM ({}) AS given WHERE {}", job.table, set, last_of_equal(job), where);
  }
  const auto rows = job.kind == bulk_kind::insert_or_update ? last_of_equal(job)
                                                            : fmt::format("SELECT {} FROM pg_temp.spillway_bulk", columns_of(job));
  return fmt::format("INSERT INTO {} ({}) {}{}", job.table, columns_of(job), rows, conflict_sql(job));
}

}  // namespace spillway::detail
