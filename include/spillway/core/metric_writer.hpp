// SPDX-License-Identifier: Apache-2.0
/// @file
/// How a module hands out its numbers without knowing who exports them.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/core/latency_histogram.hpp>

#include <chrono>
#include <initializer_list>
#include <span>
#include <string_view>

namespace spillway {

struct metric_label {
  std::string_view name;
  std::string_view value;
};
using metric_labels = std::span<const metric_label>;

/// Takes in the current values of one object's metrics. A module describes its object by a free function found by
/// argument-dependent lookup, and exporters call it:
///
///     void write_metrics(const http_server& server, std::string_view name, metric_writer& out);
///
/// Names follow the Prometheus guidelines: base units, `_total` for counters, no unit in labels. Text is copied before a member returns.
///
/// Threads: one at a time.
class SPILLWAY_EXPORT metric_writer {
 public:
  virtual ~metric_writer();

  /// A sum that only grows.
  virtual void counter(std::string_view name, std::string_view help, metric_labels labels, double value) = 0;
  /// A level that goes up and down.
  virtual void gauge(std::string_view name, std::string_view help, metric_labels labels, double value) = 0;
  /// Durations; written in seconds, cut into `bounds` (ascending).
  virtual void histogram(std::string_view name, std::string_view help, metric_labels labels,
                         const latency_snapshot& durations, std::span<const std::chrono::nanoseconds> bounds) = 0;
};

}  // namespace spillway
