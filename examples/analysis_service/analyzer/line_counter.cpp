// SPDX-License-Identifier: Apache-2.0
#include "analyzer/line_counter.hpp"

#include "analyzer/import_scanner.hpp"

#include <algorithm>
#include <cstring>

namespace analysis {

namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

constexpr byte_set template_text_stops = bytes_of("\n`\\$");
constexpr byte_set regex_stops = bytes_of("\n/[]\\");
constexpr byte_set tag_stops = bytes_of("\n?");

const char* find_line_feed(const char* p, const char* end) noexcept {
  const void* at = std::memchr(p, '\n', static_cast<std::size_t>(end - p));
  return at == nullptr ? end : static_cast<const char*>(at);
}

}  // namespace

line_counter::line_counter(language id, import_scanner* imports)
    : syntax_(syntax_of(info_of(id).family)), imports_(imports), shebang_is_code_(info_of(id).shebang_is_code),
      continues_lines_(info_of(id).continues_lines) {}

void line_counter::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (carry_size_ == 0) {
      const char* reached = run(bytes.data(), bytes.data() + bytes.size(), bytes.data() + bytes.size());
      const auto left = static_cast<std::size_t>(bytes.data() + bytes.size() - reached);
      std::memcpy(carry_.data(), reached, left);
      carry_size_ = left;
      return;
    }
    // The bytes carried over are joined with enough new ones to understand them all.
    std::array<char, lookahead * 3> joined;
    const std::size_t fresh = std::min(bytes.size(), joined.size() - carry_size_);
    const std::size_t size = carry_size_ + fresh;
    std::memcpy(joined.data(), carry_.data(), carry_size_);
    std::memcpy(joined.data() + carry_size_, bytes.data(), fresh);
    const bool all = fresh == bytes.size();
    const char* reached = run(joined.data(), joined.data() + (all ? size : carry_size_), joined.data() + size);
    const auto used = static_cast<std::size_t>(reached - joined.data());
    if (all) {
      carry_size_ = size - used;
      std::memcpy(carry_.data(), reached, carry_size_);
      return;
    }
    bytes.remove_prefix(used - carry_size_);
    carry_size_ = 0;
  }
}

void line_counter::finish() {
  final_ = true;
  const std::array<char, lookahead> rest = carry_;
  const char* end = rest.data() + carry_size_;
  carry_size_ = 0;
  run(rest.data(), end, end);
  begin_ = end_ = capture_from_ = rest.data();
  const bool only_byte_order_mark = base_ != 0 && line_number_ == 1;
  if (base_ != line_start_ || only_byte_order_mark) close_line(begin_);
  begin_ = end_ = nullptr;
}

const char* line_counter::run(const char* begin, const char* stop, const char* end) {
  begin_ = begin;
  end_ = end;
  capture_from_ = begin;
  starved_ = false;
  const char* p = begin;
  while (p < stop && !starved_) {
    switch (mode_) {
      case mode::file_start: p = start_file(p); break;
      case mode::seek: p = seek_text(p); break;
      case mode::code: p = scan_code(p); break;
      case mode::line_comment: p = scan_line_comment(p); break;
      case mode::region: p = scan_region(p); break;
      case mode::whole_lines: p = scan_whole_lines(p); break;
      case mode::indented_lines: p = scan_indented_lines(p); break;
      case mode::js_template: p = scan_template(p); break;
      case mode::js_regex: p = scan_regex(p); break;
      case mode::heredoc: p = scan_heredoc(p); break;
    }
  }
  if (capture_ != capture::none) keep_captured(capture_from_, p);
  std::array<char, history_bytes> scratch;
  const std::string_view last = before(p, scratch);
  std::memmove(history_.data(), last.data(), last.size());
  history_size_ = last.size();
  base_ += static_cast<std::uint64_t>(p - begin);
  return p;
}

const char* line_counter::start_file(const char* p) {
  if (!has_lookahead(p)) return starve(p);
  mode_ = mode::seek;
  if (starts_with(p, byte_order_mark)) {
    p += byte_order_mark.size();
    line_start_ = byte_order_mark.size();
  }
  if (const syntax_rule* rule = syntax_.starts_inside) {
    enter_region(rule->flags, rule->open, rule->close);
    has_code_ = false;
    fresh_line_ = true;
  }
  return p;
}

