// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/backoff.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>

namespace spillway {

decorrelated_backoff::decorrelated_backoff(const backoff_config& config) : config_{config}, previous_{config.base} {
  if (config.base.count() < 1) {
    throw std::invalid_argument(fmt::format("backoff_config.base is {} ms; it must be above zero", config.base.count()));
  }
  if (config.cap < config.base || config.cap > std::chrono::hours{24}) {
    throw std::invalid_argument(fmt::format("backoff_config.cap is {} ms; it must be in [{} ms (base), 86400000 ms]",
                                            config.cap.count(), config.base.count()));
  }
}

std::chrono::milliseconds decorrelated_backoff::advance(double unit_interval) noexcept {
  const auto low = config_.base.count();
  const auto high = std::min(config_.cap.count(), previous_.count() * 3);
  const auto span = static_cast<double>(high - low + 1);
  const auto drawn = low + static_cast<std::int64_t>(unit_interval * span);
  previous_ = std::chrono::milliseconds{std::min(drawn, high)};
  return previous_;
}

}  // namespace spillway
