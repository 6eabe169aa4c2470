// SPDX-License-Identifier: Apache-2.0
// What the connections of one thread share, so that a request need not make it: the date, and request ids.
#pragma once

#include <spillway/core/clock.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string_view>

namespace spillway::detail {

/// The Date header, written anew once a second.
class date_cache {
 public:
  /// `now` is of the same moment as what `wall_now()` would answer, which is asked only when the second has ended.
  [[nodiscard]] std::string_view text(time_point now, const clock_source& clock);

  /// Calendar time of a recent `now`, without asking for it.
  [[nodiscard]] wall_time_point wall(time_point now) const noexcept {
    return wall_ + std::chrono::duration_cast<wall_time_point::duration>(now - at_);
  }

 private:
  std::array<char, 29> text_{};
  wall_time_point wall_;
  time_point at_;
  time_point until_{time_point::min()};
};

/// 128 random bits as 32 hexadecimal digits. Unique enough to find a request by; no secret.
class request_id_source {
 public:
  /// Holds until the next call.
  [[nodiscard]] std::string_view next() noexcept {
    static constexpr char digits[]{"0123456789abcdef"};
    for (std::size_t word = 0; word < 2; ++word) {
      auto value = random_();
      for (std::size_t i = 0; i < 16; ++i, value >>= 4) text_[word * 16 + i] = digits[value & 15];
    }
    return {text_.data(), text_.size()};
  }

 private:
  [[nodiscard]] static std::mt19937_64 seeded() {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
    return std::mt19937_64{seed};
  }

  std::mt19937_64 random_{seeded()};
  std::array<char, 32> text_{};
};

}  // namespace spillway::detail
