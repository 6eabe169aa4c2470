// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/bulk.hpp>

#include "bulk_job.hpp"
#include "session_context.hpp"
#include "sql_name.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace spillway::detail {

namespace {

constexpr std::size_t most_columns{1'600};

result<std::vector<std::string>, db_error> quoted_columns(const std::vector<std::string>& names) {
  if (names.empty() || names.size() > most_columns) {
    return db_error{db_errc::wrong_parameters, fmt::format("{} columns are named; it must be 1 to {}", names.size(), most_columns)};
  }
  std::vector<std::string> made;
  for (const auto& name : names) {
    auto quoted = quoted_name(name, "column", 1);
    if (!quoted) return quoted.error();
    if (std::ranges::find(made, *quoted) != made.end()) return db_error{db_errc::wrong_parameters, fmt::format("column \"{}\" is named twice", name)};
    made.push_back(std::move(*quoted));
  }
  return made;
}

/// Where the names are among the columns of the job.
result<std::vector<std::size_t>, db_error> places_of(const bulk_job& job, const std::vector<std::string>& names, std::string_view what) {
  const auto quoted = quoted_columns(names);
  if (!quoted) return quoted.error();
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < quoted->size(); ++i) {
    const auto found = std::ranges::find(job.columns, (*quoted)[i]);
    if (found == job.columns.end()) {
      return db_error{db_errc::wrong_parameters, fmt::format("column \"{}\" is a {}, and not among those the rows have values for", names[i], what)};
    }
    places.push_back(static_cast<std::size_t>(found - job.columns.begin()));
  }
  return places;
}

result<void, db_error> add_conflict(bulk_job& job, const on_conflict& conflict) {
  switch (conflict.what()) {
    case on_conflict::action::fail: job.kind = bulk_kind::insert; return {};
    case on_conflict::action::skip: job.kind = bulk_kind::insert_or_skip; return {};
    case on_conflict::action::update: job.kind = bulk_kind::insert_or_update; break;
  }
  auto keys = places_of(job, conflict.keys(), "key");
  if (!keys) return keys.error();
  job.keys = std::move(*keys);
  if (!conflict.set().empty()) {
    auto set = places_of(job, conflict.set(), "column to set");
    if (!set) return set.error();
    job.set = std::move(*set);
    return {};
  }
  for (std::size_t i = 0; i < job.columns.size(); ++i) {
    if (std::ranges::find(job.keys, i) == job.keys.end()) job.set.push_back(i);
  }
  if (job.set.empty()) return db_error{db_errc::wrong_parameters, "all columns are keys, so there is nothing to update: on_conflict::skip()"};
  return {};
}

result<bulk_counts, db_error> run_job(write_session& session, const bulk_job& job, parameter_source& source) {
  bulk_rows rows{source, job};
  const auto written = session_context::of(session).bulk(job, rows);
  if (rows.failure().failed()) return rows.failure();
  if (!written) return written.error();
  return bulk_counts{rows.given(), *written};
}

template <class Term>
std::string joined(const std::vector<std::size_t>& places, std::string_view between, Term&& term) {
  std::string made;
  for (const auto place : places) {
    if (!made.empty()) made += between;
    made += term(place);
  }
  return made;
}

}  // namespace

std::optional<std::span<const sql_value>> bulk_rows::next() {
  if (failure_.failed()) return std::nullopt;
  const auto* row = source_.next();
  if (row == nullptr) return std::nullopt;
  ++given_;
  if (!sound(row->values())) return std::nullopt;
  return row->values();
}

bool bulk_rows::sound(std::span<const sql_value> values) {
  if (values.size() != job_.columns.size()) {
    failure_ = error_of_row(given_ - 1, {db_errc::wrong_parameters,
                                         fmt::format("{} values are given for {} columns", values.size(), job_.columns.size())});
    return false;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (const auto* real = std::get_if<double>(&values[i].get()); real != nullptr && std::isnan(*real)) {
      refuse(given_ - 1, db_errc::type_mismatch, i, "NaN cannot be stored");
      return false;
    }
  }
  for (const auto key : job_.keys) {
    if (!values[key].is_null()) continue;
    refuse(given_ - 1, db_errc::wrong_parameters, key, "a key is null, which is equal to nothing");
    return false;
  }
  return true;
}

