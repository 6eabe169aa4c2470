// SPDX-License-Identifier: Apache-2.0
#include <spillway/db/database.hpp>

#include "session_source.hpp"

#include <fmt/format.h>

#include <array>
#include <string>

namespace spillway {

namespace {

using namespace std::chrono_literals;

// The convention's advice, and one finer step for an engine inside the process.
constexpr std::array<std::chrono::nanoseconds, 10> bounds{100us, 1ms, 5ms, 10ms, 50ms, 100ms, 500ms, 1s, 5s, 10s};

struct one_kind {
  std::string_view operation;
  const session_stats& stats;
};

void write_sessions(const one_kind& kind, std::string_view name, metric_writer& out) {
  const auto pool = fmt::format("{}-{}", name, kind.operation);
  const metric_label pool_label{"db_client_connection_pool_name", pool};
  const auto gauge_in_state = [&](std::string_view state, std::size_t count) {
    const std::array labels{pool_label, metric_label{"db_client_connection_state", state}};
    out.gauge("db_client_connections", "Database sessions, by what they do", labels, static_cast<double>(count));
  };
  gauge_in_state("used", kind.stats.in_use);
  gauge_in_state("idle", kind.stats.pool.idle);

  const std::array labels{pool_label};
  out.gauge("db_client_connection_max", "Most database sessions there may be", labels, static_cast<double>(kind.stats.sessions));
  out.gauge("db_client_connection_pending_requests", "Callers waiting for a database session", labels,
            static_cast<double>(kind.stats.waiting));
  out.counter("db_client_connection_timeouts_total", "Callers whose deadline passed while they waited for a database session", labels,
              static_cast<double>(kind.stats.wait_timeouts));
  out.histogram("db_client_connection_wait_time_seconds", "Wait for a database session", labels, kind.stats.wait, bounds);
  detail::write_pool_metrics(kind.stats.pool, pool, out);
}

void write_operations(const one_kind& kind, std::string_view system, std::string_view name, metric_writer& out) {
  // What engines with replicas tell apart; an engine with one copy of the data is all primary.
  const std::array labels{metric_label{"db_system_name", system}, metric_label{"db_namespace", name},
                          metric_label{"db_operation_name", kind.operation}, metric_label{"role", "primary"}};
  out.histogram("db_client_operation_duration_seconds", "Reads and writes, from getting a session to giving it back", labels,
                kind.stats.run, bounds);
  const auto ended = [&](std::string_view how, std::uint64_t count) {
    const std::array outcome{metric_label{"database", name}, metric_label{"operation", kind.operation}, metric_label{"outcome", how}};
    out.counter("spillway_db_transactions_total", "Transactions, by how they ended", outcome, static_cast<double>(count));
  };
  ended("committed", kind.stats.committed);
  ended("rolled_back", kind.stats.rolled_back);
}

}  // namespace

void write_metrics(const database& source, std::string_view name, metric_writer& out) {
  const auto stats = source.stats();
  for (const auto& kind : {one_kind{"read", stats.reads}, one_kind{"write", stats.writes}}) {
    write_operations(kind, source.system_name(), name, out);
    write_sessions(kind, name, out);
  }
  for (int value = 1; value <= db_errc_count; ++value) {
    const std::array labels{metric_label{"database", name}, metric_label{"error", to_string(static_cast<db_errc>(value))}};
    out.counter("spillway_db_errors_total", "Reads and writes that failed, by error", labels,
                static_cast<double>(stats.errors[static_cast<std::size_t>(value)]));
  }
  const std::array database_label{metric_label{"database", name}};
  out.counter("spillway_db_slow_statements_total", "Statements slower than the configured limit", database_label,
              static_cast<double>(stats.slow_statements));
  out.counter("spillway_db_shared_commits_total", "Commits that served several writes", database_label, static_cast<double>(stats.shared_commits));
  out.counter("spillway_db_shared_commit_writes_total", "Writes committed together with others", database_label,
              static_cast<double>(stats.shared_commit_writes));
  const auto cache = [&](std::string_view result, std::uint64_t count) {
    const std::array labels{metric_label{"database", name}, metric_label{"result", result}};
    out.counter("spillway_db_statement_cache_requests_total", "Prepared statements asked of the sessions' caches, by result", labels,
                static_cast<double>(count));
  };
  cache("hit", stats.statement_cache_hits);
  cache("miss", stats.statement_cache_misses);
  out.counter("spillway_db_statement_cache_evictions_total", "Prepared statements dropped from a full cache", database_label,
              static_cast<double>(stats.statement_cache_evictions));
  detail::database_access::source(source)->write_metrics(name, out);
}

}  // namespace spillway
