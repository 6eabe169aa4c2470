// SPDX-License-Identifier: Apache-2.0
#include <spillway/pool/pool_config.hpp>

#include <fmt/format.h>

namespace spillway {

pool_budget::~pool_budget() = default;

namespace {

using namespace std::chrono_literals;

/// Collects the first problem.
class checker {
 public:
  template <class T>
  void in(std::string_view field, T value, T least, T most) {
    if (!(value >= least && value <= most)) refuse(fmt::format("{} is {}; it must be in [{}, {}]", field, value, least, most));
  }
  void in(std::string_view field, std::chrono::milliseconds value, std::chrono::milliseconds least, std::chrono::milliseconds most) {
    if (value < least || value > most) {
      refuse(fmt::format("{} is {} ms; it must be in [{} ms, {} ms]", field, value.count(), least.count(), most.count()));
    }
  }
  void up_to_max(std::string_view field, std::size_t value, std::size_t max) {
    if (value > max) refuse(fmt::format("{} is {}; it must be in [0, max], and max is {}", field, value, max));
  }
  void zero_or_in(std::string_view field, std::chrono::milliseconds value, std::chrono::milliseconds least, std::chrono::milliseconds most) {
    if (value.count() != 0 && (value < least || value > most)) {
      refuse(fmt::format("{} is {} ms; it must be 0 (never) or in [{} ms, {} ms]", field, value.count(), least.count(), most.count()));
    }
  }
  void refuse(std::string text) {
    if (problem_.empty()) problem_ = "pool_config." + std::move(text);
  }
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

 private:
  std::string problem_;
};

}  // namespace

result<void, std::string> validate(const pool_config& c) {
  constexpr std::chrono::milliseconds day{24h};
  constexpr std::chrono::milliseconds month{30 * 24h};
  checker check;
  check.in<std::size_t>("name length", c.name.size(), 1, 64);
  check.in<std::size_t>("max", c.max, 1, 10'000);
  check.up_to_max("min", c.min, c.max);
  check.up_to_max("min_idle", c.min_idle, c.max);
  check.in<std::size_t>("overflow", c.overflow, 0, 1'000);
  check.in<std::size_t>("max_waiters", c.max_waiters, 0, 1'000'000);
  check.in("acquire_timeout", c.acquire_timeout, 1ms, day);
  check.in("connect_timeout", c.connect_timeout, 1ms, 1h);
  check.in("ping_timeout", c.ping_timeout, 1ms, 1h);
  check.in<std::size_t>("max_connecting", c.max_connecting, 1, 100);
  check.in("reconnect.base", c.reconnect.base, 1ms, day);
  check.in("reconnect.cap", c.reconnect.cap, c.reconnect.base, day);
  check.zero_or_in("idle_timeout", c.idle_timeout, 10ms, day);
  check.zero_or_in("max_lifetime", c.max_lifetime, 10ms, month);
  if (c.max_lifetime.count() != 0 && c.max_lifetime < c.idle_timeout) {
    check.refuse(fmt::format("max_lifetime is {} ms; it must not be below idle_timeout, {} ms", c.max_lifetime.count(), c.idle_timeout.count()));
  }
  check.in("lifetime_jitter_ratio", c.lifetime_jitter_ratio, 0.0, 0.9);
  check.zero_or_in("ping_after_idle", c.ping_after_idle, 1ms, day);
  check.zero_or_in("keepalive", c.keepalive, 10ms, day);
  check.zero_or_in("slow_acquire", c.slow_acquire, 1ms, day);
  check.zero_or_in("leak_after", c.leak_after, 1ms, month);
  if (!check.problem().empty()) return check.problem();
  return {};
}

}  // namespace spillway
