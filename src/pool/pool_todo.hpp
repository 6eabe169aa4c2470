// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "pool/pool_state.hpp"

#include <boost/container/small_vector.hpp>

namespace spillway::detail {

/// A handler in the queue. Kept for the next when answered, so that a late cancellation finds it in place and sees by `turn` that it is late.
class pool_state::async_caller final : public queued_caller {
 public:
  async_caller(pool_state& owner, const acquire_options& asked) noexcept : queued_caller{asked, false}, owner_{owner} {}

  void answer(pool_slot* slot, pool_error why) noexcept override {
    auto told = std::move(waiter);
    owner_.recycle(std::unique_ptr<async_caller>{this});
    auto& named = *told;
    if (slot != nullptr) named.granted(std::move(told), *slot);
    else named.refused(std::move(told), std::move(why));
  }

  std::shared_ptr<async_waiter> waiter;
  std::uint64_t turn{0};
  bool gave_up{false};  // guarded by the pool's mutex

 private:
  pool_state& owner_;
};

/// What is left to do after unlocking.
struct pool_state::todo {
  template <class T>
  using few = boost::container::small_vector<T, 4>;

  few<std::pair<queued_caller*, pool_slot*>> grants;
  std::vector<std::pair<queued_caller*, pool_error>> refusals;
  few<std::pair<std::uint64_t, deadline>> opens;
  few<ping> pings;
  few<pool_slot*> closes;
  std::vector<note> notes;
  std::vector<std::pair<milestone, result<void, pool_error>>> milestones;

  [[nodiscard]] bool only_grants() const noexcept {
    return refusals.empty() && opens.empty() && pings.empty() && closes.empty() && notes.empty() && milestones.empty();
  }
};

}  // namespace spillway::detail
