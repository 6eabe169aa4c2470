// SPDX-License-Identifier: Apache-2.0
// Which partitions there should be. Knows nothing of SQL but how the server writes bounds.
#pragma once

#include <spillway/db/db_error.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace spillway::detail {

enum class partition_column : std::uint8_t { date, timestamptz, epoch_ms };

/// Microseconds since 1970 in UTC; the first and the last number stand for no bound.
struct partition_bounds {
  std::int64_t from{0};
  std::int64_t to{0};
  friend bool operator==(const partition_bounds&, const partition_bounds&) noexcept = default;
};

/// The bounds of a month, and the month of bounds if they are exactly that.
[[nodiscard]] partition_bounds bounds_of(std::chrono::year_month month) noexcept;
[[nodiscard]] std::optional<std::chrono::year_month> month_of(const partition_bounds& bounds) noexcept;
[[nodiscard]] std::chrono::year_month month_at(std::chrono::sys_time<std::chrono::microseconds> at) noexcept;

/// "2026-01", and back.
[[nodiscard]] std::string month_text(std::chrono::year_month month);
[[nodiscard]] std::optional<std::chrono::year_month> parse_month(std::string_view text) noexcept;

/// How the server writes bounds in a session whose time zone is UTC: "FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)". Nothing if that is of
/// another kind.
[[nodiscard]] std::optional<partition_bounds> parse_bounds(std::string_view text, partition_column column);
/// The beginning of a month as a literal of the column's type.
[[nodiscard]] std::string bound_literal(std::chrono::year_month month, partition_column column);
/// "event_p202601".
[[nodiscard]] std::string partition_name(std::string_view table, std::chrono::year_month month);

/// What there is.
struct partition_facts {
  struct attached_one {
    std::string name;
    partition_bounds bounds;
    bool pending{false};    ///< Half detached.
    bool elsewhere{false};  ///< In another schema: left alone.
  };
  /// A table of its own, with our mark.
  struct loose_one {
    std::string name;
    std::chrono::year_month month;
    bool detached{false};  ///< Else made, and not attached yet.
  };
  std::vector<attached_one> attached;
  std::vector<loose_one> loose;
  std::optional<std::string> default_one;
  std::vector<std::chrono::year_month> in_default;  ///< Months with rows in the default partition.
};

struct partition_wish {
  std::chrono::year_month current;
  unsigned months_ahead{0};
  std::optional<unsigned> keep_months;
  bool drop{true};
};

struct finish_detaching {
  std::string name;
  friend bool operator==(const finish_detaching&, const finish_detaching&) = default;
};
struct make_partition {
  std::chrono::year_month month;
  friend bool operator==(const make_partition&, const make_partition&) = default;
};
struct detach_partition {
  std::string name;
  std::chrono::year_month month;
  friend bool operator==(const detach_partition&, const detach_partition&) = default;
};
struct drop_table {
  std::string name;
  friend bool operator==(const drop_table&, const drop_table&) = default;
};
using partition_action = std::variant<finish_detaching, make_partition, detach_partition, drop_table>;

/// What is to be done, the most urgent first.
/// Errors: db_errc::partition_conflict, naming both sides.
[[nodiscard]] result<std::vector<partition_action>, db_error> plan_partitions(const partition_facts& facts, const partition_wish& wish);

/// The first instant, in microseconds since 1970, from `current` on without a partition.
[[nodiscard]] std::int64_t covered_until(const partition_facts& facts, std::chrono::year_month current) noexcept;

}  // namespace spillway::detail
