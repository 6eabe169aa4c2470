// SPDX-License-Identifier: Apache-2.0
#include "pool/blocked_caller.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace spillway::detail {

namespace {

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));

/// Returns when woken, at the time, or for no reason at all. steady_clock is CLOCK_MONOTONIC, which FUTEX_WAIT_BITSET counts by.
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t while_it_is, deadline until) noexcept {
  timespec at{};
  if (!until.is_never()) {
    const auto since_boot = until.at().time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
    at.tv_sec = seconds.count();
    at.tv_nsec = (since_boot - seconds).count();
  }
  (void)::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, while_it_is, until.is_never() ? nullptr : &at, nullptr, FUTEX_BITSET_MATCH_ANY);
}

}  // namespace

void blocked_caller::answer(pool_slot* given, pool_error why) noexcept {
  slot = given;
  refusal = std::move(why);
  auto* const word = &state_;
  // From here on the waiting thread may be gone, and this object with it. Waking an address nobody waits at does no harm.
  if (state_.exchange(answered, std::memory_order_acq_rel) == asleep) {
    (void)::syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
}

bool blocked_caller::wait_until(deadline latest) noexcept {
  for (;;) {
    auto seen = state_.load(std::memory_order_acquire);
    if (seen == answered) return true;
    if (latest.passed(system_clock_source().now())) return false;
    if (seen == awake && !state_.compare_exchange_strong(seen, asleep, std::memory_order_acq_rel)) continue;
    futex_wait(state_, asleep, latest);
  }
}

}  // namespace spillway::detail
