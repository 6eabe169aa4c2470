// SPDX-License-Identifier: Apache-2.0
#include "layers/co_await_rule.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace spillway::testing {
namespace {

constexpr auto npos = std::string_view::npos;

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool opens(char c) { return c == '(' || c == '[' || c == '{'; }
bool closes(char c) { return c == ')' || c == ']' || c == '}'; }

/// Reads code whose comments and literals are blanked.
class code_reader {
 public:
  explicit code_reader(std::string_view code) : code_{code} {}

  /// Offset of the last character before `at` that is not space; npos at the start.
  [[nodiscard]] std::size_t before(std::size_t at) const {
    while (at > 0) {
      if (!is_space(code_[--at])) return at;
    }
    return npos;
  }

  [[nodiscard]] std::size_t next(std::size_t at) const {
    while (at < code_.size() && is_space(code_[at])) ++at;
    return at;
  }

  /// The word that ends at `last`, empty if no word does.
  [[nodiscard]] std::string_view word_ending(std::size_t last) const {
    if (last == npos || !is_word(code_[last])) return {};
    std::size_t first = last;
    while (first > 0 && is_word(code_[first - 1])) --first;
    return code_.substr(first, last - first + 1);
  }

  /// Offset of the bracket that pairs with the one at `at`; npos if there is none.
  [[nodiscard]] std::size_t open_of(std::size_t at) const {
    int depth = 0;
    for (std::size_t i = at + 1; i-- > 0;) {
      if (closes(code_[i])) ++depth;
      if (opens(code_[i]) && --depth == 0) return i;
    }
    return npos;
  }
  [[nodiscard]] std::size_t close_of(std::size_t at) const {
    int depth = 0;
    for (std::size_t i = at; i < code_.size(); ++i) {
      if (opens(code_[i])) ++depth;
      if (closes(code_[i]) && --depth == 0) return i;
    }
    return npos;
  }

  enum class brace { block, lambda, init };

  /// What the brace at `at` begins.
  [[nodiscard]] brace kind(std::size_t at) const {
    std::size_t last = before(at);
    if (last == npos) return brace::block;
    for (auto word = word_ending(last); word == "mutable" || word == "noexcept" || word == "const" || word == "override" || word == "final";
         word = word_ending(last)) {
      last = before(last - word.size() + 1);
      if (last == npos) return brace::block;
    }
    if (code_[last] == ')') return kind_behind_parameters(last);
    if (code_[last] == ']') return is_lambda(open_of(last)) ? brace::lambda : brace::init;
    if (std::string_view{";{}:"}.find(code_[last]) != npos) return brace::block;
    if (!is_word(code_[last]) && code_[last] != '>') return brace::init;
    return kind_behind_name(last);
  }

  /// Does the bracket at `at` begin a lambda? Subscripts stand behind a value, attributes are doubled.
  [[nodiscard]] bool is_lambda(std::size_t at) const {
    if (at == npos || code_.substr(at).starts_with("[[")) return false;
    const auto last = before(at);
    if (last == npos) return true;
    if (code_[last] == '[') return false;
    if (const auto word = word_ending(last); word == "return" || word == "co_return" || word == "co_await" || word == "co_yield") return true;
    return !is_word(code_[last]) && code_[last] != ')' && code_[last] != ']';
  }

  /// Where the full expression around `at` begins.
  [[nodiscard]] std::size_t expression_begin(std::size_t at) const {
    for (std::size_t i = at; i-- > 0;) {
      const char c = code_[i];
      if (c == ';') return i + 1;
      if (c == '}' && kind(open_of(i)) == brace::block) return i + 1;
      if (closes(c)) {
        i = open_of(i);
        if (i == npos) return 0;
      } else if (c == '{' && kind(i) != brace::init) {
        return i + 1;
      } else if (c == '(' && is_condition(i)) {
        return i + 1;
      }
    }
    return 0;
  }

  [[nodiscard]] std::size_t expression_end(std::size_t begin) const {
    for (std::size_t i = begin; i < code_.size(); ++i) {
      if (code_[i] == ';' || closes(code_[i])) return i;
      if (!opens(code_[i])) continue;
      if (code_[i] == '{' && kind(i) == brace::block) return i;
      i = close_of(i);
      if (i == npos) return code_.size();
    }
    return code_.size();
  }

  /// Offset just behind the body of the lambda that opens at `at`.
  [[nodiscard]] std::size_t behind_lambda(std::size_t at) const {
    std::size_t i = close_of(at);
    while (i < code_.size() && code_[i] != '{' && code_[i] != ';') i = code_[i] == '(' ? close_of(i) : i + 1;
    if (i >= code_.size() || code_[i] != '{') return std::min(i, code_.size());
    return std::min(close_of(i), code_.size());
  }

  [[nodiscard]] std::string_view code() const { return code_; }

 private:
  [[nodiscard]] bool is_condition(std::size_t paren) const {
    const auto word = word_ending(before(paren));
    return word == "if" || word == "while" || word == "for" || word == "switch" || word == "constexpr";
  }

