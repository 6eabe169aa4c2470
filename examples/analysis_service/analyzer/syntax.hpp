// SPDX-License-Identifier: Apache-2.0
/// @file
/// How a family of languages writes comments and strings, as data for `line_counter`.
#pragma once

#include "analyzer/byte_scan.hpp"
#include "analyzer/language.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace analysis {

enum class rule_kind : std::uint8_t {
  line_comment,     ///< From `open` to the end of the line.
  region,           ///< From `open` to `close`: a block comment (flag `comment`) or a string.
  line_region,      ///< Whole lines, from one starting with `open` to one starting with `close`; no `close`: to the end.
  indented_region,  ///< From a line starting with `open` up to the next line that is not indented.
  bracketed,        ///< `open` + "[" + any number of "=" + "[" ... "]" + as many "=" + "]".
  cpp_quote,        ///< '"', raw when R stands before it.
  rust_quote,       ///< '"', raw when r and any number of '#' stand before it.
  swift_quote,      ///< '"' or '"""', raw when any number of '#' stand before it.
  c_sharp_quote,    ///< '"', verbatim after '@', raw when tripled.
  cpp_char,         ///< A character literal, unless it separates digits.
  any_char,         ///< A character literal, unless it is a lifetime, a symbol or part of a name.
  js_template,      ///< '`', with nested "${ }".
  js_regex,         ///< '/', where an expression may start.
  heredoc,          ///< "<<<" and a name, to a line that starts with the name.
  ordinary,         ///< `open` starts nothing, whatever a later rule says; with `escapes`, nor does the next byte.
};

namespace rule_flag {
inline constexpr std::uint16_t comment = 1;         ///< What is inside counts as comment, not as code.
inline constexpr std::uint16_t nests = 2;           ///< `open` inside opens another level.
inline constexpr std::uint16_t escapes = 4;         ///< A backslash hides the byte after it.
inline constexpr std::uint16_t one_line = 8;        ///< Ends with the line if the line does not end in a backslash.
inline constexpr std::uint16_t doubles = 16;        ///< `close` written twice stands for itself.
inline constexpr std::uint16_t first_on_line = 32;  ///< Only blanks before it.
inline constexpr std::uint16_t column_zero = 64;    ///< Nothing before it.
inline constexpr std::uint16_t splices = 128;       ///< A line comment goes on after a backslash at the line's end.
inline constexpr std::uint16_t ends_at_tag = 256;   ///< A line comment also ends before "?>".
inline constexpr std::uint16_t not_operator = 512;  ///< No symbol character may follow `open`.
inline constexpr std::uint16_t letter_follows = 1024;  ///< A letter must follow `open`.
inline constexpr std::uint16_t stands_alone = 2048;  ///< A line of such comment is one even after a spliced line of code.
}  // namespace rule_flag

struct syntax_rule {
  rule_kind kind;
  std::uint16_t flags;
  std::string_view open;
  std::string_view close;

  [[nodiscard]] constexpr bool has(std::uint16_t flag) const noexcept { return (flags & flag) != 0; }
};

/// The rules of one family, prepared for scanning. Rules are tried in order at every byte that may open one.
struct syntax {
  std::span<const syntax_rule> rules;
  const syntax_rule* starts_inside{nullptr};  ///< The rule whose region the file starts in (text around PHP).
  byte_set code_stops;                        ///< Line feed, and the first bytes of rules that apply anywhere.
  byte_set template_stops;                    ///< The same and braces, inside "${ }".
  std::array<bool, 256> may_open{};           ///< First bytes of all rules.
};

/// Threads: any. Lifetime: static.
[[nodiscard]] const syntax& syntax_of(syntax_family family) noexcept;

}  // namespace analysis
