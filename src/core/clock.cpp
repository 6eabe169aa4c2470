// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/clock.hpp>

namespace spillway {

clock_source::~clock_source() = default;

namespace {

class system_clocks final : public clock_source {
 public:
  time_point now() const noexcept override { return std::chrono::steady_clock::now(); }
  wall_time_point wall_now() const noexcept override { return std::chrono::system_clock::now(); }
};

}  // namespace

const clock_source& system_clock_source() noexcept {
  static const system_clocks clocks;
  return clocks;
}

}  // namespace spillway
