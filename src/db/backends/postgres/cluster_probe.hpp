// SPDX-License-Identifier: Apache-2.0
// Asks one node who it is and how far, on a connection of its own.
#pragma once

#include "pg_channel.hpp"
#include "route_types.hpp"

#include <optional>

namespace spillway::detail {

struct failed_probe {
  probe_failure why;
  db_error error;
};

/// Threads: one at a time.
class cluster_probe {
 public:
  explicit cluster_probe(pg_conninfo info) : info_{std::move(info)} {}

  /// Blocks for this long at most, for twice as long if it has to connect first; resolution of names has bounds of its own.
  result<probe_answer, failed_probe> ask(std::chrono::nanoseconds at_most);

 private:
  const pg_conninfo info_;
  std::optional<pg_channel> channel_;
};

}  // namespace spillway::detail
