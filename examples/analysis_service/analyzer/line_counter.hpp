// SPDX-License-Identifier: Apache-2.0
/// @file
/// Counts code, comment and blank lines of a text that arrives in pieces.
#pragma once

#include "analyzer/language.hpp"
#include "analyzer/syntax.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace analysis {

class import_scanner;

struct line_counts {
  std::uint64_t code{0};
  std::uint64_t comment{0};
  std::uint64_t blank{0};
  std::uint64_t longest_line_bytes{0};   ///< Without its line terminator.
  std::uint64_t longest_line_number{0};  ///< The first such line, from 1; 0 when there is no line.

  [[nodiscard]] std::uint64_t lines() const noexcept { return code + comment + blank; }
  friend bool operator==(const line_counts&, const line_counts&) = default;
};

/// The state machine behind the counts: one per file.
///
/// A line ends at a line feed; one carriage return before it belongs to the terminator. A line of blanks only is
/// blank, even inside a comment. A line with anything outside comments is code, and so is the line after a line of code
/// that ends in a backslash. All else is comment.
///
/// Threads:  one at a time.
/// Lifetime: `imports`, when given, outlives the counter and is told of every import found.
/// Errors:   none; any bytes are accepted.
/// Cost:     bounded memory, whatever the length of a line; how the text is split never changes the result.
class line_counter {
 public:
  explicit line_counter(language id, import_scanner* imports = nullptr);
  line_counter(const line_counter&) = delete;
  line_counter& operator=(const line_counter&) = delete;

  void feed(std::string_view bytes);

  /// Ends the text. Nothing may be fed afterwards.
  void finish();

  [[nodiscard]] const line_counts& counts() const noexcept { return counts_; }

 private:
  enum class mode : std::uint8_t {
    file_start, seek, code, line_comment, region, whole_lines, indented_lines, js_template, js_regex, heredoc,
  };
  enum class capture : std::uint8_t { none, line, quoted };

  static constexpr std::size_t lookahead = 96;  // Every opening and closing mark fits in this many bytes.
  static constexpr std::size_t history_bytes = 32;
  static constexpr std::size_t longest_mark = 72;
  static constexpr std::size_t longest_capture = 1024;
  static constexpr std::size_t deepest_template = 16;

  const char* run(const char* begin, const char* stop, const char* end);
  const char* start_file(const char* p);
  const char* seek_text(const char* p);
  const char* scan_code(const char* p);
  const char* scan_line_comment(const char* p);
  const char* scan_region(const char* p);
  const char* scan_whole_lines(const char* p);
  const char* scan_indented_lines(const char* p);
  const char* scan_template(const char* p);
  const char* scan_regex(const char* p);
  const char* scan_heredoc(const char* p);
  const char* starve(const char* p) noexcept;
  const char* end_line(const char* p);
  void close_line(const char* line_end);

  const char* open_rule(const char* p);
  const char* try_rule(const syntax_rule& rule, const char* p);
  const char* open_quote(const syntax_rule& rule, const char* p);
  const char* open_heredoc(const char* p);
  const char* open_bracketed(const syntax_rule& rule, const char* p);
  const char* open_any_char(const char* p) const;
  [[nodiscard]] bool regex_may_start(const char* p) const;
  void enter_region(std::uint16_t flags, std::string_view open, std::string_view close);
  void enter_line_comment(std::uint16_t flags);
  void enter_template();
  void leave_region(const char* closing_mark);
  void keep_mark(std::string_view before, std::size_t count, char repeated, std::string_view after);

  [[nodiscard]] const char* skip_blanks(const char* p) const noexcept;
  [[nodiscard]] bool starts_with(const char* p, std::string_view mark) const noexcept;
  [[nodiscard]] bool has_lookahead(const char* p) const noexcept;
  [[nodiscard]] bool line_is_spliced(const char* p) const noexcept;
  [[nodiscard]] std::uint64_t offset_of(const char* p) const noexcept;
  [[nodiscard]] bool at_column_zero(const char* p) const noexcept { return offset_of(p) == line_start_; }
  [[nodiscard]] std::string_view before(const char* p, std::array<char, history_bytes>& scratch) const noexcept;
  [[nodiscard]] char byte_before(const char* p) const noexcept;
  void mark_text() noexcept;

  void begin_capture(capture what, const char* from);
  void end_capture(const char* at);
  void keep_captured(const char* from, const char* to);

  const syntax& syntax_;
  import_scanner* imports_;
  line_counts counts_;

  mode mode_{mode::file_start};
  bool shebang_is_code_;
  bool continues_lines_;
  bool after_splice_{false};  // The line before was code and ended in a backslash.
  bool has_code_{false};      // On the current line so far.
  bool has_comment_{false};   // On the current line so far.
  bool fresh_line_{false};    // Inside a region: only blanks so far on this line.
  bool seen_text_{false};     // Some line was not blank.
  bool in_class_{false};      // Between '[' and ']' of a regular expression.
  bool final_{false};
  bool starved_{false};
  std::uint64_t line_start_{0};  // Offset in the file.
  std::uint64_t line_number_{1};

  std::uint16_t region_flags_{0};
  std::string_view region_open_;
  std::string_view region_close_;  // Static text, or in `mark_`.
  byte_set region_stops_;
  std::uint64_t nesting_{0};
  std::array<char, longest_mark> mark_{};
  std::array<std::uint64_t, deepest_template> braces_{};
  std::size_t templates_{0};

  const char* begin_{nullptr};  // The bytes at hand.
  const char* end_{nullptr};
  std::uint64_t base_{0};  // Offset in the file of `begin_`.
  std::array<char, history_bytes> history_{};
  std::size_t history_size_{0};
  std::array<char, lookahead> carry_{};  // Bytes fed but not yet understood.
  std::size_t carry_size_{0};

  capture capture_{capture::none};
  const char* capture_from_{nullptr};
  std::uint64_t capture_line_{0};
  std::string captured_;
};

}  // namespace analysis
