// SPDX-License-Identifier: Apache-2.0
#include "analyzer/import_scanner.hpp"

#include "analyzer/byte_scan.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace analysis {

namespace {

constexpr auto npos = std::string_view::npos;
constexpr std::string_view blanks = " \t\r\v\f";

/// Which bytes the lines of interest start with.
std::string_view first_bytes(import_style style) noexcept {
  switch (style) {
    case import_style::none:
    case import_style::java_script:
    case import_style::quoted_call: return {};
    case import_style::c_include: return "#";
    case import_style::c_sharp: return "ug";
    case import_style::cmake: return "iIaAfF";
    case import_style::css: return "@";
    case import_style::dart: return "iep";
    case import_style::go: return "i";
    case import_style::haskell: return "i";
    case import_style::import_statement: return "i@";
    case import_style::julia: return "iu";
    case import_style::make: return "i-s";
    case import_style::perl: return "ur";
    case import_style::php: return "uri";
    case import_style::python: return "if";
    case import_style::ruby: return "rl";
    case import_style::rust: return "upme";
    case import_style::shell: return ".s";
  }
  return {};
}

/// Reads a line from left to right.
struct line_reader {
  std::string_view text;

  void skip_blanks() noexcept { text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size())); }

  /// Takes the word if it is next and does not go on.
  bool word(std::string_view expected) noexcept {
    skip_blanks();
    if (!text.starts_with(expected)) return false;
    if (text.size() > expected.size() && is_word_byte(expected.back()) && is_word_byte(text[expected.size()])) return false;
    text.remove_prefix(expected.size());
    return true;
  }

  bool any_word(std::initializer_list<std::string_view> words) noexcept {
    return std::ranges::any_of(words, [this](std::string_view expected) { return word(expected); });
  }

  /// Everything up to a blank or one of the given bytes.
  std::string_view until(std::string_view stops) noexcept {
    skip_blanks();
    const std::size_t size = std::min({text.find_first_of(blanks), text.find_first_of(stops), text.size()});
    const std::string_view result = text.substr(0, size);
    text.remove_prefix(size);
    return result;
  }

  /// The inside of the next string on the line, or nothing.
  std::string_view quoted() noexcept {
    const auto open = text.find_first_of("\"'`");
    if (open == npos) return {};
    const auto close = text.find(text[open], open + 1);
    if (close == npos) return {};
    const std::string_view result = text.substr(open + 1, close - open - 1);
    text.remove_prefix(close + 1);
    return result;
  }
};

}  // namespace

std::string_view name_of(edge_kind kind) noexcept {
  switch (kind) {
    case edge_kind::quoted_include: return "quoted_include";
    case edge_kind::angled_include: return "angled_include";
    case edge_kind::import: return "import";
    case edge_kind::submodule: return "submodule";
  }
  return "import";
}

import_scanner::import_scanner(language id, const import_limits& limits) : style_(info_of(id).imports), limits_(limits) {
  for (const char c : first_bytes(style_)) first_bytes_.set(static_cast<unsigned char>(c));
}

bool import_scanner::wants_quoted(std::string_view left) const noexcept {
  if (style_ != import_style::java_script && style_ != import_style::quoted_call) return false;
  const auto trim = [&left] { left = left.substr(0, left.find_last_not_of(" \t\r\n") + 1); };
  trim();
  const bool called = left.ends_with('(');
  if (called) {
    left.remove_suffix(1);
    trim();
  }
  const auto ends_in = [left](std::string_view word) {
    if (!left.ends_with(word)) return false;
    const std::string_view rest = left.substr(0, left.size() - word.size());
    return rest.empty() || (!is_word_byte(rest.back()) && rest.back() != '.' && rest.back() != '$');
  };
  if (ends_in("require")) return called || style_ == import_style::quoted_call;
  if (style_ == import_style::quoted_call) return false;
  return ends_in("import") || (!called && ends_in("from"));
}

void import_scanner::quoted(std::string_view text, std::uint64_t number) {
  line_ = number;
  add(edge_kind::import, text);
}

