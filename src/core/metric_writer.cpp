// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/metric_writer.hpp>

namespace spillway {

metric_writer::~metric_writer() = default;

}  // namespace spillway
