// SPDX-License-Identifier: Apache-2.0
#include "metrics/family_shape.hpp"

#include "metrics/label_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <stdexcept>

namespace spillway::detail {

void refuse(std::string_view name, std::string_view why) {
  throw std::invalid_argument(fmt::format("metric '{}': {}", name, why));
}

void check_shape(const family_shape& shape) {
  const bool snake_case = is_metric_name(shape.name) &&
                          std::none_of(shape.name.begin(), shape.name.end(), [](char c) { return c == ':' || (c >= 'A' && c <= 'Z'); });
  if (!snake_case) {
    refuse(shape.name, fmt::format("the name must be 1 to {} of [a-z0-9_], not beginning with a digit", longest_name));
  }
  const bool total = shape.name.ends_with("_total");
  switch (shape.type) {
    case prometheus::MetricType::Counter:
      if (!total) refuse(shape.name, "the name of a counter must end in _total");
      break;
    case prometheus::MetricType::Histogram:
      if (!shape.name.ends_with("_seconds")) refuse(shape.name, "the name of a histogram of durations must end in _seconds");
      break;
    default:
      if (total) refuse(shape.name, "only the name of a counter may end in _total");
  }
  if (shape.help.empty()) refuse(shape.name, "the help text is empty; it must say what is counted");
  for (std::size_t i = 0; i < shape.label_names.size(); ++i) {
    const auto& label = shape.label_names[i];
    if (!is_label_name(label) || (shape.type == prometheus::MetricType::Histogram && label == "le")) {
      refuse(shape.name, fmt::format("label name '{}' is not allowed; it must be of [a-zA-Z0-9_], not begin with a digit or __, and not be "
                                     "le in a histogram",
                                     label));
    }
    const auto end = shape.label_names.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::find(shape.label_names.begin(), end, label) != end) refuse(shape.name, fmt::format("label name '{}' comes twice", label));
  }
  if (shape.label_names.size() > most_labels) {
    refuse(shape.name, fmt::format("{} label names; at most {} are allowed", shape.label_names.size(), most_labels));
  }
  if (shape.type != prometheus::MetricType::Histogram) return;
  const auto& bounds = shape.bounds;
  const bool ascend = std::adjacent_find(bounds.begin(), bounds.end(), std::greater_equal<>{}) == bounds.end();
  if (bounds.empty() || bounds.size() > most_buckets || !ascend || bounds.front() <= std::chrono::nanoseconds{0}) {
    refuse(shape.name, fmt::format("the bounds must be 1 to {}, above zero and ascending", most_buckets));
  }
}

}  // namespace spillway::detail