/// Before the first byte of a line that is not blank, or after a comment with no code before it.
const char* line_counter::seek_text(const char* p) {
  p = skip_blanks(p);
  if (p == end_) return p;
  if (*p == '\n') return end_line(p);
  if (!seen_text_ && shebang_is_code_ && *p == '#') {
    if (!has_lookahead(p)) return starve(p);
    if (at_column_zero(p) && starts_with(p, "#!")) {
      seen_text_ = true;
      enter_line_comment(0);
      has_code_ = true;
      return p + 2;
    }
  }
  const auto first = static_cast<unsigned char>(*p);
  if (syntax_.may_open[first] && !has_lookahead(p)) return starve(p);
  seen_text_ = true;
  if (imports_ != nullptr && imports_->wants_line(first) && capture_ == capture::none) begin_capture(capture::line, p);
  if (syntax_.may_open[first]) {
    const char* after = open_rule(p);
    if (after != p) return after;
  }
  has_code_ = true;
  mode_ = mode::code;
  return p + 1;
}

const char* line_counter::scan_code(const char* p) {
  const byte_set& stops = templates_ == 0 ? syntax_.code_stops : syntax_.template_stops;
  for (;;) {
    p = find_any(stops, p, end_);
    if (p == end_) return p;
    if (*p == '\n') return end_line(p);
    if (!has_lookahead(p)) return starve(p);
    if (templates_ != 0 && *p == '{') ++braces_[templates_ - 1];
    if (templates_ != 0 && *p == '}' && braces_[templates_ - 1]-- == 0) {
      --templates_;
      enter_template();
      return p + 1;
    }
    const char* after = open_rule(p);
    if (after != p && mode_ != mode::code) return after;
    p = after == p ? p + 1 : after;
  }
}

const char* line_counter::scan_line_comment(const char* p) {
  if (fresh_line_) {
    p = skip_blanks(p);
    if (p == end_) return p;
    if (*p != '\n') mark_text();
  }
  const bool ends_at_tag = (region_flags_ & rule_flag::ends_at_tag) != 0;
  for (;;) {
    p = ends_at_tag ? find_any(tag_stops, p, end_) : find_line_feed(p, end_);
    if (p == end_) return p;
    if (*p == '\n') {
      const bool goes_on = (region_flags_ & rule_flag::splices) != 0 && line_is_spliced(p);
      p = end_line(p);
      if (goes_on) {
        mode_ = mode::line_comment;
        fresh_line_ = true;
      }
      return p;
    }
    if (!has_lookahead(p)) return starve(p);
    if (starts_with(p, "?>")) {
      mode_ = has_code_ ? mode::code : mode::seek;
      return p;
    }
    ++p;
  }
}

const char* line_counter::scan_region(const char* p) {
  for (;;) {
    if (fresh_line_) {
      p = skip_blanks(p);
      if (p == end_) return p;
      if (*p != '\n') mark_text();
    }
    p = find_any(region_stops_, p, end_);
    if (p == end_) return p;
    if (*p == '\n') {
      const bool ends = (region_flags_ & rule_flag::one_line) != 0 && !line_is_spliced(p);
      p = end_line(p);
      if (ends) return p;
      mode_ = mode::region;
      fresh_line_ = true;
      continue;
    }
    if (!has_lookahead(p)) return starve(p);
    if (*p == '\\' && (region_flags_ & rule_flag::escapes) != 0) {
      const bool hides_line_end = p + 1 == end_ || p[1] == '\n' || p[1] == '\r';
      p += hides_line_end ? 1 : 2;
      continue;
    }
    if (starts_with(p, region_close_)) {
      const char* after = p + region_close_.size();
      if ((region_flags_ & rule_flag::doubles) != 0 && starts_with(after, region_close_)) {
        p = after + region_close_.size();
        continue;
      }
      if (nesting_ == 0) {
        leave_region(p);
        return after;
      }
      --nesting_;
      p = after;
      continue;
    }
    if ((region_flags_ & rule_flag::nests) != 0 && starts_with(p, region_open_)) {
      ++nesting_;
      p += region_open_.size();
      continue;
    }
    ++p;
  }
}

const char* line_counter::scan_whole_lines(const char* p) {
  if (fresh_line_) {
    if (!region_close_.empty() && *p == region_close_.front()) {
      if (!has_lookahead(p)) return starve(p);
      if (at_column_zero(p) && starts_with(p, region_close_)) {
        enter_line_comment(0);
        return p + region_close_.size();
      }
    }
    p = skip_blanks(p);
    if (p == end_) return p;
    if (*p != '\n') mark_text();
  }
  p = find_line_feed(p, end_);
  if (p == end_) return p;
  p = end_line(p);
  mode_ = mode::whole_lines;
  fresh_line_ = true;
  return p;
}