void import_scanner::line(std::string_view text, std::uint64_t number) {
  line_ = number;
  switch (style_) {
    case import_style::c_include: c_line(text); break;
    case import_style::python: python_line(text); break;
    case import_style::import_statement: statement_line(text); break;
    case import_style::go: go_line(text); break;
    case import_style::rust: rust_line(text); break;
    case import_style::php: php_line(text); break;
    default: word_line(text); break;
  }
}

void import_scanner::add(edge_kind kind, std::string_view target) {
  if (target.empty()) return;
  if (edges_.size() >= limits_.edges_per_file) {
    truncated_ = true;
    return;
  }
  if (target.size() > limits_.target_bytes) {
    target = target.substr(0, limits_.target_bytes);
    truncated_ = true;
  }
  constexpr std::uint64_t last_line = std::numeric_limits<std::uint32_t>::max();
  edges_.push_back({kind, static_cast<std::uint32_t>(std::min(line_, last_line)), std::string(target)});
}

/// "a, b as c, d"
void import_scanner::add_list(std::string_view names) {
  line_reader reader{names};
  for (;;) {
    add(edge_kind::import, reader.until(",;#:("));
    const auto comma = reader.text.find(',');
    if (comma == npos) return;
    reader.text.remove_prefix(comma + 1);
  }
}

void import_scanner::add_quoted(std::string_view text) { add(edge_kind::import, line_reader{text}.quoted()); }

void import_scanner::c_line(std::string_view text) {
  line_reader reader{text};
  if (!reader.word("#") || !reader.any_word({"include", "include_next", "import"})) return;
  reader.skip_blanks();
  if (reader.text.empty()) return;
  const char close = reader.text.front() == '<' ? '>' : '"';
  if (close == '"' && reader.text.front() != '"') return;  // A macro: its value is not known here.
  const auto end = reader.text.find(close, 1);
  if (end == npos) return;
  add(close == '>' ? edge_kind::angled_include : edge_kind::quoted_include, reader.text.substr(1, end - 1));
}

void import_scanner::python_line(std::string_view text) {
  line_reader reader{text};
  if (reader.word("import")) return add_list(reader.text);
  if (!reader.word("from")) return;
  const std::string_view module = reader.until(";#");
  if (reader.word("import")) add(edge_kind::import, module);
}

/// Java, Kotlin, Scala, Swift, Groovy, D, Protocol Buffers: "import [modifier] name" or "import [modifier] "path"".
void import_scanner::statement_line(std::string_view text) {
  line_reader reader{text};
  if (reader.word("@")) reader.any_word({"testable", "_exported"});
  if (!reader.word("import")) return;
  reader.any_word({"static", "public", "weak", "struct", "class", "enum", "protocol", "func", "var", "let", "typealias"});
  reader.skip_blanks();
  if (reader.text.starts_with('"') || reader.text.starts_with('\'')) return add_quoted(reader.text);
  std::string_view name = reader.until(",;:({/=");
  while (name.ends_with('.')) name.remove_suffix(1);  // Scala's "import a.b.{c, d}"
  add(edge_kind::import, name);
}

void import_scanner::go_line(std::string_view text) {
  line_reader reader{text};
  if (in_go_block_) {
    add_quoted(text);
    if (text.find(')') != npos) {
      in_go_block_ = false;
      for (const char c : {'"', '`', '_', '.', ')'}) first_bytes_.reset(static_cast<unsigned char>(c));
      for (int c = 'A'; c <= 'z'; ++c) first_bytes_.reset(static_cast<std::size_t>(c));
      first_bytes_.set('i');
    }
    return;
  }
  if (!reader.word("import")) return;
  reader.skip_blanks();
  if (reader.text.starts_with('(') && reader.text.find(')') == npos) {
    in_go_block_ = true;
    for (const char c : {'"', '`', '_', '.', ')'}) first_bytes_.set(static_cast<unsigned char>(c));
    for (int c = 'A'; c <= 'z'; ++c) first_bytes_.set(static_cast<std::size_t>(c));
  }
  add_quoted(reader.text);
}

