// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spillway/core/backoff.hpp>
#include <spillway/core/clock.hpp>
#include <spillway/core/deadline.hpp>
#include <spillway/core/error.hpp>
#include <spillway/db/tx_options.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>

namespace spillway::detail {

/// Whether a transaction that ended so has left no trace, and may end well if it is run again.
[[nodiscard]] bool worth_another_run(error_code why) noexcept;

/// Runs saved up over all calls: each call adds a part of one, each run again takes one. So what goes wrong for everybody at once is not made
/// worse by everybody trying again. Source: the retry budget of Finagle.
///
/// Threads: both members may be called from any thread.
class tx_retry_budget {
 public:
  tx_retry_budget(double ratio, std::size_t burst) noexcept;
  void call_began() noexcept;
  [[nodiscard]] bool take() noexcept;

 private:
  static constexpr std::int64_t one{1'000'000};
  const std::int64_t per_call_;
  const std::int64_t most_;
  std::atomic<std::int64_t> saved_;
};

/// The runs of one call.
class tx_attempts {
 public:
  tx_attempts(const tx_retry_config& config, tx_retry_budget& budget);

  /// How long to wait before running again; none: the failure stands.
  [[nodiscard]] std::optional<std::chrono::milliseconds> after(error_code failure, time_point now, deadline until, std::minstd_rand& generator);
  [[nodiscard]] std::size_t runs() const noexcept { return runs_; }

 private:
  const tx_retry_config& config_;
  tx_retry_budget& budget_;
  decorrelated_backoff backoff_;
  std::size_t runs_{1};
};

/// This thread's own, for pauses.
[[nodiscard]] std::minstd_rand& pause_generator();

}  // namespace spillway::detail
