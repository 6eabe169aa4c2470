// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/route_node.hpp"

namespace spillway::detail {

void route_node::note_replay(const wal_place& place, const measured& when) {
  if (when.asked < samples_from) return;
  if (replay && replay->place.timeline == place.timeline) {
    if (place.position < replay->place.position) {
      // Measured at about the same time, the greater holds for both. Measured later, it has gone back: restarted, and begun from older data.
      if (!when.surely_after(replay->when)) return;
    } else if (place.position == replay->place.position && when.asked < replay->when.asked) {
      return;
    }
  } else if (replay && place.timeline < replay->place.timeline && !when.surely_after(replay->when)) {
    return;
  }
  replay = replay_sample{place, when};
}

}  // namespace spillway::detail
