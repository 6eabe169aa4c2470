// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/striped_counter.hpp>

namespace spillway::detail {

std::size_t next_stripe() noexcept {
  static std::atomic<std::size_t> turn{0};
  return turn.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace spillway::detail