void bulk_rows::refuse(std::uint64_t row, db_errc code, std::size_t column, std::string_view why) {
  failure_ = error_of_row(row, {code, fmt::format("column {}: {}", job_.columns[column], why)});
}

db_error error_of_row(std::uint64_t row, const db_error& error) {
  // Of the statement, which is the same for all rows, and so fails with the first.
  constexpr std::array of_all{db_errc::syntax_error,      db_errc::no_such_object, db_errc::invalid_statement, db_errc::not_allowed,
                              db_errc::permission_denied, db_errc::read_only,      db_errc::not_supported};
  if (row == 0 && std::ranges::any_of(of_all, [&](db_errc code) { return error == code; })) return error;
  return error.prefixed(fmt::format("row {}: ", row));
}

std::string insert_sql(const bulk_job& job) {
  std::string places;
  for (std::size_t i = 0; i < job.columns.size(); ++i) places += fmt::format("{}${}", i == 0 ? "" : ", ", i + 1);
  return fmt::format("INSERT INTO {} ({}) VALUES ({}){}", job.table, fmt::join(job.columns, ", "), places, conflict_sql(job));
}

std::string conflict_sql(const bulk_job& job) {
  if (job.kind == bulk_kind::insert_or_skip) return " ON CONFLICT DO NOTHING";
  if (job.kind != bulk_kind::insert_or_update) return {};
  return fmt::format(" ON CONFLICT ({}) DO UPDATE SET {}", joined(job.keys, ", ", [&](std::size_t i) { return job.columns[i]; }),
                     joined(job.set, ", ", [&](std::size_t i) { return fmt::format("{0} = excluded.{0}", job.columns[i]); }));
}

std::string update_sql(const bulk_job& job) {
  const auto is_value = [&](std::size_t i) { return fmt::format("{} = ${}", job.columns[i], i + 1); };
  return fmt::format("UPDATE {} SET {} WHERE {}", job.table, joined(job.set, ", ", is_value), joined(job.keys, " AND ", is_value));
}

result<bulk_counts, db_error> bulk_insert(write_session& session, const bulk_target& target, const on_conflict& conflict,
                                          parameter_source& rows) {
  bulk_job job;
  auto table = quoted_name(target.table, "table", 2);
  if (!table) return table.error();
  job.table = std::move(*table);
  auto columns = quoted_columns(target.columns);
  if (!columns) return columns.error();
  job.columns = std::move(*columns);
  if (const auto added = add_conflict(job, conflict); !added) return added.error();
  return run_job(session, job, rows);
}

result<std::uint64_t, db_error> bulk_update(write_session& session, std::string_view table, const std::vector<std::string>& keys,
                                            const std::vector<std::string>& set, parameter_source& rows) {
  bulk_job job;
  job.kind = bulk_kind::update;
  auto quoted = quoted_name(table, "table", 2);
  if (!quoted) return quoted.error();
  job.table = std::move(*quoted);
  if (keys.empty() || set.empty()) {
    return db_error{db_errc::wrong_parameters, fmt::format("{} keys and {} columns to set are named; each must be at least 1", keys.size(), set.size())};
  }
  auto all = keys;
  all.insert(all.end(), set.begin(), set.end());
  auto columns = quoted_columns(all);
  if (!columns) return columns.error();
  job.columns = std::move(*columns);
  for (std::size_t i = 0; i < all.size(); ++i) (i < keys.size() ? job.keys : job.set).push_back(i);
  const auto counts = run_job(session, job, rows);
  if (!counts) return counts.error();
  return counts->written;
}

}  // namespace spillway::detail
