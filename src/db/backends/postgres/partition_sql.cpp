// SPDX-License-Identifier: Apache-2.0
#include "partition_sql.hpp"

#include "../../sql_name.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace spillway::detail {

namespace {

std::string range_of(const partitioned_table& table, std::chrono::year_month month) {
  constexpr std::chrono::months one{1};
  return fmt::format("{0} >= {1} AND {0} < {2}", table.column, bound_literal(month, table.type), bound_literal(month + one, table.type));
}

std::string month_name(const partitioned_table& table, std::chrono::year_month month) { return table.beside(partition_name(table.name, month)); }

constexpr std::string_view check_name{"spillway_month"};

std::string check_of(const partitioned_table& table, std::chrono::year_month month) {
  return fmt::format("CONSTRAINT {} CHECK ({} IS NOT NULL AND {})", check_name, table.column, range_of(table, month));
}

}  // namespace

std::string partitioned_table::full_name() const { return beside(name); }
std::string partitioned_table::beside(std::string_view other) const { return quoted_part(schema) + '.' + quoted_part(other); }

std::string made_mark(const partitioned_table& table, std::chrono::year_month month) {
  return fmt::format("spillway: made for {}, {}", table.oid, month_text(month));
}

std::string detached_mark(const partitioned_table& table, std::chrono::year_month month) {
  return fmt::format("spillway: detached from {}, {}", table.oid, month_text(month));
}

std::string comment_sql(const partitioned_table& table, std::string_view partition, std::string_view text) {
  return fmt::format("COMMENT ON TABLE {} IS {}", table.beside(partition), text.empty() ? "NULL" : fmt::format("'{}'", text));
}

std::string create_sql(const partitioned_table& table, std::chrono::year_month month) {
  // Of the parent it takes no lock but that of a reader. CREATE TABLE ... PARTITION OF would lock out everybody.
  return fmt::format("CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING IDENTITY, {})", month_name(table, month), table.full_name(),
                     check_of(table, month));
}

std::string add_check_sql(const partitioned_table& table, std::chrono::year_month month) {
  return fmt::format("ALTER TABLE {} ADD {} NOT VALID", month_name(table, month), check_of(table, month));
}

std::string validate_check_sql(const partitioned_table& table, std::chrono::year_month month) {
  return fmt::format("ALTER TABLE {} VALIDATE CONSTRAINT {}", month_name(table, month), check_name);
}

std::string attach_sql(const partitioned_table& table, std::chrono::year_month month) {
  constexpr std::chrono::months one{1};
  return fmt::format("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})", table.full_name(), month_name(table, month),
                     bound_literal(month, table.type), bound_literal(month + one, table.type));
}

std::string drop_check_sql(const partitioned_table& table, std::chrono::year_month month) {
  return fmt::format("ALTER TABLE {} DROP CONSTRAINT {}", month_name(table, month), check_name);
}

std::string detach_sql(const partitioned_table& table, std::string_view partition, std::string_view how) {
  return fmt::format("ALTER TABLE {} DETACH PARTITION {}{}{}", table.full_name(), table.beside(partition), how.empty() ? "" : " ", how);
}

std::string drop_sql(const partitioned_table& table, std::string_view partition) { return fmt::format("DROP TABLE {}", table.beside(partition)); }

std::string months_in_default_sql(const partitioned_table& table, std::string_view default_one) {
  const auto first = [&]() -> std::string {
    switch (table.type) {
      case partition_column::date: return fmt::format("date_trunc('month', {}::timestamp)", table.column);
      case partition_column::timestamptz: return fmt::format("date_trunc('month', {} AT TIME ZONE 'UTC')", table.column);
      case partition_column::epoch_ms: break;
    }
    return fmt::format("date_trunc('month', to_timestamp({} / 1000.0) AT TIME ZONE 'UTC')", table.column);
  }();
  constexpr std::chrono::year_month earliest{std::chrono::year{1970} / 1};
  constexpr std::chrono::year_month latest{std::chrono::year{9999} / 12};
  return fmt::format("SELECT DISTINCT to_char({}, 'YYYY-MM') FROM {} WHERE {} >= {} AND {} < {} ORDER BY 1 LIMIT 1200", first,
                     table.beside(default_one), table.column, bound_literal(earliest, table.type), table.column,
                     bound_literal(latest, table.type));
}

std::string count_in_default_sql(const partitioned_table& table, std::string_view default_one, std::chrono::year_month month, std::size_t up_to) {
  return fmt::format("SELECT count(*) FROM (SELECT FROM {} WHERE {} LIMIT {}) AS counted", table.beside(default_one), range_of(table, month), up_to);
}

std::string drain_sql(const partitioned_table& table, std::string_view default_one, std::chrono::year_month month, std::size_t rows) {
  const auto from = table.beside(default_one);
  return fmt::format("WITH moved AS (DELETE FROM {0} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {0} WHERE {1} LIMIT {2})) AND {1} RETURNING {3}) "
                     "INSERT INTO {4} ({3}) SELECT {3} FROM moved",
                     from, range_of(table, month), rows, fmt::join(table.columns, ", "), month_name(table, month));
}

}  // namespace spillway::detail