  [[nodiscard]] brace kind_behind_parameters(std::size_t close) const {
    const auto open = open_of(close);
    if (open == npos) return brace::block;
    auto last = before(open);
    if (last != npos && word_ending(last) == "noexcept") return kind_behind_parameters(before(last - 7));
    return last != npos && code_[last] == ']' ? brace::lambda : brace::block;
  }

  /// A name or a template's end stands before the brace: a trailing return type, a type's definition, or a braced temporary.
  [[nodiscard]] brace kind_behind_name(std::size_t last) const {
    std::size_t first = last + 1;
    while (first > 0 && (is_word(code_[first - 1]) || is_space(code_[first - 1]) || std::string_view{":<>,*&"}.find(code_[first - 1]) != npos)) {
      --first;
    }
    if (first > 0 && code_[first - 1] == '-' && code_[first] == '>') {
      const auto close = before(first - 1);
      if (close == npos || code_[close] != ')') return brace::lambda;
      return kind_behind_parameters(close);
    }
    static constexpr std::array<std::string_view, 11> heads{"struct", "class", "union", "enum",    "namespace", "else",
                                                            "do",     "try",   "extern", "concept", "requires"};
    for (std::size_t i = first; i <= last; ++i) {
      if (!is_word(code_[i]) || (i > 0 && is_word(code_[i - 1]))) continue;
      std::size_t end = i;
      while (end < code_.size() && is_word(code_[end])) ++end;
      if (std::find(heads.begin(), heads.end(), code_.substr(i, end - i)) != heads.end()) return brace::block;
    }
    return brace::init;
  }

  std::string_view code_;
};

/// Does the capture list, without its brackets, copy anything? References and `this` are pointers and do no harm.
bool copies(std::string_view captures) {
  while (!captures.empty()) {
    const auto end = std::min(captures.find(','), captures.size());
    const auto one = trimmed(captures.substr(0, end));
    if (!one.empty() && !one.starts_with('&') && one != "this") return true;
    captures.remove_prefix(std::min(end + 1, captures.size()));
  }
  return false;
}

void check_expression(const code_reader& reader, std::size_t begin, std::size_t end, const auto& report) {
  const auto code = reader.code();
  for (std::size_t i = begin; i < end; ++i) {
    if (code[i] == '[' && reader.is_lambda(i)) {
      const auto close = reader.close_of(i);
      if (close == npos) return;
      if (copies(code.substr(i + 1, close - i - 1))) report(i, "a capturing lambda inside a co_await expression is destroyed twice by g++ 12; name it first");
      i = reader.behind_lambda(i);
    } else if (code[i] == '{' && reader.kind(i) == code_reader::brace::init) {
      const bool awaited_within = code.substr(i, reader.close_of(i) - i).find("co_await") != npos;
      report(i, awaited_within ? "an aggregate made of an awaited value is destroyed twice by g++ 12; name the value first"
                               : "a braced temporary inside a co_await expression may be destroyed twice by g++ 12; name it first");
    }
  }
}

void blank_directives(std::string& code) {
  bool inside = false;
  for (std::size_t i = 0; i < code.size();) {
    const auto end = std::min(code.find('\n', i), code.size());
    const auto line = trimmed(std::string_view{code}.substr(i, end - i));
    const bool directive = inside || line.starts_with('#');
    inside = directive && line.ends_with('\\');
    if (directive) std::fill(code.begin() + static_cast<std::ptrdiff_t>(i), code.begin() + static_cast<std::ptrdiff_t>(end), ' ');
    i = end + 1;
  }
}

}  // namespace

std::vector<finding> check_co_await(const std::string& file, std::string_view source) {
  constexpr std::string_view keyword = "co_await";
  auto code = code_only(source);
  blank_directives(code);
  const code_reader reader{code};
  const auto lines = lines_of(source);
  std::vector<std::size_t> reported;
  std::vector<finding> findings;
  for (auto at = code.find(keyword); at != npos; at = code.find(keyword, at + keyword.size())) {
    if ((at > 0 && is_word(code[at - 1])) || is_word(code[std::min(at + keyword.size(), code.size() - 1)])) continue;
    const auto begin = reader.expression_begin(at);
    check_expression(reader, begin, reader.expression_end(begin), [&](std::size_t where, const char* why) {
      if (std::find(reported.begin(), reported.end(), where) != reported.end()) return;
      reported.push_back(where);
      const auto line = line_at(code, where);
      findings.push_back({file, line, std::string{trimmed(lines[line - 1])}, why});
    });
  }
  return findings;
}

std::vector<finding> check_co_await_below(const std::filesystem::path& root) {
  std::vector<finding> findings;
  for (const auto& path : files_below(root, {"include", "src", "tests", "examples", "benchmarks"})) {
    if (path.extension() != ".hpp" && path.extension() != ".cpp") continue;
    const auto more = check_co_await(path.generic_string(), read_text(root / path));
    findings.insert(findings.end(), more.begin(), more.end());
  }
  return findings;
}

}  // namespace spillway::testing
