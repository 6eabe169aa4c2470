// SPDX-License-Identifier: Apache-2.0
#include "analyzer/language.hpp"

#include "analyzer/language_table.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>

namespace analysis {

namespace {

using detail::language_key;

std::optional<language> find(std::span<const language_key> table, std::string_view key) noexcept {
  const auto at = std::ranges::lower_bound(table, key, {}, &language_key::key);
  if (at == table.end() || at->key != key) return std::nullopt;
  return at->id;
}

bool listed(std::span<const std::string_view> table, std::string_view key) noexcept {
  return std::ranges::binary_search(table, key);
}

/// The endings of the name after its last three, two and one dots, longest first. An ending may not
/// start or stop with a dot.
struct endings {
  std::array<std::string_view, 3> text;
  std::size_t count{0};

  explicit endings(std::string_view name) noexcept {
    std::array<std::string_view, 3> shortest_first;
    std::size_t end = name.size();
    while (count < shortest_first.size()) {
      const std::size_t dot = end == 0 ? std::string_view::npos : name.rfind('.', end - 1);
      if (dot == std::string_view::npos || dot + 1 == end) break;
      shortest_first[count++] = name.substr(dot + 1);
      end = dot;
    }
    std::reverse_copy(shortest_first.begin(), shortest_first.begin() + static_cast<std::ptrdiff_t>(count), text.begin());
  }
};

std::string_view file_part(std::string_view path) noexcept {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool contains_any(std::string_view text, std::span<const std::string_view> words) noexcept {
  return std::ranges::any_of(words, [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

/// The interpreter named by a "#!" line: the base name of the program, or the argument of `env`.
std::string_view interpreter_of(std::string_view head) noexcept {
  if (!head.starts_with("#!")) return {};
  std::string_view line = head.substr(2, head.find('\n') == std::string_view::npos ? head.npos : head.find('\n') - 2);
  const auto next_word = [&line]() -> std::string_view {
    const auto first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) return {};
    const auto last = std::min(line.find_first_of(" \t\r", first), line.size());
    const auto word = line.substr(first, last - first);
    line.remove_prefix(last);
    return word;
  };
  const std::string_view program = file_part(next_word());
  if (program != "env") return program;
  const std::string_view argument = next_word();
  return argument.empty() ? program : argument;
}

constexpr std::array<std::string_view, 6> objective_c_words{"#import", "#include", "@interface", "@implementation",
                                                            "@protocol", "@class"};
constexpr std::array<std::string_view, 2> matlab_words{"\n%", "\nfunction"};
constexpr std::array<std::string_view, 3> linguist_words{"<!DOCTYPE TS", "<TS ", "<translation"};

}  // namespace

std::span<const language_info> all_languages() noexcept { return detail::language_table().subspan(1); }

const language_info& info_of(language id) noexcept { return detail::language_table()[static_cast<std::size_t>(id)]; }

std::string_view name_of(language id) noexcept { return info_of(id).name; }

language language_named(std::string_view name) noexcept {
  const auto table = all_languages();
  const auto at = std::ranges::find(table, name, &language_info::name);
  return at == table.end() ? language::unknown : at->id;
}

name_verdict language_of_name(std::string_view path) noexcept {
  const std::string_view name = file_part(path);
  if (name.empty() || name.ends_with('~') || listed(detail::not_code_name_table(), name)) return {};
  if (const auto id = find(detail::file_name_table(), name)) return {*id, false};

  const endings ends(name);
  for (std::size_t i = 0; i < ends.count; ++i) {
    const std::string_view ending = ends.text[i];
    if (listed(detail::not_code_extension_table(), ending)) return {};
    if (const auto id = find(detail::extension_table(), ending)) {
      const bool shared_by_languages = ending == "ts" || ending == "m" || ending == "inc";
      return {*id, shared_by_languages};
    }
  }
  if (name.starts_with("Dockerfile.")) return {language::dockerfile, false};
  if (name.starts_with("Containerfile.")) return {language::containerfile, false};
  if (ends.count == 0) {
    constexpr std::size_t longest_key = 32;
    std::array<char, longest_key> lower{};
    if (name.size() <= lower.size()) {
      std::ranges::transform(name, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
      if (const auto id = find(detail::file_name_table(), {lower.data(), name.size()})) return {*id, false};
    }
  }
  return {language::unknown, true};
}

language language_of_content(std::string_view path, std::string_view head) noexcept {
  const std::string_view name = file_part(path);
  if (head.starts_with("\xEF\xBB\xBF")) head.remove_prefix(3);
  if (name.ends_with(".ts")) return contains_any(head, linguist_words) ? language::qt_linguist : language::type_script;
  if (name.ends_with(".inc")) return head.find("<?") != head.npos ? language::php : language::unknown;
  if (name.ends_with(".m")) {
    if (contains_any(head, objective_c_words)) return language::objective_c;
    const bool matlab = head.starts_with('%') || head.starts_with("function") || contains_any(head, matlab_words);
    return matlab ? language::matlab : language::unknown;
  }
  if (const auto id = find(detail::interpreter_table(), interpreter_of(head))) return *id;
  const std::string_view first_line = head.substr(0, head.find('\n'));
  return first_line.find("<?xml ") != first_line.npos ? language::xml : language::unknown;
}

}  // namespace analysis