const char* line_counter::scan_indented_lines(const char* p) {
  if (fresh_line_ && at_column_zero(p) && *p != '.' && *p != '\n' && !is_blank_byte(*p)) {
    mode_ = mode::seek;
    fresh_line_ = false;
    return p;
  }
  if (fresh_line_) {
    p = skip_blanks(p);
    if (p == end_) return p;
    if (*p != '\n') mark_text();
  }
  p = find_line_feed(p, end_);
  if (p == end_) return p;
  p = end_line(p);
  mode_ = mode::indented_lines;
  fresh_line_ = true;
  return p;
}

const char* line_counter::scan_template(const char* p) {
  for (;;) {
    if (fresh_line_) {
      p = skip_blanks(p);
      if (p == end_) return p;
      if (*p != '\n') mark_text();
    }
    p = find_any(template_text_stops, p, end_);
    if (p == end_) return p;
    if (*p == '\n') {
      p = end_line(p);
      mode_ = mode::js_template;
      fresh_line_ = true;
      continue;
    }
    if (!has_lookahead(p)) return starve(p);
    if (*p == '`') {
      mode_ = mode::code;
      return p + 1;
    }
    if (*p == '\\') {
      p += p + 1 == end_ || p[1] == '\n' ? 1 : 2;
      continue;
    }
    if (starts_with(p, "${") && templates_ < deepest_template) {
      braces_[templates_++] = 0;
      mode_ = mode::code;
      return p + 2;
    }
    ++p;
  }
}

const char* line_counter::scan_regex(const char* p) {
  for (;;) {
    p = find_any(regex_stops, p, end_);
    if (p == end_) return p;
    if (*p == '\n') return end_line(p);
    if (!has_lookahead(p)) return starve(p);
    switch (*p) {
      case '\\': p += p + 1 == end_ || p[1] == '\n' ? 1 : 2; continue;
      case '[': in_class_ = true; break;
      case ']': in_class_ = false; break;
      default:
        if (!in_class_) {
          mode_ = mode::code;
          return p + 1;
        }
    }
    ++p;
  }
}

const char* line_counter::scan_heredoc(const char* p) {
  if (fresh_line_) {
    p = skip_blanks(p);
    if (p == end_) return p;
    if (*p != '\n') {
      if (!has_lookahead(p)) return starve(p);
      mark_text();
      if (starts_with(p, region_close_)) {
        const char* after = p + region_close_.size();
        if (after == end_ || !is_word_byte(*after)) {
          mode_ = mode::code;
          return after;
        }
      }
    }
  }
  p = find_line_feed(p, end_);
  if (p == end_) return p;
  p = end_line(p);
  mode_ = mode::heredoc;
  fresh_line_ = true;
  return p;
}

const char* line_counter::starve(const char* p) noexcept {
  starved_ = true;
  return p;
}

const char* line_counter::end_line(const char* p) {
  close_line(p);
  line_start_ = offset_of(p) + 1;
  ++line_number_;
  has_code_ = has_comment_ = fresh_line_ = false;
  mode_ = mode::seek;
  return p + 1;
}

void line_counter::close_line(const char* line_end) {
  if (has_code_ || after_splice_) {
    ++counts_.code;
  } else if (has_comment_) {
    ++counts_.comment;
  } else {
    ++counts_.blank;
  }
  const bool in_comment = mode_ == mode::line_comment || (mode_ == mode::region && (region_flags_ & rule_flag::comment) != 0);
  after_splice_ = continues_lines_ && has_code_ && !in_comment && line_is_spliced(line_end);
  std::uint64_t length = offset_of(line_end) - line_start_;
  if (length >= counts_.longest_line_bytes || counts_.longest_line_number == 0) {
    if (line_end != end_ && length != 0 && byte_before(line_end) == '\r') --length;
    if (length > counts_.longest_line_bytes || counts_.longest_line_number == 0) {
      counts_.longest_line_bytes = length;
      counts_.longest_line_number = line_number_;
    }
  }
  if (capture_ == capture::line) end_capture(line_end);
  capture_ = capture::none;  // A quoted name does not go on after the line.
}

}  // namespace analysis
