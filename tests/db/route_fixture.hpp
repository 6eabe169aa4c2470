// SPDX-License-Identifier: Apache-2.0
// A router core told by literal times.
#pragma once

#include "db/backends/postgres/route_core.hpp"
#include "db/route_times.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace spillway::testing {

using namespace std::chrono_literals;
using namespace spillway::detail;

/// Node 0 is the one listed first; the others are b, c, and so on.
struct router {
  static constexpr std::uint64_t system{42};

  explicit router(std::size_t count, const routing_config& config = {}) : core{config, names(count), at(0ms)} {}

  static std::vector<routing_node> names(std::size_t count) {
    std::vector<routing_node> nodes;
    for (std::size_t i = 0; i < count; ++i) nodes.push_back({std::string(1, static_cast<char>('a' + i))});
    return nodes;
  }

  void primary(node_index node, std::chrono::milliseconds asked, std::uint64_t position = 1'000, std::uint32_t timeline = 1) {
    core.probe_answered(node, when(asked), {db_node_role::primary, system, {timeline, position}});
  }
  void replica(node_index node, std::chrono::milliseconds asked, std::uint64_t position = 1'000, std::uint32_t timeline = 1) {
    core.probe_answered(node, when(asked), {db_node_role::replica, system, {timeline, position}});
  }
  void fails(node_index node, std::chrono::milliseconds now, probe_failure why = probe_failure::refused) { core.probe_failed(node, at(now), why, 0); }
  /// a is the primary, the others replicas, all at one place.
  void all_well(std::chrono::milliseconds asked = 0ms, std::uint64_t position = 1'000) {
    primary(0, asked, position);
    for (node_index i = 1; i < core_size(); ++i) replica(i, asked, position);
  }

  read_answer read(std::chrono::milliseconds now, read_question question = {}, std::uint64_t random = 0) { return core.choose_read(question, at(now), random); }
  write_answer write(std::chrono::milliseconds now, std::size_t held = 0) { return core.choose_write(at(now), held); }
  void end(const route_ticket& ticket, std::chrono::milliseconds now, query_end how = query_end::answered, std::chrono::nanoseconds took = 1ms) {
    core.finished(ticket, at(now), how, took, 0);
  }
  [[nodiscard]] std::size_t core_size() const { return core.stats(at(0ms)).nodes.size(); }
  [[nodiscard]] std::string explain(std::chrono::milliseconds now, const read_question& question = {}) const { return core.explain(question, at(now)); }

  route_core core;
};

inline consistency_token token(std::uint64_t position, std::uint32_t timeline = 1, bool primary_only = false) {
  return {router::system, timeline, position, primary_only};
}
inline read_question with(const consistency_token& t) {
  read_question question;
  question.token = t;
  return question;
}
inline read_question as_of(std::chrono::milliseconds moment) {
  read_question question;
  question.fresh_as_of = at(moment);
  return question;
}
inline read_question without(read_question question, std::initializer_list<node_index> tried) {
  for (const auto node : tried) question.tried |= std::uint64_t{1} << node;
  return question;
}
inline read_question patient(read_question question, std::chrono::milliseconds until) {
  question.may_wait_until = at(until);
  return question;
}
inline bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace spillway::testing
