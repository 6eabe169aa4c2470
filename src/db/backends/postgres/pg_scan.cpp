// SPDX-License-Identifier: Apache-2.0
#include "pg_scan.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace spillway::detail {

namespace {

bool is_blank(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool begins_name(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool continues_name(char c) noexcept { return begins_name(c) || is_digit(c) || c == '$'; }
char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// `word` is lower case.
bool is_word(std::string_view token, std::string_view word) noexcept {
  return std::ranges::equal(token, word, {}, lower);
}
template <std::size_t N>
bool is_one_of(std::string_view token, const std::array<std::string_view, N>& words) noexcept {
  return std::ranges::any_of(words, [token](std::string_view word) { return is_word(token, word); });
}

enum class token_kind : std::uint8_t { end, word, quoted_name, string, number, parameter, semicolon, open, close, other };

struct token {
  token_kind kind{token_kind::end};
  std::string_view text;
  unsigned parameter{0};
};

class lexer {
 public:
  lexer(std::string_view sql, std::size_t at) noexcept : sql_{sql}, at_{at} {}

  [[nodiscard]] std::size_t at() const noexcept { return at_; }

  token next() {
    skip_blanks();
    const auto begin = at_;
    token found;
    found.kind = take(found.parameter);
    found.text = sql_.substr(begin, at_ - begin);
    return found;
  }

 private:
  [[nodiscard]] char peek(std::size_t ahead = 0) const noexcept { return at_ + ahead < sql_.size() ? sql_[at_ + ahead] : '\0'; }
  [[nodiscard]] bool done() const noexcept { return at_ >= sql_.size(); }

  void skip_blanks() noexcept {
    for (;;) {
      if (done()) return;
      if (is_blank(peek())) {
        ++at_;
      } else if (peek() == '-' && peek(1) == '-') {
        at_ = std::min(sql_.find_first_of("\r\n", at_), sql_.size());
      } else if (peek() == '/' && peek(1) == '*') {
        skip_comment();
      } else {
        return;
      }
    }
  }

  void skip_comment() noexcept {  // these nest
    std::size_t depth{0};
    while (!done()) {
      if (peek() == '/' && peek(1) == '*') {
        ++depth;
        at_ += 2;
      } else if (peek() == '*' && peek(1) == '/') {
        at_ += 2;
        if (--depth == 0) return;
      } else {
        ++at_;
      }
    }
  }

  /// Up to and with the closing quote; a doubled one is part of the text.
  void skip_quoted(char quote, bool backslashes) noexcept {
    ++at_;
    while (!done()) {
      const char c = sql_[at_++];
      if (c == '\\' && backslashes && !done()) {
        ++at_;
      } else if (c == quote) {
        if (peek() != quote) return;
        ++at_;
      }
    }
  }

  token_kind take_dollar(unsigned& parameter) {
    if (is_digit(peek(1))) {
      ++at_;
      while (is_digit(peek())) {
        parameter = std::min(parameter * 10 + static_cast<unsigned>(peek() - '0'), pg_most_parameters + 1);
        ++at_;
      }
      return token_kind::parameter;
    }
    auto end = at_ + 1;
    while (end < sql_.size() && sql_[end] != '$' && (end == at_ + 1 ? begins_name(sql_[end]) : continues_name(sql_[end]))) ++end;
    if (end >= sql_.size() || sql_[end] != '$') {
      ++at_;
      return token_kind::other;
    }
    const auto tag = sql_.substr(at_, end + 1 - at_);
    const auto close = sql_.find(tag, end + 1);
    at_ = close == std::string_view::npos ? sql_.size() : close + tag.size();
    return token_kind::string;
  }

  token_kind take(unsigned& parameter) {
    if (done()) return token_kind::end;
    const char c = peek();
    if (begins_name(c)) {
      const auto begin = at_;
      while (continues_name(peek())) ++at_;
      const bool escapes = at_ - begin == 1 && lower(c) == 'e' && peek() == '\'';
      if (!escapes) return token_kind::word;
      skip_quoted('\'', true);
      return token_kind::string;
    }
    if (is_digit(c)) {
      while (is_digit(peek()) || (peek() == '.' && is_digit(peek(1)))) ++at_;
      return token_kind::number;
    }
    switch (c) {
      case '\'': skip_quoted('\'', false); return token_kind::string;
      case '"': skip_quoted('"', false); return token_kind::quoted_name;
      case '$': return take_dollar(parameter);
      case ';': ++at_; return token_kind::semicolon;
      case '(':
      case '[': ++at_; return token_kind::open;
      case ')':
      case ']': ++at_; return token_kind::close;
      default: ++at_; return token_kind::other;
    }
  }

  std::string_view sql_;
  std::size_t at_;
};

/// Judges a statement by its words.
class classifier {
 public:
  void word(std::string_view text) {
    if (seen_ < first_.size()) first_[seen_] = text;
    ++seen_;
    static constexpr std::array<std::string_view, 5> writers{"insert", "update", "delete", "merge", "into"};
    if (is_one_of(text, writers)) writes_ = true;
    if (is_word(text, "to")) to_ = true;
  }

  [[nodiscard]] pg_statement_kind kind() const noexcept {
    static constexpr std::array<std::string_view, 4> queries{"select", "with", "values", "table"};
    static constexpr std::array<std::string_view, 5> transactions{"begin", "start", "commit", "end", "abort"};
    static constexpr std::array<std::string_view, 7> of_session{"reset", "discard", "listen", "unlisten", "deallocate", "load", "prepare"};
    const auto word = first_[0];
    if (is_one_of(word, queries)) return writes_ ? pg_statement_kind::plain : pg_statement_kind::query;
    if (is_one_of(word, transactions)) return pg_statement_kind::transaction;
    if (is_word(word, "rollback")) return to_ ? pg_statement_kind::rollback_to : pg_statement_kind::transaction;
    if (is_word(word, "copy")) return pg_statement_kind::copy;
    if (is_word(word, "prepare") && is_word(first_[1], "transaction")) return pg_statement_kind::transaction;
    if (is_one_of(word, of_session)) return pg_statement_kind::session_state;
    if (is_word(word, "set")) return kind_of_set();
    return pg_statement_kind::plain;
  }

  [[nodiscard]] bool planned() const noexcept {
    static constexpr std::array<std::string_view, 8> words{"select", "insert", "update", "delete", "with", "values", "merge", "table"};
    return is_one_of(first_[0], words);
  }

 private:
  [[nodiscard]] pg_statement_kind kind_of_set() const noexcept {
    if (is_word(first_[1], "constraints")) return pg_statement_kind::plain;
    if (is_word(first_[1], "transaction")) return pg_statement_kind::transaction_mode;
    if (!is_word(first_[1], "local")) return pg_statement_kind::session_state;
    constexpr std::string_view reserved{"transaction"};
    return first_[2].size() >= reserved.size() && is_word(first_[2].substr(0, reserved.size()), reserved) ? pg_statement_kind::transaction_mode
                                                                                                         : pg_statement_kind::plain;
  }

  std::array<std::string_view, 3> first_;
  std::size_t seen_{0};
  bool writes_{false};
  bool to_{false};
};

/// Semicolons inside parentheses, and inside BEGIN ATOMIC ... END of a function's body, end no statement.
class nesting {
 public:
  void word(std::string_view text) {
    if (words_ == 0) created_ = is_word(text, "create");
    static constexpr std::array<std::string_view, 2> routines{"function", "procedure"};
    static constexpr std::array<std::string_view, 2> between{"or", "replace"};
    if (created_ && !routine_ && words_ > 0) {
      routine_ = is_one_of(text, routines);
      created_ = routine_ || is_one_of(text, between);
    }
    ++words_;
    if (!routine_ || parentheses_ > 0) return;
    if (is_word(text, "begin") || (blocks_ > 0 && is_word(text, "case"))) ++blocks_;
    else if (blocks_ > 0 && is_word(text, "end")) --blocks_;
  }
  void open() noexcept { ++parentheses_; }
  void close() noexcept {
    if (parentheses_ > 0) --parentheses_;
  }
  [[nodiscard]] bool inside() const noexcept { return parentheses_ > 0 || blocks_ > 0; }

 private:
  std::size_t words_{0};
  std::size_t parentheses_{0};
  std::size_t blocks_{0};
  bool created_{false};
  bool routine_{false};
};

class parameters_seen {
 public:
  void add(unsigned number) {
    highest_ = std::max(highest_, number);
    if (number > pg_most_parameters) return;
    if (number > used_.size()) used_.resize(number);
    if (number > 0) used_[number - 1] = true;
    else zero_ = true;
  }
  [[nodiscard]] unsigned highest() const noexcept { return zero_ ? pg_most_parameters + 1 : highest_; }
  [[nodiscard]] unsigned missing() const noexcept {
    const auto gap = std::ranges::find(used_, false);
    return gap == used_.end() ? 0 : static_cast<unsigned>(gap - used_.begin()) + 1;
  }

 private:
  std::vector<bool> used_;
  unsigned highest_{0};
  bool zero_{false};  // there is no $0: told as too many
};

}  // namespace

std::optional<pg_statement> pg_next_statement(std::string_view sql, std::size_t& at) {
  lexer tokens{sql, at};
  auto current = tokens.next();
  while (current.kind == token_kind::semicolon) current = tokens.next();
  if (current.kind == token_kind::end) {
    at = sql.size();
    return std::nullopt;
  }
  const auto begin = static_cast<std::size_t>(current.text.data() - sql.data());
  classifier words;
  nesting levels;
  parameters_seen parameters;
  auto end = begin;
  for (; current.kind != token_kind::end; current = tokens.next()) {
    if (current.kind == token_kind::semicolon && !levels.inside()) break;
    end = tokens.at();
    switch (current.kind) {
      case token_kind::word:
        words.word(current.text);
        levels.word(current.text);
        break;
      case token_kind::quoted_name:
        // SET LOCAL "transaction_read_only" is the same setting.
        words.word(current.text.size() > 2 ? current.text.substr(1, current.text.size() - 2) : current.text);
        break;
      case token_kind::parameter: parameters.add(current.parameter); break;
      case token_kind::open: levels.open(); break;
      case token_kind::close: levels.close(); break;
      default: break;
    }
  }
  at = tokens.at();
  return pg_statement{sql.substr(begin, end - begin), words.kind(), parameters.highest(), parameters.missing(), words.planned()};
}

}  // namespace spillway::detail
