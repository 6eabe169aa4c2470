// SPDX-License-Identifier: Apache-2.0
/// @file
/// Counts as `cloc` does where it takes comment marks inside strings for comments.
#pragma once

#include "analyzer/language.hpp"
#include "analyzer/line_counter.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace analysis {

/// For comparisons with `cloc`, which knows no strings: "/*" in a string opens a comment if "*/" follows anywhere, and
/// in Python three quotes of either kind toggle a comment wherever they stand. `line_counter` is right where the two
/// differ; COUNTING.md lists the differences.
///
/// Threads: one at a time. Errors: none. Cost: bounded memory; some times slower than `line_counter`.
class cloc_counter {
 public:
  /// True for the languages in which it may differ from `line_counter`.
  [[nodiscard]] static bool covers(language id) noexcept;

  /// `id` must be covered.
  explicit cloc_counter(language id) noexcept;

  void feed(std::string_view bytes) noexcept;
  void finish() noexcept;

  /// Without the longest line.
  [[nodiscard]] const line_counts& counts() const noexcept { return counts_; }

 private:
  enum class place : std::uint8_t { text, line_comment, block };

  struct style {
    bool docstrings{false};      ///< Three quotes open and close a comment; else "/*" and "*/" do.
    bool slashes{false};         ///< "//" starts a comment.
    std::string_view line_mark;  ///< Makes a whole line a comment where it stands first.
  };
  static const style* style_of(language id) noexcept;

  /// What is known of the line so far. All of it is forgotten at its end.
  struct line_state {
    std::array<char, 2> lead{};  // The first two bytes from the first that is not blank.
    std::size_t lead_size{0};
    bool at_column_zero{true};  // No blank before the lead.
    bool empty{true};
    bool code{false};
    bool pending{false};     // Something that is code unless it turns out to be part of a mark.
    bool whole{false};       // The line is a comment whatever follows.
    bool void_line{false};   // Python: "/*" or "*/" is on it.
    bool joined{false};      // Its code belongs to a line counted already.
    place began_in{place::text};
  };

  void scan(std::string_view bytes) noexcept;
  const char* start_line(const char* p, const char* end) noexcept;
  [[nodiscard]] const byte_set* stops() const noexcept;
  void c_byte(char c) noexcept;
  void python_byte(char c) noexcept;
  void see(char c) noexcept;
  void open_block() noexcept;
  void close_block() noexcept;
  void end_line() noexcept;

  style style_;
  bool continues_lines_;
  bool shebang_is_code_;
  line_counts counts_;
  line_state line_;
  bool at_file_start_{true};
  std::size_t mark_bytes_{0};  // Of a byte order mark, so far.
  place place_{place::text};
  char previous_{'\0'};  // Byte before, unless a mark has used it up.
  unsigned quotes_{0};
  bool seen_text_{false};
  bool after_splice_{false};
  bool after_code_splice_{false};

  /// The comment that is open.
  struct block_state {
    bool after_code{false};
    bool on_this_line{false};
    std::uint64_t comments_before{0};  // Were it never closed, all later comments ...
    std::uint64_t comments_anyway{0};  // ... but these would be code.
  };
  block_state block_;
  block_state block_at_line_start_;
};

}  // namespace analysis
