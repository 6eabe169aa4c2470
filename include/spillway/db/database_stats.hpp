// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a database has counted so far.
#pragma once

#include <spillway/core/latency_histogram.hpp>
#include <spillway/core/metric_writer.hpp>
#include <spillway/db/db_error.hpp>
#include <spillway/pool/pool_stats.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace spillway {

class database;

/// The sessions of one kind, and what was done on them.
struct session_stats {
  std::size_t sessions{0};
  std::size_t in_use{0};
  std::size_t waiting{0};           ///< Callers in the queue.
  std::uint64_t committed{0};
  std::uint64_t rolled_back{0};     ///< Began, and was given up: by an error, an exception, or the caller's result.
  std::uint64_t refused{0};         ///< Never began: busy, queue full, closing.
  std::uint64_t wait_timeouts{0};   ///< Never began: the deadline passed in the queue.
  std::uint64_t wait_cancelled{0};  ///< Never began: cancelled in the queue.
  latency_snapshot wait;            ///< For a session, by those who got one.
  latency_snapshot run;             ///< From getting the session to giving it back.
  pool_stats pool;                  ///< The same and more, as the pool of these sessions counts: time-outs by cause, leaks, openings.
};

struct database_stats {
  session_stats reads;
  session_stats writes;
  std::uint64_t shared_commits{0};        ///< Commits that served several writes.
  std::uint64_t shared_commit_writes{0};  ///< The writes they served.
  /// Reads and writes that ended in each db_errc, by its value; the place 0 is unused.
  std::array<std::uint64_t, db_errc_count + 1> errors{};
  std::uint64_t slow_statements{0};
  std::uint64_t statement_cache_hits{0};
  std::uint64_t statement_cache_misses{0};
  std::uint64_t statement_cache_evictions{0};

  [[nodiscard]] std::uint64_t errors_of(db_errc code) const noexcept { return errors[static_cast<std::size_t>(code)]; }
};

/// Describes the database under the names of the OpenTelemetry conventions; its sessions are the pools `<name>-read` and `<name>-write`, and
/// described as those too.
SPILLWAY_EXPORT void write_metrics(const database& source, std::string_view name, metric_writer& out);

}  // namespace spillway
