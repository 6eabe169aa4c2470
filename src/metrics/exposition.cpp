// SPDX-License-Identifier: Apache-2.0
#include "metrics/exposition.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

namespace spillway::detail {

namespace {

using label_list = std::vector<prometheus::ClientMetric::Label>;

void append_escaped(std::string_view text, bool quotes, std::string& out) {
  const auto special = [quotes](char c) { return c == '\\' || c == '\n' || (c == '"' && quotes); };
  for (;;) {
    const auto found = std::find_if(text.begin(), text.end(), special);
    out.append(text.begin(), found);
    if (found == text.end()) return;
    out += '\\';
    out += *found == '\n' ? 'n' : *found;
    text.remove_prefix(static_cast<std::size_t>(found - text.begin()) + 1);
  }
}

template <class Number>
void append_digits(Number value, std::string& out) {
  char text[32];
  const auto written = std::to_chars(text, text + sizeof text, value);
  out.append(text, written.ptr);
}

void append_number(double value, std::string& out) {
  constexpr double exact_integers{9'007'199'254'740'992.0};  // 2^53
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else if (std::abs(value) < exact_integers && value == std::trunc(value)) {
    append_digits(static_cast<std::int64_t>(value), out);
  } else {
    append_digits(value, out);
  }
}

/// `extra` is the label a bucket or quantile has besides those of the series.
void append_series(std::string_view name, std::string_view suffix, const label_list& labels, std::string_view extra, double bound,
                   std::string& out) {
  out += name;
  out += suffix;
  if (labels.empty() && extra.empty()) return;
  char separator{'{'};
  for (const auto& label : labels) {
    out += separator;
    out += label.name;
    out += "=\"";
    append_escaped(label.value, true, out);
    out += '"';
    separator = ',';
  }
  if (!extra.empty()) {
    out += separator;
    out += extra;
    out += "=\"";
    append_number(bound, out);
    out += '"';
  }
  out += '}';
}

template <class Number>
void append_value(Number value, std::int64_t timestamp_ms, std::string& out) {
  out += ' ';
  if constexpr (std::is_integral_v<Number>) {
    append_digits(value, out);
  } else {
    append_number(value, out);
  }
  if (timestamp_ms != 0) {
    out += ' ';
    append_digits(timestamp_ms, out);
  }
  out += '\n';
}

constexpr std::string_view type_name(prometheus::MetricType type) noexcept {
  switch (type) {
    case prometheus::MetricType::Counter: return "counter";
    case prometheus::MetricType::Gauge: return "gauge";
    case prometheus::MetricType::Histogram: return "histogram";
    case prometheus::MetricType::Summary: return "summary";
    default: return "untyped";
  }
}

void append_histogram(std::string_view name, const prometheus::ClientMetric& metric, std::string& out) {
  constexpr double infinity{std::numeric_limits<double>::infinity()};
  for (const auto& bucket : metric.histogram.bucket) {
    if (bucket.upper_bound == infinity) break;
    append_series(name, "_bucket", metric.label, "le", bucket.upper_bound, out);
    append_value(bucket.cumulative_count, metric.timestamp_ms, out);
  }
  append_series(name, "_bucket", metric.label, "le", infinity, out);
  append_value(metric.histogram.sample_count, metric.timestamp_ms, out);
  append_series(name, "_sum", metric.label, {}, 0, out);
  append_value(metric.histogram.sample_sum, metric.timestamp_ms, out);
  append_series(name, "_count", metric.label, {}, 0, out);
  append_value(metric.histogram.sample_count, metric.timestamp_ms, out);
}

void append_summary(std::string_view name, const prometheus::ClientMetric& metric, std::string& out) {
  for (const auto& quantile : metric.summary.quantile) {
    append_series(name, {}, metric.label, "quantile", quantile.quantile, out);
    append_value(quantile.value, metric.timestamp_ms, out);
  }
  append_series(name, "_sum", metric.label, {}, 0, out);
  append_value(metric.summary.sample_sum, metric.timestamp_ms, out);
  append_series(name, "_count", metric.label, {}, 0, out);
  append_value(metric.summary.sample_count, metric.timestamp_ms, out);
}

}  // namespace

void append_family(const prometheus::MetricFamily& family, std::string& out) {
  if (!family.help.empty()) {
    out += "# HELP ";
    out += family.name;
    out += ' ';
    append_escaped(family.help, false, out);
    out += '\n';
  }
  out += "# TYPE ";
  out += family.name;
  out += ' ';
  out += type_name(family.type);
  out += '\n';
  for (const auto& metric : family.metric) {
    switch (family.type) {
      case prometheus::MetricType::Histogram: append_histogram(family.name, metric, out); break;
      case prometheus::MetricType::Summary: append_summary(family.name, metric, out); break;
      default: {
        const double value = family.type == prometheus::MetricType::Counter ? metric.counter.value
                             : family.type == prometheus::MetricType::Gauge ? metric.gauge.value
                                                                            : metric.untyped.value;
        append_series(family.name, {}, metric.label, {}, 0, out);
        append_value(value, metric.timestamp_ms, out);
      }
    }
  }
}

}  // namespace spillway::detail
