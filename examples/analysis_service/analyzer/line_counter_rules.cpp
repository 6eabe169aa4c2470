// SPDX-License-Identifier: Apache-2.0
// Where comments and strings open: the half of line_counter that looks at marks rather than at lines.
#include "analyzer/import_scanner.hpp"
#include "analyzer/line_counter.hpp"

#include <algorithm>
#include <cstring>

namespace analysis {

namespace {

using namespace rule_flag;

bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex_digit(char c) noexcept { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_operator(char c) noexcept { return std::string_view("!#$%&*+./<=>?@\\^|~:").find(c) != std::string_view::npos; }

/// How often the text ends in that byte.
std::size_t trailing(std::string_view text, char c) noexcept {
  const auto last_other = text.find_last_not_of(c);
  return last_other == std::string_view::npos ? text.size() : text.size() - last_other - 1;
}

/// True when the text ends in the word, and the word does not continue to the left.
bool ends_in_word(std::string_view text, std::string_view word) noexcept {
  if (!text.ends_with(word)) return false;
  text.remove_suffix(word.size());
  return text.empty() || !is_word_byte(text.back());
}

}  // namespace

/// Tries every rule at p. Returns p when none opens here; else the mode is set and the byte after the mark returned.
const char* line_counter::open_rule(const char* p) {
  for (const syntax_rule& rule : syntax_.rules) {
    if (rule.has(first_on_line) && (mode_ != mode::seek || has_comment_)) continue;
    if (rule.has(column_zero) && !at_column_zero(p)) continue;
    if (!rule.open.empty() && (rule.open.front() != *p || !starts_with(p, rule.open))) continue;
    const char* after = try_rule(rule, p);
    if (after != p) return after;
  }
  return p;
}

const char* line_counter::try_rule(const syntax_rule& rule, const char* p) {
  const char* after = p + rule.open.size();
  const char next = after == end_ ? '\0' : *after;
  switch (rule.kind) {
    case rule_kind::line_comment:
      if (rule.has(not_operator)) {
        while (after != end_ && *after == '-') ++after;
        if (after != end_ && is_operator(*after)) return p;
      }
      enter_line_comment(rule.flags);
      if (rule.has(stands_alone)) after_splice_ = false;
      // The line feed may be part of the mark; the line ends all the same.
      return rule.open.back() == '\n' || rule.open.back() == '\r' ? after - 1 : after;
    case rule_kind::region:
      if (!rule.has(comment) && rule.open.size() == 1 && imports_ != nullptr && capture_ == capture::none) {
        std::array<char, history_bytes> scratch;
        if (imports_->wants_quoted(before(p, scratch))) begin_capture(capture::quoted, after);
      }
      enter_region(rule.flags, rule.open, rule.close);
      return after;
    case rule_kind::line_region:
      if (rule.has(letter_follows) && !is_letter(next)) return p;
      enter_region(rule.flags, rule.open, rule.close);
      mode_ = mode::whole_lines;
      return after;
    case rule_kind::indented_region:
      enter_region(rule.flags, rule.open, rule.close);
      mode_ = mode::indented_lines;
      return after;
    case rule_kind::bracketed: return open_bracketed(rule, p);
    case rule_kind::cpp_quote:
    case rule_kind::rust_quote:
    case rule_kind::swift_quote:
    case rule_kind::c_sharp_quote: return open_quote(rule, p);
    case rule_kind::cpp_char: {
      const bool separates_digits = is_hex_digit(byte_before(p)) && is_hex_digit(next) && !(after + 1 < end_ && after[1] == '\'');
      if (separates_digits) return p;
      enter_region(rule.flags, rule.open, rule.close);
      return after;
    }
    case rule_kind::any_char: {
      const char* after_literal = open_any_char(p);
      if (after_literal == p) return p;
      has_code_ = true;
      mode_ = mode::code;
      return after_literal;
    }
    case rule_kind::js_template: enter_template(); return after;
    case rule_kind::js_regex:
      if (!regex_may_start(p)) return p;
      has_code_ = true;
      in_class_ = false;
      mode_ = mode::js_regex;
      return after;
    case rule_kind::heredoc: return open_heredoc(p);
    case rule_kind::ordinary:
      has_code_ = true;
      mode_ = mode::code;
      return rule.has(escapes) && after != end_ && next != '\n' ? after + 1 : after;
  }
  return p;
}

const char* line_counter::open_quote(const syntax_rule& rule, const char* p) {
  std::array<char, history_bytes> scratch;
  std::string_view left = before(p, scratch);
  const char* after = p + 1;
  const bool tripled = starts_with(p, "\"\"\"");

  if (rule.kind == rule_kind::cpp_quote && left.ends_with('R')) {
    const bool prefixed = ends_in_word(left, "R") || ends_in_word(left, "u8R") || ends_in_word(left, "uR") ||
                          ends_in_word(left, "UR") || ends_in_word(left, "LR");
    constexpr std::size_t longest_delimiter = 16;
    const std::string_view text(after, std::min<std::size_t>(static_cast<std::size_t>(end_ - after), longest_delimiter + 1));
    const auto delimiter = text.find_first_of("() \\\t\n\v\f\"");
    if (prefixed && delimiter != text.npos && text[delimiter] == '(') {
      mark_[0] = ')';
      std::copy_n(after, delimiter, mark_.begin() + 1);
      mark_[delimiter + 1] = '"';
      enter_region(0, {}, {mark_.data(), delimiter + 2});
      return after + delimiter + 1;
    }
  }
  if (rule.kind == rule_kind::rust_quote || rule.kind == rule_kind::swift_quote) {
    const std::size_t hashes = trailing(left, '#');
    left.remove_suffix(hashes);
    const bool rust_raw = ends_in_word(left, "r") || ends_in_word(left, "br") || ends_in_word(left, "cr");
    if (rule.kind == rule_kind::rust_quote && rust_raw) {
      keep_mark("\"", hashes, '#', "");
      enter_region(0, {}, {mark_.data(), hashes + 1});
      return after;
    }
    if (rule.kind == rule_kind::swift_quote && (hashes != 0 || tripled)) {
      const std::string_view quotes = tripled ? "\"\"\"" : "\"";
      keep_mark(quotes, hashes, '#', "");
      const std::uint16_t raw_flags = tripled ? 0 : one_line;
      enter_region(hashes != 0 ? raw_flags : escapes, {}, {mark_.data(), quotes.size() + hashes});
      return p + quotes.size();
    }
  }
  if (rule.kind == rule_kind::c_sharp_quote) {
    const bool verbatim = left.ends_with('@') || left.ends_with("@$");
    if (!verbatim && tripled) {
      std::size_t quotes = 3;
      while (quotes < lookahead / 2 && starts_with(p + quotes, "\"")) ++quotes;
      keep_mark("", quotes, '"', "");
      enter_region(0, {}, {mark_.data(), quotes});
      return p + quotes;
    }
    if (verbatim) {
      enter_region(doubles, {}, rule.close);
      return after;
    }
  }
  enter_region(rule.flags, rule.open, rule.close);
  return after;
}

const char* line_counter::open_bracketed(const syntax_rule& rule, const char* p) {
  const char* at = p + rule.open.size();
  if (!starts_with(at, "[")) return p;
  std::size_t level = 0;
  while (level < lookahead / 2 && starts_with(at + 1 + level, "=")) ++level;
  if (!starts_with(at + 1 + level, "[")) return p;
  keep_mark("]", level, '=', "]");
  enter_region(rule.flags, {}, {mark_.data(), level + 2});
  return at + level + 2;
}

const char* line_counter::open_heredoc(const char* p) {
  constexpr std::size_t longest_name = 64;
  const char* at = p + 3;
  while (at != end_ && (*at == ' ' || *at == '\t') && at - p < 8) ++at;
  if (at != end_ && (*at == '"' || *at == '\'')) ++at;
  std::size_t size = 0;
  while (at + size < end_ && size <= longest_name && is_word_byte(at[size])) ++size;
  if (size == 0 || size > longest_name) return p;
  std::copy_n(at, size, mark_.begin());
  enter_region(0, {}, {mark_.data(), size});
  mode_ = mode::heredoc;
  return at + size;
}

/// After "'": an escape and its closing quote, or one character and the closing quote; else it is no literal.
const char* line_counter::open_any_char(const char* p) const {
  const char before_quote = byte_before(p);
  std::array<char, history_bytes> scratch;
  if (is_word_byte(before_quote) && !ends_in_word(before(p, scratch), "b")) return p;
  const char* at = p + 1;
  if (at == end_ || *at == '\n') return p;
  constexpr std::ptrdiff_t longest_escape = 12;
  if (*at == '\\') {
    if (at + 1 == end_ || at[1] == '\n') return p;
    at += 2;
    while (at < end_ && at - p < longest_escape && *at != '\'' && *at != '\n') ++at;
  } else {
    ++at;
    while (at < end_ && at - p < 5 && (static_cast<unsigned char>(*at) & 0xC0U) == 0x80U) ++at;
  }
  return at < end_ && *at == '\'' ? at + 1 : p;
}

/// A slash starts a regular expression where an operand is expected.
bool line_counter::regex_may_start(const char* p) const {
  std::array<char, history_bytes> scratch;
  std::string_view left = before(p, scratch);
  const auto last = left.find_last_not_of(" \t\r\n");
  if (last == std::string_view::npos) return true;
  left = left.substr(0, last + 1);
  if (std::string_view("(,=:[!&|?{;+-*%~^>").find(left.back()) != std::string_view::npos) return true;
  for (const std::string_view word : {"return", "typeof", "case", "in", "of", "do", "else", "void", "delete", "throw",
                                      "yield", "await", "instanceof", "new"}) {
    if (ends_in_word(left, word)) return true;
  }
  return false;
}

void line_counter::enter_region(std::uint16_t flags, std::string_view open, std::string_view close) {
  mode_ = mode::region;
  region_flags_ = flags;
  region_open_ = open;
  region_close_ = close;
  nesting_ = 0;
  region_stops_ = {};
  region_stops_.insert('\n');
  if (!close.empty()) region_stops_.insert(static_cast<unsigned char>(close.front()));
  if ((flags & escapes) != 0) region_stops_.insert('\\');
  if ((flags & nests) != 0) region_stops_.insert(static_cast<unsigned char>(open.front()));
  mark_text();
}

void line_counter::enter_line_comment(std::uint16_t flags) {
  mode_ = mode::line_comment;
  region_flags_ = static_cast<std::uint16_t>(flags | comment);
  has_comment_ = true;
  fresh_line_ = false;
}

void line_counter::enter_template() {
  mode_ = mode::js_template;
  region_flags_ = 0;
  mark_text();
}

void line_counter::leave_region(const char* closing_mark) {
  if (capture_ == capture::quoted) end_capture(closing_mark);
  mode_ = has_code_ ? mode::code : mode::seek;
}

/// Builds a closing mark that depends on the opening one.
void line_counter::keep_mark(std::string_view first, std::size_t count, char repeated, std::string_view last) {
  auto at = std::ranges::copy(first, mark_.begin()).out;
  at = std::fill_n(at, count, repeated);
  std::ranges::copy(last, at);
}

/// Notes that the current line is not blank, inside a region.
void line_counter::mark_text() noexcept {
  fresh_line_ = false;
  seen_text_ = true;
  if ((region_flags_ & comment) != 0) {
    has_comment_ = true;
  } else {
    has_code_ = true;
  }
}

const char* line_counter::skip_blanks(const char* p) const noexcept {
  while (p != end_ && is_blank_byte(*p)) ++p;
  return p;
}

bool line_counter::starts_with(const char* p, std::string_view mark) const noexcept {
  // Marks are a few bytes: comparing them here is cheaper than a call.
  return static_cast<std::size_t>(end_ - p) >= mark.size() && std::equal(mark.begin(), mark.end(), p);
}

bool line_counter::has_lookahead(const char* p) const noexcept {
  return final_ || static_cast<std::size_t>(end_ - p) >= lookahead;
}

/// True when the line ending at p ends in a backslash.
bool line_counter::line_is_spliced(const char* p) const noexcept {
  const char last = byte_before(p);
  if (last != '\r') return last == '\\';
  std::array<char, history_bytes> scratch;
  return before(p, scratch).ends_with("\\\r");
}

std::uint64_t line_counter::offset_of(const char* p) const noexcept {
  return base_ + static_cast<std::uint64_t>(p - begin_);
}

/// Up to `history_bytes` bytes before p, across the start of the bytes at hand.
std::string_view line_counter::before(const char* p, std::array<char, history_bytes>& scratch) const noexcept {
  const auto here = static_cast<std::size_t>(p - begin_);
  if (here >= history_bytes) return {p - history_bytes, history_bytes};
  const std::size_t old = std::min(history_size_, history_bytes - here);
  std::memcpy(scratch.data(), history_.data() + (history_size_ - old), old);
  if (here != 0) std::memcpy(scratch.data() + old, begin_, here);
  return {scratch.data(), old + here};
}

char line_counter::byte_before(const char* p) const noexcept {
  if (p != begin_) return p[-1];
  return history_size_ == 0 ? '\0' : history_[history_size_ - 1];
}

void line_counter::begin_capture(capture what, const char* from) {
  capture_ = what;
  capture_from_ = from;
  capture_line_ = line_number_;
  captured_.clear();
}

void line_counter::keep_captured(const char* from, const char* to) {
  const std::size_t room = longest_capture - captured_.size();
  captured_.append(from, std::min(room, static_cast<std::size_t>(to - from)));
}

void line_counter::end_capture(const char* at) {
  std::string_view text(capture_from_, static_cast<std::size_t>(at - capture_from_));
  if (!captured_.empty()) {
    keep_captured(capture_from_, at);
    text = captured_;
  }
  text = text.substr(0, longest_capture);
  if (capture_ == capture::line) imports_->line(text, capture_line_);
  if (capture_ == capture::quoted) imports_->quoted(text, capture_line_);
  capture_ = capture::none;
}

}  // namespace analysis
