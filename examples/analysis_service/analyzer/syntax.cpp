// SPDX-License-Identifier: Apache-2.0
#include "analyzer/syntax.hpp"

namespace analysis {

namespace {

using namespace rule_flag;
using enum rule_kind;

constexpr syntax_rule slash_comment{line_comment, splices, "//", ""};
constexpr syntax_rule plain_slash_comment{line_comment, 0, "//", ""};
constexpr syntax_rule c_block{region, comment, "/*", "*/"};
constexpr syntax_rule nested_block{region, comment | nests, "/*", "*/"};
constexpr syntax_rule hash_first{line_comment, first_on_line | stands_alone, "#", ""};
constexpr syntax_rule hash_anywhere{line_comment, stands_alone, "#", ""};
constexpr syntax_rule dash_anywhere{line_comment, stands_alone, "--", ""};
constexpr syntax_rule markup_comment{region, comment, "<!--", "-->"};
constexpr syntax_rule quote{region, escapes | one_line, "\"", "\""};
constexpr syntax_rule long_quote{region, escapes, "\"", "\""};
constexpr syntax_rule apostrophe{region, escapes | one_line, "'", "'"};
constexpr syntax_rule long_apostrophe{region, escapes, "'", "'"};
constexpr syntax_rule triple_quote{region, escapes, "\"\"\"", "\"\"\""};
constexpr syntax_rule raw_triple_quote{region, 0, "\"\"\"", "\"\"\""};
constexpr syntax_rule triple_apostrophe{region, escapes, "'''", "'''"};
constexpr syntax_rule doc_quote{region, escapes | comment, "\"\"\"", "\"\"\""};
constexpr syntax_rule doc_apostrophe{region, escapes | comment, "'''", "'''"};

constexpr std::array<syntax_rule, 0> plain_rules{};
constexpr std::array apostrophe_line_rules{syntax_rule{line_comment, first_on_line, "'", ""}};
constexpr std::array asciidoc_rules{syntax_rule{line_region, column_zero | comment, "////", "////"},
                                    syntax_rule{line_comment, first_on_line, "//", ""}};
constexpr std::array assembly_rules{
    c_block, plain_slash_comment, hash_first,
    syntax_rule{line_comment, first_on_line, ";", ""}, syntax_rule{line_comment, first_on_line, "@", ""},
    syntax_rule{line_comment, first_on_line, "|", ""}, syntax_rule{line_comment, first_on_line, "!", ""},
    syntax_rule{line_comment, first_on_line, "--", ""}, syntax_rule{line_comment, column_zero, "*", ""}};
constexpr std::array bang_line_rules{syntax_rule{line_comment, first_on_line, "!", ""}};
constexpr std::array c_rules{slash_comment, c_block, quote, syntax_rule{cpp_char, escapes | one_line, "'", "'"}};
constexpr std::array cpp_rules{slash_comment, c_block, syntax_rule{cpp_quote, escapes | one_line, "\"", "\""},
                               syntax_rule{cpp_char, escapes | one_line, "'", "'"}};
constexpr std::array c_like_rules{plain_slash_comment, c_block, quote, apostrophe};
constexpr std::array c_sharp_rules{plain_slash_comment, c_block,
                                   syntax_rule{c_sharp_quote, escapes | one_line, "\"", "\""}, apostrophe};
constexpr std::array cmake_rules{syntax_rule{bracketed, comment, "#", ""}, hash_anywhere,
                                 syntax_rule{bracketed, 0, "", ""}, long_quote, syntax_rule{ordinary, escapes, "\\", ""}};
constexpr std::array css_rules{c_block, quote, apostrophe};
constexpr std::array css_extended_rules{plain_slash_comment, c_block, quote, apostrophe};
constexpr std::array d_rules{plain_slash_comment, c_block, syntax_rule{region, comment | nests, "/+", "+/"},
                             long_quote, apostrophe, syntax_rule{region, 0, "`", "`"}};
constexpr std::array dart_rules{plain_slash_comment, nested_block, triple_quote, triple_apostrophe, quote, apostrophe};
constexpr std::array dash_line_rules{syntax_rule{line_comment, first_on_line, "--", ""}};
constexpr std::array diff_rules{
    syntax_rule{line_comment, column_zero, "#", ""}, syntax_rule{line_comment, column_zero, "---", ""},
    syntax_rule{line_comment, column_zero, "+++", ""}};
constexpr std::array dos_batch_rules{
    syntax_rule{line_comment, first_on_line, "rem", ""}, syntax_rule{line_comment, first_on_line, "REM", ""},
    syntax_rule{line_comment, first_on_line, "Rem", ""}, syntax_rule{line_comment, first_on_line, "::", ""}};
constexpr std::array ejs_rules{syntax_rule{region, comment, "<%#", "%>"}, markup_comment};
constexpr std::array erb_rules{syntax_rule{region, comment, "<%#", "%>"}};
constexpr std::array f_sharp_rules{syntax_rule{ordinary, 0, "(*)", ""}, syntax_rule{region, comment | nests, "(*", "*)"},
                                   plain_slash_comment, raw_triple_quote, long_quote, syntax_rule{any_char, 0, "'", "'"}};
constexpr std::array go_rules{plain_slash_comment, c_block, quote, apostrophe, syntax_rule{region, 0, "`", "`"}};
constexpr std::array graphql_rules{hash_anywhere, doc_quote, quote};
constexpr std::array groovy_rules{plain_slash_comment, c_block, triple_quote, triple_apostrophe, quote, apostrophe};
constexpr std::array handlebars_rules{syntax_rule{region, comment, "{{!--", "--}}"},
                                      syntax_rule{region, comment, "{{!", "}}"}, markup_comment};
constexpr std::array hash_line_rules{hash_first};
constexpr std::array haskell_rules{syntax_rule{ordinary, 0, "{-#", ""}, syntax_rule{region, comment | nests, "{-", "-}"},
                                   syntax_rule{line_comment, not_operator, "--", ""}, quote,
                                   syntax_rule{any_char, 0, "'", "'"}};
constexpr std::array hcl_rules{hash_anywhere, plain_slash_comment, c_block, quote};
constexpr std::array java_rules{plain_slash_comment, c_block, triple_quote, quote, apostrophe};
constexpr std::array java_script_rules{plain_slash_comment, c_block, syntax_rule{js_regex, 0, "/", "/"}, quote, apostrophe,
                                       syntax_rule{js_template, escapes, "`", "`"}};
constexpr std::array jinja_rules{syntax_rule{region, comment, "{#", "#}"}};
constexpr std::array julia_rules{syntax_rule{region, comment | nests, "#=", "=#"}, hash_anywhere, doc_quote, long_quote,
                                 syntax_rule{any_char, 0, "'", "'"}};
constexpr std::array kotlin_rules{plain_slash_comment, nested_block, raw_triple_quote, quote, apostrophe};
constexpr std::array lex_rules{c_block, quote};
constexpr std::array lisp_rules{syntax_rule{line_comment, 0, ";", ""}, syntax_rule{region, comment | nests, "#|", "|#"},
                                syntax_rule{ordinary, escapes, "\\", ""}, long_quote};
constexpr std::array lua_rules{syntax_rule{bracketed, comment, "--", ""}, dash_anywhere, syntax_rule{bracketed, 0, "", ""},
                               quote, apostrophe};
constexpr std::array m4_rules{syntax_rule{line_comment, column_zero, "dnl ", ""}, syntax_rule{line_comment, column_zero, "dnl\t", ""},
                              syntax_rule{line_comment, column_zero, "dnl\n", ""}, syntax_rule{line_comment, column_zero, "dnl\r", ""}};
constexpr std::array markdown_rules{markup_comment, syntax_rule{line_comment, first_on_line, "[//]: #", ""},
                                    syntax_rule{line_comment, first_on_line, "[comment]: #", ""}};
constexpr std::array markup_rules{markup_comment};
constexpr std::array mustache_rules{syntax_rule{region, comment, "{{!", "}}"}};
constexpr std::array nim_rules{syntax_rule{region, comment | nests, "#[", "]#"}, hash_anywhere, raw_triple_quote, quote};
constexpr std::array nix_rules{c_block, hash_anywhere, long_quote, syntax_rule{region, 0, "''", "''"}};
constexpr std::array ocaml_rules{syntax_rule{region, comment | nests, "(*", "*)"}, long_quote, syntax_rule{any_char, 0, "'", "'"}};
constexpr std::array pascal_rules{plain_slash_comment, syntax_rule{ordinary, 0, "{$", ""}, syntax_rule{region, comment, "{", "}"},
                                  syntax_rule{region, comment, "(*", "*)"}, syntax_rule{region, one_line, "'", "'"}};
constexpr std::array percent_line_rules{syntax_rule{line_comment, first_on_line, "%", ""}};
constexpr std::array perl_rules{hash_first, syntax_rule{line_region, column_zero | comment | letter_follows, "=", "=cut"},
                                syntax_rule{line_region, column_zero | comment, "__END__", ""},
                                syntax_rule{line_region, column_zero | comment, "__DATA__", ""}};
constexpr std::array php_rules{syntax_rule{region, 0, "?>", "<?"},
                               syntax_rule{ordinary, 0, "#[", ""},
                               syntax_rule{line_comment, ends_at_tag, "#", ""},
                               syntax_rule{line_comment, ends_at_tag, "//", ""}, c_block,
                               syntax_rule{heredoc, 0, "<<<", ""}, long_quote, long_apostrophe};
constexpr std::array po_file_rules{syntax_rule{ordinary, first_on_line, "#,", ""}, hash_first};
constexpr std::array power_shell_rules{syntax_rule{region, comment, "<#", "#>"}, hash_first};
constexpr std::array properties_rules{hash_first, syntax_rule{line_comment, first_on_line, "!", ""}};
constexpr std::array python_rules{hash_anywhere, doc_quote, doc_apostrophe, quote, apostrophe,
                                  syntax_rule{region, escapes | comment | first_on_line, "u\"\"\"", "\"\"\""},
                                  syntax_rule{region, escapes | comment | first_on_line, "u'''", "'''"}};
constexpr std::array razor_rules{syntax_rule{region, comment, "@*", "*@"}, c_block, syntax_rule{line_comment, first_on_line, "//", ""},
                                 markup_comment};
constexpr std::array restructured_rules{syntax_rule{indented_region, column_zero | comment, "..", ""}};
constexpr std::array ruby_rules{hash_first, syntax_rule{line_region, column_zero | comment, "=begin", "=end"}};
constexpr std::array rust_rules{plain_slash_comment, nested_block, syntax_rule{rust_quote, escapes, "\"", "\""},
                                syntax_rule{any_char, 0, "'", "'"}};
constexpr std::array scala_rules{plain_slash_comment, nested_block, raw_triple_quote, quote, syntax_rule{any_char, 0, "'", "'"}};
constexpr std::array scheme_rules{syntax_rule{line_comment, 0, ";", ""}, syntax_rule{region, comment | nests, "#|", "|#"},
                                  syntax_rule{ordinary, escapes, "#\\", ""}, long_quote};
constexpr std::array semicolon_line_rules{syntax_rule{line_comment, first_on_line, ";", ""}};
constexpr std::array slash_line_rules{plain_slash_comment, quote};
constexpr std::array sql_rules{dash_anywhere, c_block, syntax_rule{region, doubles, "'", "'"},
                               syntax_rule{region, doubles, "\"", "\""}};
constexpr std::array swift_rules{plain_slash_comment, nested_block, syntax_rule{swift_quote, escapes | one_line, "\"", "\""}};
constexpr std::array thrift_rules{plain_slash_comment, c_block, hash_anywhere, quote, apostrophe};
constexpr std::array toml_rules{hash_anywhere, triple_quote, syntax_rule{region, 0, "'''", "'''"}, quote,
                                syntax_rule{region, one_line, "'", "'"}};
constexpr std::array vim_rules{syntax_rule{line_comment, first_on_line, "\"", ""}};
constexpr std::array vue_rules{markup_comment, c_block, plain_slash_comment};

constexpr std::span<const syntax_rule> rules_of(syntax_family family) noexcept {
  switch (family) {
    case syntax_family::plain: return plain_rules;
    case syntax_family::apostrophe_line: return apostrophe_line_rules;
    case syntax_family::asciidoc: return asciidoc_rules;
    case syntax_family::assembly: return assembly_rules;
    case syntax_family::bang_line: return bang_line_rules;
    case syntax_family::c: return c_rules;
    case syntax_family::c_like: return c_like_rules;
    case syntax_family::c_sharp: return c_sharp_rules;
    case syntax_family::cmake: return cmake_rules;
    case syntax_family::cpp: return cpp_rules;
    case syntax_family::css: return css_rules;
    case syntax_family::css_extended: return css_extended_rules;
    case syntax_family::d_lang: return d_rules;
    case syntax_family::dart: return dart_rules;
    case syntax_family::dash_line: return dash_line_rules;
    case syntax_family::diff: return diff_rules;
    case syntax_family::dos_batch: return dos_batch_rules;
    case syntax_family::ejs: return ejs_rules;
    case syntax_family::erb: return erb_rules;
    case syntax_family::f_sharp: return f_sharp_rules;
    case syntax_family::go: return go_rules;
    case syntax_family::graphql: return graphql_rules;
    case syntax_family::groovy: return groovy_rules;
    case syntax_family::handlebars: return handlebars_rules;
    case syntax_family::hash_line: return hash_line_rules;
    case syntax_family::haskell: return haskell_rules;
    case syntax_family::hcl: return hcl_rules;
    case syntax_family::java: return java_rules;
    case syntax_family::java_script: return java_script_rules;
    case syntax_family::jinja: return jinja_rules;
    case syntax_family::julia: return julia_rules;
    case syntax_family::kotlin: return kotlin_rules;
    case syntax_family::lex: return lex_rules;
    case syntax_family::lisp: return lisp_rules;
    case syntax_family::lua: return lua_rules;
    case syntax_family::m4: return m4_rules;
    case syntax_family::markdown: return markdown_rules;
    case syntax_family::markup: return markup_rules;
    case syntax_family::mustache: return mustache_rules;
    case syntax_family::nim: return nim_rules;
    case syntax_family::nix: return nix_rules;
    case syntax_family::ocaml: return ocaml_rules;
    case syntax_family::pascal: return pascal_rules;
    case syntax_family::percent_line: return percent_line_rules;
    case syntax_family::perl: return perl_rules;
    case syntax_family::php: return php_rules;
    case syntax_family::po_file: return po_file_rules;
    case syntax_family::power_shell: return power_shell_rules;
    case syntax_family::properties: return properties_rules;
    case syntax_family::python: return python_rules;
    case syntax_family::razor: return razor_rules;
    case syntax_family::restructured: return restructured_rules;
    case syntax_family::ruby: return ruby_rules;
    case syntax_family::rust: return rust_rules;
    case syntax_family::scala: return scala_rules;
    case syntax_family::scheme: return scheme_rules;
    case syntax_family::semicolon_line: return semicolon_line_rules;
    case syntax_family::slash_line: return slash_line_rules;
    case syntax_family::sql: return sql_rules;
    case syntax_family::swift: return swift_rules;
    case syntax_family::thrift: return thrift_rules;
    case syntax_family::toml: return toml_rules;
    case syntax_family::vim: return vim_rules;
    case syntax_family::vue: return vue_rules;
    case syntax_family::count_of_families: break;
  }
  return plain_rules;
}

constexpr syntax prepare(syntax_family family) noexcept {
  syntax result;
  result.rules = rules_of(family);
  result.code_stops.insert('\n');
  for (const syntax_rule& rule : result.rules) {
    const auto first = static_cast<unsigned char>(rule.open.empty() ? '[' : rule.open.front());
    result.may_open[first] = true;
    if (!rule.has(first_on_line | column_zero)) result.code_stops.insert(first);
  }
  if (family == syntax_family::java_script) {
    result.template_stops = result.code_stops;
    result.template_stops.insert('{');
    result.template_stops.insert('}');
  }
  if (family == syntax_family::php) result.starts_inside = &result.rules.front();
  return result;
}

constexpr auto family_count = static_cast<std::size_t>(syntax_family::count_of_families);

constexpr std::array<syntax, family_count> prepare_all() noexcept {
  std::array<syntax, family_count> result;
  for (std::size_t i = 0; i < family_count; ++i) result[i] = prepare(static_cast<syntax_family>(i));
  return result;
}

constexpr std::array<syntax, family_count> prepared = prepare_all();

}  // namespace

const syntax& syntax_of(syntax_family family) noexcept { return prepared[static_cast<std::size_t>(family)]; }

}  // namespace analysis
