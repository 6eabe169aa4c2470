// SPDX-License-Identifier: Apache-2.0
#include "analyzer/cloc_counter.hpp"

#include "analyzer/byte_scan.hpp"
#include "analyzer/syntax.hpp"

namespace analysis {

namespace {

constexpr std::string_view utf8_mark = "\xEF\xBB\xBF";

/// Bytes that mean more than text where they start a line, in one style or another.
constexpr std::array<bool, 256> may_mark = [] {
  std::array<bool, 256> table{};
  for (const char c : std::string_view("\n/*#-\"'uU")) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

}  // namespace

const cloc_counter::style* cloc_counter::style_of(language id) noexcept {
  static constexpr style c{false, true, {}};
  static constexpr style c_block_only{false, false, {}};
  static constexpr style c_and_hash{false, true, "#"};
  static constexpr style sql{false, false, "--"};
  static constexpr style python{true, false, "#"};
  switch (info_of(id).family) {
    case syntax_family::c:
    case syntax_family::c_like:
    case syntax_family::c_sharp:
    case syntax_family::cpp:
    case syntax_family::css_extended:
    case syntax_family::dart:
    case syntax_family::go:
    case syntax_family::groovy:
    case syntax_family::java:
    case syntax_family::java_script:
    case syntax_family::kotlin:
    case syntax_family::rust:
    case syntax_family::scala:
    case syntax_family::swift: return &c;
    case syntax_family::css:
    case syntax_family::lex: return &c_block_only;
    case syntax_family::hcl:
    case syntax_family::php:
    case syntax_family::thrift: return &c_and_hash;
    case syntax_family::sql: return &sql;
    case syntax_family::graphql:
    case syntax_family::python: return &python;
    default: return nullptr;
  }
}

bool cloc_counter::covers(language id) noexcept { return style_of(id) != nullptr; }

cloc_counter::cloc_counter(language id) noexcept
    : style_(*style_of(id)),
      continues_lines_(info_of(id).continues_lines),
      shebang_is_code_(info_of(id).shebang_is_code) {}

void cloc_counter::feed(std::string_view bytes) noexcept {
  while (at_file_start_ && !bytes.empty()) {
    if (bytes.front() == utf8_mark[mark_bytes_]) {
      line_.empty = false;
      bytes.remove_prefix(1);
      at_file_start_ = ++mark_bytes_ != utf8_mark.size();
    } else {
      at_file_start_ = false;
      scan(utf8_mark.substr(0, mark_bytes_));  // It was none.
    }
  }
  scan(bytes);
}

void cloc_counter::scan(std::string_view bytes) noexcept {
  const char* p = bytes.data();
  const char* const end = p + bytes.size();
  while (p != end) {
    if (line_.lead_size == 0) {
      p = start_line(p, end);
      if (p == end) return;
    }
    if (const byte_set* next_stops = stops()) {
      const char* at = find_any(*next_stops, p, end);
      if (at != p) {
        previous_ = at[-1];
        quotes_ = 0;
        p = at;
        if (p == end) return;
      }
    }
    const char c = *p++;
    if (c == '\n') {
      end_line();
      continue;
    }
    line_.empty = false;
    see(c);
    if (style_.docstrings) {
      python_byte(c);
    } else {
      c_byte(c);
    }
  }
}

/// Passes over the blanks at the start of a line, and over its first other byte if that one is plain text.
const char* cloc_counter::start_line(const char* p, const char* end) noexcept {
  const char* const begin = p;
  while (p != end && is_blank_byte(*p)) ++p;
  if (p != begin) {
    line_.empty = false;
    line_.at_column_zero = false;
  }
  if (p != end && !may_mark[static_cast<unsigned char>(*p)]) {
    line_.empty = false;
    line_.lead[0] = *p++;
    line_.lead_size = line_.lead.size();
    line_.code = place_ == place::text;
  }
  if (p != begin) previous_ = p[-1];
  return p;
}

/// The only bytes that can still change what is known of the line, or null when all can.
const byte_set* cloc_counter::stops() const noexcept {
  static constexpr byte_set line_feed = bytes_of("\n");
  static constexpr byte_set slash = bytes_of("\n/");
  static constexpr byte_set star = bytes_of("\n*");
  static constexpr byte_set python = bytes_of("\n\"'/*");
  if (line_.lead_size != line_.lead.size() || line_.pending) return nullptr;
  if (style_.docstrings) return line_.code || place_ == place::block || line_.whole ? &python : nullptr;
  if (line_.whole || place_ == place::line_comment) return &line_feed;
  if (place_ == place::block) return previous_ == '*' ? nullptr : &star;
  return line_.code ? &slash : nullptr;
}

void cloc_counter::finish() noexcept {
  if (at_file_start_) scan(utf8_mark.substr(0, mark_bytes_));
  if (!line_.empty) end_line();
  if (place_ != place::block) return;
  const std::uint64_t code = counts_.comment - block_.comments_before - block_.comments_anyway;
  counts_.comment -= code;
  counts_.code += code;
}

/// Keeps the first bytes of the line and tells whole-line comments by them.
void cloc_counter::see(char c) noexcept {
  if (line_.lead_size == 0) {
    if (is_blank_byte(c)) {
      line_.at_column_zero = false;
      return;
    }
  }
  if (line_.lead_size == line_.lead.size()) return;
  line_.lead[line_.lead_size++] = c;
  const std::string_view lead(line_.lead.data(), line_.lead_size);
  if (line_.began_in == place::text && !style_.line_mark.empty() && lead == style_.line_mark) line_.whole = true;
  if (style_.docstrings && lead == style_.line_mark) line_.whole = true;
}

void cloc_counter::c_byte(char c) noexcept {
  if (line_.whole || place_ == place::line_comment) {
    previous_ = c;
    return;
  }
  if (place_ == place::block) {
    if (previous_ == '*' && c == '/') return close_block();
    previous_ = c;
    return;
  }
  if (previous_ == '/' && line_.pending) {
    if (c == '*') return open_block();
    if (c == '/' && style_.slashes) {
      line_.pending = false;
      place_ = place::line_comment;
      previous_ = c;
      return;
    }
    line_.code = true;
    line_.pending = false;
  }
  if (c == '/') {
    line_.pending = true;
  } else if (!is_blank_byte(c)) {
    line_.code = true;
  }
  previous_ = c;
}

void cloc_counter::python_byte(char c) noexcept {
  if ((previous_ == '/' && c == '*') || (previous_ == '*' && c == '/')) line_.void_line = true;
  const bool same_quote = (c == '"' || c == '\'') && c == previous_;
  const char before = previous_;
  previous_ = c;
  if (line_.whole) return;
  if (c == '"' || c == '\'') {
    quotes_ = same_quote ? quotes_ + 1 : 1;
    if (quotes_ == 3) {
      quotes_ = 0;
      previous_ = '\0';
      if (place_ == place::block) return close_block();
      return open_block();
    }
    const bool after_prefix = before == 'u' || before == 'U';
    if (line_.pending && !same_quote && !after_prefix) line_.code = true;
    line_.pending = place_ == place::text;
    return;
  }
  quotes_ = 0;
  if (place_ == place::block) return;
  if (line_.pending) line_.code = true;
  line_.pending = false;
  if (is_blank_byte(c)) return;
  if (c == 'u' || c == 'U') {
    line_.pending = true;
  } else {
    line_.code = true;
  }
}

void cloc_counter::open_block() noexcept {
  line_.pending = false;
  previous_ = '\0';
  place_ = place::block;
  block_ = {line_.code || line_.joined, true, counts_.comment, 0};
}

void cloc_counter::close_block() noexcept {
  previous_ = '\0';
  place_ = place::text;
  if (!block_.on_this_line && block_.after_code) line_.joined = true;
}

void cloc_counter::end_line() noexcept {
  if (line_.pending && place_ == place::text) line_.code = true;
  const bool spliced = continues_lines_ && previous_ == '\\';
  const bool blank = line_.lead_size == 0;
  const bool shebang = !seen_text_ && shebang_is_code_ && line_.at_column_zero && line_.lead == std::array{'#', '!'};
  if (line_.void_line) {
    place_ = line_.began_in;
    block_ = block_at_line_start_;
  }
  seen_text_ = seen_text_ || !blank;

  bool code = false;
  if (shebang) {
    code = true;
  } else if (!blank && (line_.void_line || line_.whole)) {
    code = false;
  } else if (blank && !(after_splice_)) {
    ++counts_.blank;
  } else {
    code = (line_.code && !line_.joined) || (after_code_splice_ && !line_.joined);
  }
  if (code) {
    ++counts_.code;
  } else if (!blank || after_splice_) {
    ++counts_.comment;
    const bool slashes_lead = style_.slashes && line_.lead == std::array{'/', '/'};
    const bool was_open = line_.began_in == place::block && place_ == place::block;
    if (was_open && (slashes_lead || line_.whole || line_.void_line)) ++block_.comments_anyway;
  }
  after_splice_ = spliced;
  after_code_splice_ = spliced && line_.code && place_ == place::text && !line_.void_line;
  // cloc takes the end of a line comment away with it, and does not put one back after a backslash.
  const bool joins_next = place_ == place::line_comment && previous_ == '\\' && (line_.code || line_.joined);
  if (place_ == place::line_comment) place_ = place::text;
  line_ = {};
  line_.joined = joins_next;
  line_.began_in = place_;
  block_.on_this_line = false;
  block_at_line_start_ = block_;
  quotes_ = 0;
  previous_ = '\0';
}

}  // namespace analysis