void import_scanner::rust_line(std::string_view text) {
  line_reader reader{text};
  if (reader.word("pub")) {
    reader.skip_blanks();
    if (reader.text.starts_with('(')) reader.text.remove_prefix(std::min(reader.text.find(')'), reader.text.size() - 1) + 1);
  }
  if (reader.word("use")) {
    std::string_view path = reader.until(";{,");
    while (path.ends_with(':')) path.remove_suffix(1);
    return add(edge_kind::import, path);
  }
  if (reader.word("extern") && reader.word("crate")) return add(edge_kind::import, reader.until(";"));
  if (!reader.word("mod")) return;
  const std::string_view name = reader.until(";{");
  reader.skip_blanks();
  if (reader.text.starts_with(';')) add(edge_kind::submodule, name);
}

void import_scanner::php_line(std::string_view text) {
  line_reader reader{text};
  if (reader.any_word({"require", "require_once", "include", "include_once"})) return add_quoted(reader.text);
  if (!reader.word("use")) return;
  reader.any_word({"function", "const"});
  std::string_view name = reader.until(";,{(");
  while (name.ends_with('\\')) name.remove_suffix(1);
  add(edge_kind::import, name);
}

/// The languages where a leading word tells, and the target follows.
void import_scanner::word_line(std::string_view text) {
  line_reader reader{text};
  switch (style_) {
    case import_style::c_sharp: {
      reader.word("global");
      if (!reader.word("using") || reader.word("var")) return;
      reader.word("static");
      std::string_view name = reader.until(";=(");
      if (reader.word("=")) name = reader.until(";(");
      if (reader.word(";")) add(edge_kind::import, name);
      return;
    }
    case import_style::cmake:
      if (!reader.any_word({"include", "INCLUDE", "add_subdirectory", "ADD_SUBDIRECTORY", "find_package", "FIND_PACKAGE"})) return;
      if (!reader.word("(")) return;
      reader.skip_blanks();
      return reader.text.starts_with('"') ? add_quoted(reader.text) : add(edge_kind::import, reader.until(")"));
    case import_style::css:
      if (!reader.any_word({"@import", "@use", "@forward"})) return;
      if (reader.word("url") && reader.word("(")) {
        reader.skip_blanks();
        if (!reader.text.starts_with('"') && !reader.text.starts_with('\'')) return add(edge_kind::import, reader.until(")"));
      }
      return add_quoted(reader.text);
    case import_style::dart:
      if (reader.any_word({"import", "export", "part"})) add_quoted(reader.text);
      return;
    case import_style::haskell:
      if (!reader.word("import")) return;
      reader.any_word({"safe"});
      reader.any_word({"qualified"});
      return add(edge_kind::import, reader.until("(;"));
    case import_style::julia:
      if (reader.word("include")) return add_quoted(reader.text);
      if (reader.any_word({"using", "import"})) add_list(reader.text);
      return;
    case import_style::make:
      reader.word("-");
      if (!reader.any_word({"include", "sinclude"})) return;
      for (std::string_view name = reader.until("#"); !name.empty(); name = reader.until("#")) add(edge_kind::import, name);
      return;
    case import_style::perl: {
      if (!reader.any_word({"use", "require"})) return;
      reader.skip_blanks();
      if (reader.text.starts_with('"') || reader.text.starts_with('\'')) return add_quoted(reader.text);
      const std::string_view name = reader.until(";(");
      const bool version = !name.empty() && (name.front() == 'v' || name.front() == '$' || (name.front() >= '0' && name.front() <= '9'));
      if (!version) add(edge_kind::import, name);
      return;
    }
    case import_style::ruby:
      if (!reader.any_word({"require", "require_relative", "load"})) return;
      reader.word("(");
      reader.skip_blanks();
      if (reader.text.starts_with('"') || reader.text.starts_with('\'')) add_quoted(reader.text);
      return;
    case import_style::shell: {
      if (!reader.word("source") && !(reader.text.starts_with(". ") && reader.word("."))) return;
      reader.skip_blanks();
      if (reader.text.starts_with('"') || reader.text.starts_with('\'')) return add_quoted(reader.text);
      return add(edge_kind::import, reader.until(";&|)"));
    }
    default: return;
  }
}

}  // namespace analysis
