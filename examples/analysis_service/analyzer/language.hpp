// SPDX-License-Identifier: Apache-2.0
/// @file
/// Which language a file is written in, by its name and, where the name does not say, its first bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace analysis {

/// The languages that are counted. The numbers are not stable between versions: store `name_of`.
enum class language : std::uint8_t {
  unknown,
    ada, antlr, arduino, asciidoc, assembly, awk, bazel, bash, shell, c, c_shell, c_sharp, cpp, c_header,
    clojure, clojure_script, cmake, coffee_script, containerfile, crystal, css, cuda, cython, d, dart, diff,
    dockerfile, dos_batch, dtd, ejs, elixir, elm, erb, erlang, expect, f_sharp, fish, flatbuffers, fortran_90,
    fortran_95, glade, glsl, go, gradle, graphql, groovy, handlebars, haskell, hcl, hlsl, html, idl, ini, jam,
    java, java_script, jinja, json, json5, jsx, julia, korn_shell, kotlin, less, lex, lisp, llvm_ir, lua, m4,
    make, markdown, matlab, maven, meson, metal, msbuild, mustache, nim, nix, objective_c, objective_cpp, ocaml,
    opencl, pascal, perl, php, po_file, power_shell, properties, protobuf, pug, python, qml, qt, qt_linguist, r,
    racket, razor, rest, ruby, rust, sass, scala, scheme, scss, sed, solidity, sql, starlark, stylus, svelte,
    svg, swift, swig, tcl, tex, text, thrift, toml, type_script, vala, verilog, vhdl, vim, visual_basic_net,
    visual_studio_solution, vue, windows_definition, windows_resource, xaml, xhtml, xml, xsd, xslt, yacc, yaml,
    zig, zsh,
};

/// How comments and strings are written; several languages share one.
enum class syntax_family : std::uint8_t {
  plain, apostrophe_line, asciidoc, assembly, bang_line, c, c_like, c_sharp, cmake, cpp, css, css_extended, d_lang,
  dart, dash_line, diff, dos_batch, ejs, erb, f_sharp, go, graphql, groovy, handlebars, hash_line, haskell, hcl,
  java, java_script, jinja, julia, kotlin, lex, lisp, lua, m4, markdown, markup, mustache, nim, nix, ocaml,
  pascal, percent_line, perl, php, po_file, power_shell, properties, python, razor, restructured, ruby, rust,
  scala, scheme, semicolon_line, slash_line, sql, swift, thrift, toml, vim, vue, count_of_families,
};

/// How one file names another.
enum class import_style : std::uint8_t {
  none, c_include, c_sharp, cmake, css, dart, go, haskell, import_statement, java_script, julia, make, perl, php,
  python, quoted_call, ruby, rust, shell,
};

struct language_info {
  language id;
  std::string_view name;  ///< As `cloc` prints it, so that results can be compared.
  syntax_family family;
  import_style imports;
  bool shebang_is_code;  ///< A leading "#!" line is code although '#' starts a comment.
  bool continues_lines;  ///< A backslash at the end of a line of code makes the next line part of it.
};

/// Every language but `unknown`, ordered by `id`.
[[nodiscard]] std::span<const language_info> all_languages() noexcept;

[[nodiscard]] const language_info& info_of(language id) noexcept;
[[nodiscard]] std::string_view name_of(language id) noexcept;

/// The language of that name, or `unknown`.
[[nodiscard]] language language_named(std::string_view name) noexcept;

/// What a file's name alone says.
struct name_verdict {
  language id{language::unknown};
  bool needs_content{false};  ///< Decide by `language_of_content`; `id` is the guess if that says nothing.
};

/// Threads: any. Cost: a few binary searches in static tables.
[[nodiscard]] name_verdict language_of_name(std::string_view file_name) noexcept;

/// Decides by shebang, XML declaration or tell-tale words in the first bytes of the file.
[[nodiscard]] language language_of_content(std::string_view file_name, std::string_view head) noexcept;

}  // namespace analysis
