// SPDX-License-Identifier: Apache-2.0
// The pure core of one check: what its runs mean, and when the next is due. No clock, lock or thread.
#pragma once

#include <spillway/core/clock.hpp>
#include <spillway/health/health_check.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace spillway::detail {

enum class check_kind : std::uint8_t { run, reporter };

/// Throws std::invalid_argument naming the field, the value and the range.
void check_config(const health_check_config& config, check_kind kind);

/// stale_after, or what stands for none.
[[nodiscard]] std::chrono::milliseconds staleness(const health_check_config& config) noexcept;

/// How a run can end, for counting. The first four are the states.
enum class run_outcome : std::uint8_t { ok, degraded, failed, unknown, timed_out };
inline constexpr std::size_t run_outcomes{5};

/// idle -started-> running -finished-> idle;  running -deadline-> hung -finished-> idle.
enum class run_phase : std::uint8_t { idle, running, hung };

class health_core {
 public:
  /// `config` is valid.
  explicit health_core(const health_check_config& config) noexcept;

  /// Whether a run may begin.
  [[nodiscard]] bool due(time_point now) const noexcept { return phase_ == run_phase::idle && now >= next_start_; }

  /// A run begins; it is due. `unit_interval` in [0, 1) is the draw for the jitter of the next start.
  void started(time_point now, double unit_interval) noexcept;

  /// The run has returned with this answer. False if it came too late: then it has counted as failed, and its answer is worth nothing.
  bool finished(health_state answer, time_point now) noexcept;

  /// An answer that nobody asked for.
  void reported(health_state answer, time_point now) noexcept;

  /// Time passes. True if a run has just gone past its deadline.
  bool tick(time_point now) noexcept;

  /// When the run there is can next time out, or if there is none, when the next is due.
  [[nodiscard]] time_point run_at() const noexcept { return phase_ == run_phase::idle ? next_start_ : next_failure_; }

  /// From when on the last answer is stale; time_point::max() if there is none.
  [[nodiscard]] time_point stale_at() const noexcept;

  [[nodiscard]] health_state state(time_point now) const noexcept;
  [[nodiscard]] run_phase phase() const noexcept { return phase_; }
  /// Whether a run is past its deadline, noticed or not.
  [[nodiscard]] bool hung(time_point now) const noexcept {
    return phase_ == run_phase::hung || (phase_ == run_phase::running && now >= next_failure_);
  }
  /// Whether it was ever seen ok or degraded.
  [[nodiscard]] bool ever_up() const noexcept { return ever_up_; }
  [[nodiscard]] std::optional<time_point> last_answer() const noexcept { return last_answer_; }
  [[nodiscard]] time_point run_started() const noexcept { return run_started_; }
  [[nodiscard]] std::uint32_t consecutive_failures() const noexcept { return failed_run_; }
  [[nodiscard]] const std::array<std::uint64_t, run_outcomes>& outcomes() const noexcept { return outcomes_; }

 private:
  [[nodiscard]] bool stale(time_point now) const noexcept { return !last_answer_ || now - *last_answer_ > stale_after_; }
  void take(health_state answer, run_outcome counted, time_point now) noexcept;

  std::chrono::nanoseconds interval_;
  std::chrono::nanoseconds timeout_;
  std::chrono::nanoseconds stale_after_;
  double jitter_ratio_;
  std::uint32_t failures_to_fail_;
  std::uint32_t successes_to_recover_;

  run_phase phase_{run_phase::idle};
  time_point next_start_{time_point::min()};
  time_point run_started_{};
  time_point next_failure_{};  // of a run: its deadline; once hung, when it counts as failed again

  health_state confirmed_{health_state::unknown};
  std::optional<time_point> last_answer_;
  bool ever_up_{false};
  // Answers in a row, the newest included, that were ...
  std::uint32_t ok_run_{0};             // ok
  std::uint32_t not_failed_run_{0};     // ok or degraded
  std::uint32_t not_ok_run_{0};         // degraded or failed
  std::uint32_t failed_run_{0};         // failed
  std::array<std::uint64_t, run_outcomes> outcomes_{};
};

}  // namespace spillway::detail
