// SPDX-License-Identifier: Apache-2.0
#include "metrics/exposition.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

using namespace spillway::detail;

namespace {

std::string text_of(const prometheus::MetricFamily& family) {
  std::string out;
  append_family(family, out);
  return out;
}

prometheus::MetricFamily gauge_of(double value) {
  prometheus::ClientMetric metric;
  metric.gauge.value = value;
  return {"level", "", prometheus::MetricType::Gauge, {metric}};
}

}  // namespace

TEST_CASE("exposition.writes_a_counter_with_labels") {
  prometheus::ClientMetric metric;
  metric.label = {{"method", "GET"}, {"route", "/a"}};
  metric.counter.value = 1'000'000;
  CHECK(text_of({"requests_total", "Requests.", prometheus::MetricType::Counter, {metric}}) ==
        "# HELP requests_total Requests.\n"
        "# TYPE requests_total counter\n"
        "requests_total{method=\"GET\",route=\"/a\"} 1000000\n");
}

TEST_CASE("exposition.escapes_help_and_label_values") {
  prometheus::ClientMetric metric;
  metric.label = {{"path", "a\\b\"c\nd"}};
  CHECK(text_of({"x", "back\\slash \"quoted\"\nline", prometheus::MetricType::Gauge, {metric}}) ==
        "# HELP x back\\\\slash \"quoted\"\\nline\n"
        "# TYPE x gauge\n"
        "x{path=\"a\\\\b\\\"c\\nd\"} 0\n");
}

TEST_CASE("exposition.writes_numbers_so_that_they_can_be_read_back") {
  const auto value_of = [](double value) {
    const auto text = text_of(gauge_of(value));
    return text.substr(text.rfind(' ') + 1, text.size() - text.rfind(' ') - 2);
  };
  CHECK(value_of(0) == "0");
  CHECK(value_of(-3) == "-3");
  CHECK(value_of(0.1) == "0.1");
  CHECK(value_of(1e18) == "1e+18");
  CHECK(value_of(std::numeric_limits<double>::infinity()) == "+Inf");
  CHECK(value_of(-std::numeric_limits<double>::infinity()) == "-Inf");
  CHECK(value_of(std::nan("")) == "NaN");
  for (const double value : {1.0 / 3, 123456.789, 5e-324, 9007199254740993.0}) CHECK(std::strtod(value_of(value).c_str(), nullptr) == value);
}

TEST_CASE("exposition.ends_a_histogram_with_infinity_and_the_totals") {
  prometheus::ClientMetric metric;
  metric.label = {{"route", "/"}};
  metric.histogram = {7, 1.5, {{3, 0.1}, {6, 1}}};
  CHECK(text_of({"t_seconds", "", prometheus::MetricType::Histogram, {metric}}) ==
        "# TYPE t_seconds histogram\n"
        "t_seconds_bucket{route=\"/\",le=\"0.1\"} 3\n"
        "t_seconds_bucket{route=\"/\",le=\"1\"} 6\n"
        "t_seconds_bucket{route=\"/\",le=\"+Inf\"} 7\n"
        "t_seconds_sum{route=\"/\"} 1.5\n"
        "t_seconds_count{route=\"/\"} 7\n");
}

TEST_CASE("exposition.does_not_repeat_an_infinite_bucket") {
  prometheus::ClientMetric metric;
  metric.histogram = {7, 1.5, {{3, 0.1}, {7, std::numeric_limits<double>::infinity()}}};
  const auto text = text_of({"t_seconds", "", prometheus::MetricType::Histogram, {metric}});
  CHECK(text.find("+Inf") == text.rfind("+Inf"));
}

TEST_CASE("exposition.writes_a_summary_and_a_timestamp") {
  prometheus::ClientMetric metric;
  metric.summary = {2, 3, {{0.5, 1}}};
  metric.timestamp_ms = 1700;
  CHECK(text_of({"s", "", prometheus::MetricType::Summary, {metric}}) ==
        "# TYPE s summary\ns{quantile=\"0.5\"} 1 1700\ns_sum 3 1700\ns_count 2 1700\n");
}
