// SPDX-License-Identifier: Apache-2.0
/// @file
/// Short ways to count a text, whole or in pieces.
#pragma once

#include "analyzer/cloc_counter.hpp"
#include "analyzer/import_scanner.hpp"
#include "analyzer/language.hpp"
#include "analyzer/line_counter.hpp"

#include <algorithm>
#include <cstddef>
#include <ostream>
#include <string_view>
#include <vector>

namespace analysis {

inline std::ostream& operator<<(std::ostream& out, const line_counts& counts) {
  return out << "code " << counts.code << ", comment " << counts.comment << ", blank " << counts.blank << ", longest "
             << counts.longest_line_bytes << " in line " << counts.longest_line_number;
}

inline std::ostream& operator<<(std::ostream& out, language id) { return out << name_of(id); }

inline std::ostream& operator<<(std::ostream& out, const import_edge& edge) {
  return out << name_of(edge.kind) << ' ' << edge.line << ' ' << edge.target;
}

namespace tests {

/// Feeds the text in pieces of the given sizes, over and over.
template <class Counter>
void feed_in_pieces(Counter& counter, std::string_view text, const std::vector<std::size_t>& sizes) {
  for (std::size_t i = 0; !text.empty(); ++i) {
    const std::size_t size = std::min(std::max<std::size_t>(sizes[i % sizes.size()], 1), text.size());
    counter.feed(text.substr(0, size));
    text.remove_prefix(size);
  }
  counter.finish();
}

inline line_counts count(language id, std::string_view text, const std::vector<std::size_t>& sizes = {1U << 30U}) {
  line_counter counter(id);
  feed_in_pieces(counter, text, sizes);
  return counter.counts();
}

inline line_counts count_like_cloc(language id, std::string_view text, const std::vector<std::size_t>& sizes = {1U << 30U}) {
  cloc_counter counter(id);
  feed_in_pieces(counter, text, sizes);
  return counter.counts();
}

inline std::vector<import_edge> imports(language id, std::string_view text, const std::vector<std::size_t>& sizes = {1U << 30U},
                                        const import_limits& limits = {}) {
  import_scanner scanner(id, limits);
  line_counter counter(id, &scanner);
  feed_in_pieces(counter, text, sizes);
  return scanner.take_edges();
}

}  // namespace tests
}  // namespace analysis
