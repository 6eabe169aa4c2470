// SPDX-License-Identifier: Apache-2.0
// Why a request gets no handler: the status it is answered with and the label it is counted under.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace spillway::detail {

enum class rejection : std::uint8_t {
  malformed,
  version,
  transfer_coding,
  method,
  target_too_long,
  head_too_large,
  body_too_large,
  expectation,
  head_timeout,
  body_timeout,
  connections,
};

struct rejection_entry {
  int status;
  std::string_view label;
};

inline constexpr std::array<rejection_entry, 11> rejections{{{400, "malformed"},
                                                             {505, "version"},
                                                             {501, "transfer_coding"},
                                                             {501, "method"},
                                                             {414, "target_too_long"},
                                                             {431, "head_too_large"},
                                                             {413, "body_too_large"},
                                                             {417, "expectation"},
                                                             {408, "head_timeout"},
                                                             {408, "body_timeout"},
                                                             {503, "connections"}}};

[[nodiscard]] constexpr const rejection_entry& entry_of(rejection why) noexcept { return rejections[static_cast<std::size_t>(why)]; }

/// A reason and a constant sentence for the client.
struct refusal {
  rejection why{rejection::malformed};
  std::string_view detail;
};

}  // namespace spillway::detail
