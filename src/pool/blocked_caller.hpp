// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pool/pool_state.hpp"

#include <atomic>
#include <cstdint>

namespace spillway::detail {

/// A thread in the queue.
class blocked_caller final : public queued_caller {
 public:
  explicit blocked_caller(const acquire_options& asked) noexcept : queued_caller{asked, true} {}

  void answer(pool_slot* slot, pool_error why) noexcept override;
  /// True once there is an answer, false if the time came first.
  bool wait_until(deadline latest) noexcept;

  /// To be read after the answer.
  pool_slot* slot{nullptr};
  pool_error refusal;

 private:
  enum : std::uint32_t { awake, asleep, answered };
  std::atomic<std::uint32_t> state_{awake};
};

}  // namespace spillway::detail
