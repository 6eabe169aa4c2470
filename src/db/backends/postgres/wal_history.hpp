// SPDX-License-Identifier: Apache-2.0
// Where the primary's log was, and when: what turns positions into ages.
#pragma once

#include "db/backends/postgres/route_types.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace spillway::detail {

/// Samples of one primary on one timeline. A sample says: all that was committed before it was asked for lies at or before its position. So a
/// replica that has replayed that far is not older than the sample, however idle the primary may be.
///
/// Keeps at most `most` samples, the older the further apart: forgetting one can only make an answer more cautious.
class wal_history {
 public:
  static constexpr std::size_t most{128};
  /// Samples closer together than this are not worth keeping.
  static constexpr std::chrono::milliseconds spacing{2};

  void clear() noexcept {
    samples_.clear();
    lowest_ = 0;
  }
  void add(const measured& when, std::uint64_t position);

  [[nodiscard]] bool empty() const noexcept { return samples_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return samples_.size(); }
  /// The last known position; 0 if none is.
  [[nodiscard]] std::uint64_t last() const noexcept { return samples_.empty() ? 0 : samples_.back().position; }
  /// The lowest position ever seen since `clear`: not before the place where the timeline began. 0 if none is known.
  [[nodiscard]] std::uint64_t lowest() const noexcept { return lowest_; }

  /// A position at or before which all lies that was committed before `moment`: the lowest one known.
  [[nodiscard]] std::optional<std::uint64_t> covering(time_point moment) const noexcept;
  /// Who has replayed up to `position` has seen all that was committed before this moment: the latest one known.
  [[nodiscard]] std::optional<time_point> fresh_until(std::uint64_t position) const noexcept;
  /// Since when, at the latest, the primary has been beyond `position`.
  [[nodiscard]] std::optional<time_point> passed(std::uint64_t position) const noexcept;

 private:
  struct sample {
    time_point asked;        // all committed before this lies at or before `position`
    time_point reached;      // the position was reached no later than this
    std::uint64_t position;
  };
  void thin_out();

  std::vector<sample> samples_;  // both asked and position rise
  std::uint64_t lowest_{0};
};

}  // namespace spillway::detail
