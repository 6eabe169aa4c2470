// SPDX-License-Identifier: Apache-2.0
#include "tx_retry.hpp"

#include <spillway/db/db_error.hpp>

#include <algorithm>

namespace spillway::detail {

bool worth_another_run(error_code why) noexcept {
  if (why.category() != db_category()) return false;
  switch (static_cast<db_errc>(why.value())) {
    case db_errc::serialization_failure:
    case db_errc::deadlock_detected:
    case db_errc::stale_statement:
    case db_errc::connection_lost:
    case db_errc::not_primary:
    case db_errc::cannot_open: return true;
    default: return false;
  }
}

std::minstd_rand& pause_generator() {
  thread_local std::minstd_rand generator{std::random_device{}()};
  return generator;
}

tx_retry_budget::tx_retry_budget(double ratio, std::size_t burst) noexcept
    : per_call_{static_cast<std::int64_t>(ratio * static_cast<double>(one))},
      most_{static_cast<std::int64_t>(burst) * one},
      saved_{most_} {}

void tx_retry_budget::call_began() noexcept {
  auto saved = saved_.load(std::memory_order_relaxed);
  while (saved < most_ && !saved_.compare_exchange_weak(saved, std::min(saved + per_call_, most_), std::memory_order_relaxed)) {
  }
}

bool tx_retry_budget::take() noexcept {
  auto saved = saved_.load(std::memory_order_relaxed);
  while (saved >= one) {
    if (saved_.compare_exchange_weak(saved, saved - one, std::memory_order_relaxed)) return true;
  }
  return false;
}

tx_attempts::tx_attempts(const tx_retry_config& config, tx_retry_budget& budget)
    : config_{config}, budget_{budget}, backoff_{{.base = config.base, .cap = config.cap}} {
  budget_.call_began();
}

std::optional<std::chrono::milliseconds> tx_attempts::after(error_code failure, time_point now, deadline until, std::minstd_rand& generator) {
  if (!worth_another_run(failure) || runs_ >= config_.attempts) return std::nullopt;
  const auto pause = backoff_.next(generator);
  if (until.passed(now + pause) || !budget_.take()) return std::nullopt;
  ++runs_;
  return pause;
}

}  // namespace spillway::detail
