// SPDX-License-Identifier: Apache-2.0
// What a monitor tells its observer and the log.
#include "health/monitor_state.hpp"

#include <array>

namespace spillway::detail {

namespace {

constexpr std::size_t most_news{1'024};

log_level level_of(health_state state) noexcept {
  switch (state) {
    case health_state::ok: return log_level::info;
    case health_state::failed: return log_level::error;
    default: return log_level::warning;
  }
}

}  // namespace

void monitor_state::push(news one) {
  if (closed_ || (!config_.log && !config_.on_change)) return;
  if (news_.size() >= most_news) {
    ++lost_changes_;
    return;
  }
  news_.push_back(std::move(one));
}

void monitor_state::deliver() {
  std::unique_lock lock{mutex_};
  if (delivering_) return;  // whoever is at it takes ours too, which keeps the order
  delivering_ = true;
  ++in_user_code_;
  while (!news_.empty() && !closed_) {
    const auto one = std::move(news_.front());
    news_.pop_front();
    lock.unlock();
    tell(one);
    lock.lock();
  }
  delivering_ = false;
  if (--in_user_code_ == 0) left_user_code_.notify_all();
}

void monitor_state::tell(const news& one) {
  const auto log = [this](log_level level, std::string_view message, std::span<const log_field> fields) {
    try {
      if (config_.log) config_.log({level, "health", message, fields});
    } catch (...) {  // breaks the sink's contract; the observer is told all the same
    }
  };
  const std::array<log_field, 2> about{{{"check", one.check}, {"message", one.message}}};
  if (one.what == news::kind::hangs) return log(log_level::error, "check hangs", about);
  if (one.what == news::kind::returned) return log(log_level::warning, "check that hung returned", about);

  const std::array<log_field, 4> change{
      {{"check", one.check}, {"from", to_string(one.from)}, {"to", to_string(one.to)}, {"message", one.message}}};
  log(level_of(one.to), "check changed state", change);
  if (!config_.on_change) return;
  try {
    config_.on_change({one.check, one.from, one.to, one.message});
  } catch (...) {
    log(log_level::error, "on_change threw", about);
  }
}

}  // namespace spillway::detail
