// SPDX-License-Identifier: Apache-2.0
// Metric families as text, format 0.0.4.
#pragma once

#include <prometheus/metric_family.h>

#include <string>

namespace spillway::detail {

/// Appends one family. prometheus-cpp's own serializer writes help texts unescaped, so a backslash or newline there would break the text.
void append_family(const prometheus::MetricFamily& family, std::string& out);

}  // namespace spillway::detail
