// SPDX-License-Identifier: Apache-2.0
/// @file
/// Collects the names of other files and modules that a source file asks for.
#pragma once

#include "analyzer/language.hpp"

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace analysis {

enum class edge_kind : std::uint8_t {
  quoted_include,  ///< #include "x"
  angled_include,  ///< #include <x>
  import,          ///< import, use, require, from, source and the like
  submodule,       ///< a file that becomes part of this module: Rust's mod
};

[[nodiscard]] std::string_view name_of(edge_kind kind) noexcept;

struct import_edge {
  edge_kind kind{edge_kind::import};
  std::uint32_t line{0};  ///< From 1; the largest value stands for all lines beyond.
  std::string target;     ///< As written, without quotes. Bytes, not necessarily UTF-8.

  friend bool operator==(const import_edge&, const import_edge&) = default;
};

struct import_limits {
  std::size_t edges_per_file{1024};  ///< Further ones are dropped and `truncated` is set. 0 keeps none.
  std::size_t target_bytes{512};     ///< A longer target is cut and `truncated` is set. At least 1.
};

/// Finds imports in the lines and strings that `line_counter` hands over: it never sees comments.
///
/// One line at a time: an import spread over several lines is found by the line that names its target. Targets
/// computed at run time are not found.
///
/// Threads: one at a time. Errors: none; whatever does not look like an import is ignored.
class import_scanner {
 public:
  explicit import_scanner(language id, const import_limits& limits = {});

  /// True when a line of code that starts with this byte may be an import.
  [[nodiscard]] bool wants_line(unsigned char first) const noexcept { return first_bytes_[first]; }

  /// True when a string opening after this text names an import.
  [[nodiscard]] bool wants_quoted(std::string_view left) const noexcept;

  void line(std::string_view text, std::uint64_t number);
  void quoted(std::string_view text, std::uint64_t number);

  [[nodiscard]] bool truncated() const noexcept { return truncated_; }
  [[nodiscard]] const std::vector<import_edge>& edges() const noexcept { return edges_; }
  [[nodiscard]] std::vector<import_edge> take_edges() noexcept { return std::move(edges_); }

 private:
  void add(edge_kind kind, std::string_view target);
  void add_list(std::string_view names);
  void add_quoted(std::string_view text);
  void c_line(std::string_view text);
  void python_line(std::string_view text);
  void statement_line(std::string_view text);
  void go_line(std::string_view text);
  void rust_line(std::string_view text);
  void php_line(std::string_view text);
  void word_line(std::string_view text);

  import_style style_;
  import_limits limits_;
  std::bitset<256> first_bytes_;
  std::vector<import_edge> edges_;
  std::uint64_t line_{0};
  bool in_go_block_{false};
  bool truncated_{false};
};

}  // namespace analysis
