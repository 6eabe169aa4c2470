// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a pool has counted so far.
#pragma once

#include <spillway/core/export.hpp>
#include <spillway/core/latency_histogram.hpp>
#include <spillway/core/metric_writer.hpp>
#include <spillway/pool/pool_error.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace spillway {

struct pool_stats {
  std::size_t lent{0};
  std::size_t idle{0};
  std::size_t opening{0};
  std::size_t lost{0};     ///< Openings that passed their deadline and have not ended; they count below `max` for as long again.
  std::size_t closing{0};
  std::size_t pinging{0};
  std::size_t waiting{0};
  std::size_t min{0};
  std::size_t max{0};
  std::size_t overflow{0};
  bool down{false};  ///< The last opening failed, not long ago.

  std::uint64_t opened{0};
  std::uint64_t open_failures{0};
  std::uint64_t closed{0};
  std::uint64_t pings_failed{0};  ///< Pings, and peeks on the way out.
  std::uint64_t leaks{0};         ///< Loans longer than pool_config::leak_after.
  std::array<std::uint64_t, pool_errc_count + 1> refused{};           ///< By pool_errc; place 0 is unused.
  std::array<std::uint64_t, pool_wait_cause_count> timeouts{};  ///< By pool_wait_cause.

  latency_snapshot wait;  ///< For a resource, by those who got one; the lower bounds count those who did not wait as zero.
  latency_snapshot hold;  ///< From lending to return.
  latency_snapshot open;  ///< Openings that went well.

  [[nodiscard]] std::uint64_t refused_with(pool_errc code) const noexcept { return refused[static_cast<std::size_t>(code)]; }
  [[nodiscard]] std::uint64_t timeouts_by(pool_wait_cause cause) const noexcept { return timeouts[static_cast<std::size_t>(cause)]; }
};

namespace detail {
SPILLWAY_EXPORT void write_pool_metrics(const pool_stats& stats, std::string_view name, metric_writer& out);
}

}  // namespace spillway
