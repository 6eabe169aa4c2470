// SPDX-License-Identifier: Apache-2.0
// What a family of own instruments is, and what it may be.
#pragma once

#include <prometheus/metric_type.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::detail {

struct family_shape {
  std::string name;
  std::string help;
  prometheus::MetricType type;
  std::vector<std::string> label_names;
  std::vector<std::chrono::nanoseconds> bounds;  // of a histogram
};

/// Throws std::invalid_argument naming the metric and what is wrong with it.
[[noreturn]] void refuse(std::string_view name, std::string_view why);

/// Throws std::invalid_argument if the family could not be exported, or would break the naming rules of Prometheus.
void check_shape(const family_shape& shape);

}  // namespace spillway::detail
