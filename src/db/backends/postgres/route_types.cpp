// SPDX-License-Identifier: Apache-2.0
#include "db/backends/postgres/route_types.hpp"

namespace spillway {

std::string_view to_string(db_route_refusal why) noexcept {
  switch (why) {
    case db_route_refusal::none: return "none";
    case db_route_refusal::starting: return "not enough nodes have answered yet";
    case db_route_refusal::clusters_disagree: return "the nodes belong to different database systems, and the configuration does not name the right one";
    case db_route_refusal::foreign_token: return "the consistency token is of another database system";
    case db_route_refusal::unknown_timeline: return "the consistency token is of a timeline newer than any node's";
    case db_route_refusal::no_primary: return "there is no primary";
    case db_route_refusal::primary_down: return "the primary does not answer";
    case db_route_refusal::two_primaries:
      return "two nodes are primary on the same timeline: one server listed twice, or two that were promoted apart from each other";
    case db_route_refusal::load_cap: return "no replica may serve this read, and the primary has taken as many of those as it may";
    case db_route_refusal::buffer_full: return "there is no primary, and as many callers wait for one as may";
    case db_route_refusal::primary_tried: return "only the primary may serve this read, and it was tried";
  }
  return "unknown";
}

std::string_view to_string(db_node_state verdict) noexcept {
  switch (verdict) {
    case db_node_state::usable: return "usable";
    case db_node_state::proven: return "known to be fresh enough";
    case db_node_state::check: return "fresh enough if it says so";
    case db_node_state::not_heard: return "has not answered yet";
    case db_node_state::down: return "down";
    case db_node_state::suspect: return "did not answer its last probe";
    case db_node_state::foreign: return "belongs to another database system";
    case db_node_state::is_primary: return "the primary";
    case db_node_state::fenced: return "says that it is the primary, but is not";
    case db_node_state::ejected: return "ejected for answering badly";
    case db_node_state::tried: return "was tried";
    case db_node_state::other_timeline: return "not known to be on the primary's timeline";
    case db_node_state::behind: return "too far behind";
    case db_node_state::no_comparison: return "cannot be compared: the primary's place at that moment is not known";
  }
  return "unknown";
}

std::string_view to_string(db_node_role role) noexcept {
  switch (role) {
    case db_node_role::unknown: return "of no known role";
    case db_node_role::primary: return "a primary";
    case db_node_role::replica: return "a replica";
  }
  return "unknown";
}

std::string_view detail::to_string(route_change_kind kind) noexcept {
  switch (kind) {
    case route_change_kind::system_known: return "the database system is known";
    case route_change_kind::primary_is: return "is the primary";
    case route_change_kind::primary_lost: return "is no longer the primary";
    case route_change_kind::two_primaries: return "two nodes are primary on the same timeline";
    case route_change_kind::node_down: return "is down";
    case route_change_kind::node_up: return "is up";
    case route_change_kind::node_foreign: return "belongs to another database system";
    case route_change_kind::node_ejected: return "is ejected for answering badly";
    case route_change_kind::node_returned: return "is back after its ejection";
  }
  return "unknown";
}

}  // namespace spillway
