// SPDX-License-Identifier: Apache-2.0
#include "pg_first_rows.hpp"

#include "pg_values.hpp"

#include <algorithm>
#include <string_view>

namespace spillway::detail {

namespace {

/// Measured: bulk_bench, "small batches".
constexpr std::size_t few(bulk_kind kind) noexcept {
  switch (kind) {
    case bulk_kind::insert: return 8;
    case bulk_kind::insert_or_skip: return 256;
    default: return 96;
  }
}
constexpr std::size_t few_bytes{std::size_t{256} << 10U};

bool has_nul(const sql_value& value) noexcept {
  const auto* const text = std::get_if<std::string_view>(&value.get());
  return text != nullptr && text->find('\0') != std::string_view::npos;
}

bool same_type(const sql_value& one, const sql_value& other) noexcept {
  return one.is_null() || other.is_null() || pg_parameters::signature_of(one) == pg_parameters::signature_of(other);
}

}  // namespace

void refuse_nul(bulk_rows& rows, std::uint64_t row, std::size_t column) {
  rows.refuse(row, db_errc::type_mismatch, column, "PostgreSQL cannot store text with a NUL byte");
}

pg_first_rows::pg_first_rows(const bulk_job& job, bulk_rows& rows) : width_{job.columns.size()} {
  const auto most = few(job.kind);
  while (count_ <= most && kept_.size_bytes() <= few_bytes) {
    const auto values = rows.next();
    all_ = !values;
    if (all_) return;
    // Now, since none may be refused once others are on their way.
    if (const auto unfit = std::ranges::find_if(*values, has_nul); unfit != values->end()) {
      refuse_nul(rows, count_, static_cast<std::size_t>(unfit - values->begin()));
      return;
    }
    for (const auto& value : *values) kept_.add(value);
    ++count_;
  }
}

std::vector<sql_value> pg_first_rows::values(std::size_t row) const {
  std::vector<sql_value> made;
  made.reserve(width_);
  for (auto cell = row * width_; cell < (row + 1) * width_; ++cell) made.push_back(kept_.value(cell));
  return made;
}

std::vector<pg_first_rows::group> pg_first_rows::groups() const {
  std::vector<group> made;
  for (std::size_t row = 0; row < count_; row = made.back().end) made.push_back(alike(row));
  return made;
}

pg_first_rows::group pg_first_rows::alike(std::size_t row) const {
  group found{row, row + 1, values(row)};
  for (; found.end < count_; ++found.end) {
    const auto others = values(found.end);
    if (!std::ranges::equal(found.types, others, same_type)) break;
    for (std::size_t i = 0; i < width_; ++i) {
      if (found.types[i].is_null()) found.types[i] = others[i];
    }
  }
  return found;
}

}  // namespace spillway::detail
