// SPDX-License-Identifier: Apache-2.0
#include <spillway/health/resource_checks.hpp>

#include "health/ratio_field.hpp"

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

namespace spillway {

namespace {

health_result judge_share(double used_ratio, double degraded_above, double failed_above, std::string what) {
  auto message = fmt::format("{} is {:.1f} % used", what, used_ratio * 100);
  if (used_ratio > failed_above) return health_result::failed(std::move(message));
  if (used_ratio > degraded_above) return health_result::degraded(std::move(message));
  return health_result::ok(std::move(message));
}

}  // namespace

blocking_health_check disk_space_check(const disk_space_config& config, std::shared_ptr<const system_sensors> sensors) {
  if (config.path.empty()) throw std::invalid_argument("disk_space_config.path is empty; it must be a path");
  detail::check_ratio("disk_space_config.degraded_above_ratio", config.degraded_above_ratio);
  detail::check_ratio("disk_space_config.failed_above_ratio", config.failed_above_ratio, config.degraded_above_ratio);
  return [config, sensors = std::move(sensors)](const health_check_context&) {
    const auto disk = sensors->disk(config.path);
    if (!disk) return health_result::failed(fmt::format("cannot read the space of {}: {}", config.path, disk.error().message()));
    const auto all = static_cast<double>(disk->used_bytes + disk->available_bytes);
    if (all <= 0) return health_result::ok(config.path + " has no size");  // of /proc and its like
    return judge_share(static_cast<double>(disk->used_bytes) / all, config.degraded_above_ratio, config.failed_above_ratio,
                       "disk of " + config.path);
  };
}

blocking_health_check memory_check(const memory_check_config& config, std::shared_ptr<const system_sensors> sensors) {
  detail::check_ratio("memory_check_config.degraded_above_ratio", config.degraded_above_ratio);
  detail::check_ratio("memory_check_config.failed_above_ratio", config.failed_above_ratio, config.degraded_above_ratio);
  return [config, sensors = std::move(sensors)](const health_check_context&) {
    const auto memory = sensors->memory();
    if (!memory) return health_result::unknown("cannot read the memory: " + memory.error().message());
    return judge_share(static_cast<double>(memory->used_bytes) / static_cast<double>(memory->limit_bytes), config.degraded_above_ratio,
                       config.failed_above_ratio, "memory");
  };
}

}  // namespace spillway
