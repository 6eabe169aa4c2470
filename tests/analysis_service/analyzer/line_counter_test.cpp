// SPDX-License-Identifier: Apache-2.0
#include "counting.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

using namespace analysis;
using analysis::tests::count;

namespace {

struct counted_text {
  language id;
  const char* what;
  std::string text;
  std::uint64_t code;
  std::uint64_t comment;
  std::uint64_t blank;
};

void check_all(const std::vector<counted_text>& table) {
  for (const counted_text& row : table) {
    const line_counts counts = count(row.id, row.text);
    CAPTURE(row.what);
    CAPTURE(row.text);
    CAPTURE(row.id);
    CHECK(counts.code == row.code);
    CHECK(counts.comment == row.comment);
    CHECK(counts.blank == row.blank);
    const std::vector<std::size_t> byte_by_byte{1};
    CHECK(count(row.id, row.text, byte_by_byte) == counts);
  }
}

}  // namespace

TEST_CASE("line_counter.counts_lines_of_any_text") {
  using enum language;
  check_all({
      {cpp, "empty file", "", 0, 0, 0},
      {cpp, "one line without terminator", "int a;", 1, 0, 0},
      {cpp, "one blank without terminator", " ", 0, 0, 1},
      {cpp, "only a line feed", "\n", 0, 0, 1},
      {cpp, "blanks of all kinds", " \t\v\f\r\n", 0, 0, 1},
      {cpp, "CRLF", "int a;\r\n\r\n// b\r\n", 1, 1, 1},
      {cpp, "a lone carriage return does not end a line", "int a;\r// b\rint c;\n", 1, 0, 0},
      {cpp, "byte order mark", "\xEF\xBB\xBF// a\nint b;\n", 1, 1, 0},
      {cpp, "byte order mark and a blank line", "\xEF\xBB\xBF\nint b;\n", 1, 0, 1},
      {cpp, "nothing but a byte order mark", "\xEF\xBB\xBF", 0, 0, 1},
      {text, "text has no comments", "# a\n\n// b\n", 2, 0, 1},
      {json, "JSON has no comments", "{\n\"a\": \"// b\"\n}\n", 3, 0, 0},
  });
}

TEST_CASE("line_counter.measures_the_longest_line_without_its_terminator") {
  const auto longest = [](const std::string& text) {
    const line_counts counts = count(language::cpp, text);
    return std::pair{counts.longest_line_bytes, counts.longest_line_number};
  };
  CHECK(longest("") == std::pair<std::uint64_t, std::uint64_t>{0, 0});
  CHECK(longest("\n\n") == std::pair<std::uint64_t, std::uint64_t>{0, 1});
  CHECK(longest("a\nbbb\r\ncc\n") == std::pair<std::uint64_t, std::uint64_t>{3, 2});
  CHECK(longest("aa\nbbbb") == std::pair<std::uint64_t, std::uint64_t>{4, 2});
  CHECK(longest("aaa\nbbb\n") == std::pair<std::uint64_t, std::uint64_t>{3, 1});
  CHECK(longest("aa\nbb\r\nc") == std::pair<std::uint64_t, std::uint64_t>{2, 1});
  CHECK(longest("\xEF\xBB\xBF" "a\nbb\n") == std::pair<std::uint64_t, std::uint64_t>{2, 2});
  CHECK(longest(std::string(200'000, 'x') + "\ny") == std::pair<std::uint64_t, std::uint64_t>{200'000, 1});
}

TEST_CASE("line_counter.counts_c_and_cpp") {
  using enum language;
  check_all({
      {c, "line and block comments", "// a\n/* b\n   c */\nint d; // e\n", 1, 3, 0},
      {c, "a blank line inside a comment is blank", "/* a\n\n b */\n", 0, 2, 1},
      {c, "code after a comment", "/* a */ int b;\n", 1, 0, 0},
      {c, "comment mark in a string", "char* a = \"/*\";\nint b;\nchar* c = \"*/\";\n", 3, 0, 0},
      {c, "string mark in a comment", "// \"\nint a;\n/* \" */\nint b;\n", 2, 2, 0},
      {c, "escaped quotes", "char* a = \"\\\"/*\";\nint b;\n", 2, 0, 0},
      {c, "escaped backslash before the quote", "char* a = \"\\\\\"; /*\n*/\n", 1, 1, 0},
      {c, "quote as a character", "char a = '\"'; /* b\n*/ char c = '\\'';\n", 2, 0, 0},
      {c, "slash star slash does not close", "/*/ a\nb */\nint c;\n", 1, 2, 0},
      {c, "two slashes in a block comment", "/* a // b */ int c;\n", 1, 0, 0},
      {c, "a line comment goes on after a backslash", "// a \\\nint b;\nint c;\n", 1, 2, 0},
      {c, "and after a backslash and CRLF", "// a \\\r\nint b;\r\nint c;\r\n", 1, 2, 0},
      {c, "a string goes on after a backslash", "char* a = \"b \\\n/* c\";\nint d;\n", 3, 0, 0},
      {c, "a string ends with its line", "#error don't\n/* a */\n", 1, 1, 0},
      {c, "a comment in a spliced macro is part of it", "#define A \\\n/**/ \\\n  b \\\n/* c */\n\n", 4, 0, 1},
      {c, "an unclosed comment reaches the end", "int a;\n/* b\nc\n", 1, 2, 0},
      {cpp, "digit separators", "int a = 1'000; /* b\n*/\nint c = 0x1'f'f;\n", 2, 1, 0},
      {cpp, "prefixed characters", "auto a = u8'\"'; auto b = L'\"';\n/* c */\n", 1, 1, 0},
      {cpp, "raw string", "auto a = R\"(\n// b\n\" /* c\n)\"; // d\n// e\n", 4, 1, 0},
      {cpp, "raw string with a delimiter", "auto a = u8R\"x-y( )\" // b\n)x-y\";\n// c\n", 2, 1, 0},
      {cpp, "a blank line inside a raw string is blank", "auto a = R\"(\n\n)\";\n", 2, 0, 1},
      {cpp, "an identifier ending in R is no prefix", "auto a = FOOR\"(\";\n// b\n", 1, 1, 0},
      {cpp, "a delimiter longer than allowed is no raw string", "a = R\"12345678901234567(\";\n// b\n", 1, 1, 0},
      {c_header, "no nesting", "/* /* */ int a;\n", 1, 0, 0},
  });
}

TEST_CASE("line_counter.counts_languages_like_c") {
  using enum language;
  check_all({
      {java, "text block", "var a = \"\"\"\n  // b\n  \"c\" /* d\n  \"\"\";\n// e\n", 4, 1, 0},
      {c_sharp, "verbatim string", "var a = @\"\\\"; // b\nvar c = @\"d \"\"\n// e\n\"; /* f\n*/\n", 4, 1, 0},
      {c_sharp, "interpolated verbatim strings", "var a = $@\"\n/*\"; var b = @$\"\n\";\n// c\n", 3, 1, 0},
      {c_sharp, "raw string", "var a = \"\"\"\"\n  \"\"\" /* b\n  \"\"\"\";\n// c\n", 3, 1, 0},
      {go, "raw string and rune", "a := `\n// b\n\\`\nc := '`' // d\n// e\n", 4, 1, 0},
      {rust, "nested comments", "/* a /* b */ c\n d */ fn e() {}\n", 1, 1, 0},
      {rust, "lifetimes are not characters", "fn a<'b>(c: &'b str) -> char { '\"' }\n// d\n", 1, 1, 0},
      {rust, "raw strings", "let a = r#\"\n// \" b\n\"#; let c = br\"\\\";\n// d\n", 3, 1, 0},
      {rust, "strings span lines", "let a = \"b\n// c\n\";\n", 3, 0, 0},
      {rust, "escaped characters", "let a = '\\''; let b = '\\u{1F600}'; // c\n/* d */\n", 1, 1, 0},
      {kotlin, "raw string and nesting", "val a = \"\"\"\n/* b \"\n\"\"\"\n/* /* */ c */\n", 3, 1, 0},
      {swift, "multi-line and raw strings", "let a = \"\"\"\n// b\n\"\"\"\nlet c = #\"\\\"#; /* /* d */\n*/\n", 4, 1, 0},
      {swift, "raw multi-line string", "let a = ##\"\"\"\n\"\"\"#\n// b\n\"\"\"##\n// c\n", 4, 1, 0},
      {scala, "nesting and symbols", "val a = 'b // '\n/* /* */\n*/\nval c = '\"'\n// d\n", 2, 3, 0},
      {dart, "both triple quotes", "var a = '''\n// b\n''' + \"\"\"\n/*\n\"\"\";\n", 5, 0, 0},
      {groovy, "both triple quotes", "a = '''\n// b\n'''\n/* c */\n", 3, 1, 0},
      {d, "three kinds of comments", "/+ a /+ b +/\n+/ int c; // d\nauto e = `/+`;\n", 2, 1, 0},
      {protobuf, "comments", "// a\nmessage b { /* c */ }\n", 1, 1, 0},
      {css, "no line comments", "a { b: url(//c); }\n// d\n/* e */\nf::after { content: \"/*\"; }\n", 3, 1, 0},
      {scss, "line comments", "// a\n$b: 'c /*';\n/* d */\n", 1, 2, 0},
      {sql, "two kinds of comments", "-- a\nselect 'it''s -- b', '/*' /* c\n*/ from \"d--\";\n/* e */\n", 2, 2, 0},
      {zig, "line comments only", "// a\nconst b = \"//\"; // c\n", 1, 1, 0},
  });
}

TEST_CASE("line_counter.counts_java_script") {
  using enum language;
  check_all({
      {java_script, "comment marks in strings", "a = '/*'; b = \"//\";\nc('**/*.js')\n// d\n", 2, 1, 0},
      {java_script, "a template spans lines", "a = `\n// b\n/* c\n`; // d\n// e\n", 4, 1, 0},
      {java_script, "code in a template", "a = `${b /* ` */}`; // c\n// d\n", 1, 1, 0},
      {java_script, "templates nest", "a = `x ${ b ? `'${c}` : {d: '}'} } /*`;\n// e\n", 1, 1, 0},
      {java_script, "escaped back quote and dollar", "a = `\\` \\${ /*`;\n// b\n", 1, 1, 0},
      {java_script, "regular expression with a quote", "a = /'/; /* b */\n// c\n", 1, 1, 0},
      {java_script, "regular expression with a class", "return /[/*\"]/.test(a)\n// b\n", 1, 1, 0},
      {java_script, "regular expression with an escape", "x(/\\/*'/)\n/* a */\n", 1, 1, 0},
      {java_script, "division is none", "a = b / c; /* d\n*/ e = f / 2 // '\n// g\n", 2, 1, 0},
      {java_script, "a shebang is code", "#!/usr/bin/env node\n// a\n", 1, 1, 0},
      {type_script, "types", "const a: Array<string> = [] // b\n/** c\n */\n", 1, 2, 0},
      {jsx, "closing tags are no regular expressions", "<a>b</a> /* c\n*/\n{/* d */}\n", 2, 1, 0},
      {vue, "markup and script", "<!-- a\n-->\n<p>don't</p>\n<script>\n// b\n/* c */\n</script>\n", 3, 4, 0},
  });
}

TEST_CASE("line_counter.counts_python") {
  using enum language;
  check_all({
      {python, "docstrings are comments", "def a():\n  \"\"\"b\n\n  c\"\"\"\n  return 1 # d\n", 2, 2, 1},
      {python, "text around them is code", "a = '''b\nc\nd'''.strip()\n", 2, 1, 0},
      {python, "a u prefix belongs to them", "u\"\"\"a\"\"\"\nr\"\"\"b\"\"\"\n", 1, 1, 0},
      {python, "the other quotes inside", "\"\"\" ''' \" \"\"\"\na = 1\n", 1, 1, 0},
      {python, "escaped quotes inside", "\"\"\" \\\"\"\" a\n# b\n\"\"\"\nc = 1\n", 1, 3, 0},
      {python, "three quotes in a string", "a = '\"\"\"'\nb = 1\n", 2, 0, 0},
      {python, "three quotes in a comment", "# \"\"\"\na = 1\nb = 2 # '''\nc = 3\n", 3, 1, 0},
      {python, "hash in a string", "a = \"# b\" \\\n  '#'\n# c\n", 2, 1, 0},
      {python, "a shebang is code", "#!/usr/bin/python3\n# a\n", 1, 1, 0},
      {python, "even after blank lines", "\n#!/bin/sh\n#!/bin/sh\n", 1, 1, 1},
      {python, "an empty string is not the start of three", "a = \"\"\nb = ''\n\"\"\"c\"\"\"\n", 2, 1, 0},
  });
}

TEST_CASE("line_counter.counts_languages_by_their_line_starts") {
  using enum language;
  check_all({
      {shell, "hash", "#!/bin/sh\n# a\nb=${c#d} # e\n\n", 2, 1, 1},
      {bash, "quotes do not matter", "echo \"\n# a\n\"\n", 2, 1, 0},
      {make, "hash", "a: b # c\n\t# d\n# e \\\nf\n", 2, 2, 0},
      {yaml, "hash", "a: b # c\n# d\n- '#'\n", 2, 1, 0},
      {toml, "strings", "a = '''\n# b\n'''\n# c\nd = \"#\"\n", 4, 1, 0},
      {dockerfile, "hash", "# a\nFROM b\n", 1, 1, 0},
      {ini, "semicolon only", "; a\n# b\nc = d ; e\n", 2, 1, 0},
      {ruby, "block comment", "=begin\na\n\n=end b\nc # d\n=begin of text\n", 1, 4, 1},
      {ruby, "only in column zero", "a = 1\n  =begin\nb\n", 3, 0, 0},
      {perl, "documentation", "a;\n=head1 B\n\nc\n=cut d\ne; # f\n=pod\ng\n", 2, 5, 1},
      {perl, "documentation needs a letter", "a\n= b\n==\n", 3, 0, 0},
      {perl, "the end of the program", "a;\n__END__\nb\n\n=head1\n", 1, 3, 1},
      {dos_batch, "two kinds", "rem a\nREM b\n:: c\necho d\n", 1, 3, 0},
      {vim, "quote", "\" a\nlet b = \"c\"\n", 1, 1, 0},
      {assembly, "many kinds", "; a\n# b\n@ c\n// d\n/* e\n*/ mov f, g ; h\n* i\n", 1, 6, 0},
      {tex, "percent", "% a\nb % c\n", 1, 1, 0},
      {m4, "dnl", "dnl a\ndnl\nb dnl c\n dnl d\n", 2, 2, 0},
      {po_file, "flags are code", "#: a\n#, fuzzy\nmsgid \"b\"\n", 2, 1, 0},
      {diff, "file names", "--- a\n+++ b\n@@ 1 @@\n c\n-d\n+e\n", 4, 2, 0},
      {rest, "an indented block after two dots", ".. a\n   b\n\n   c\nd\n.. e\n", 1, 4, 1},
  });
}

TEST_CASE("line_counter.counts_markup_and_functional_languages") {
  using enum language;
  check_all({
      {html, "comment", "<!-- a\n\nb -->\n<p>c</p> <!-- d -->\n<!-- e --><br>\n", 2, 2, 1},
      {xml, "comment", "<?xml version=\"1.0\"?>\n<!-- - -- a\n-->\n<b/>\n", 2, 2, 0},
      {markdown, "comments", "# a\n<!-- b\n-->\n[//]: # (c)\n[comment]: # (d)\ne\n", 2, 4, 0},
      {php, "text outside the tags is code", "<p>don't</p>\n<?php\n// a\n# b\n$c = \"/*\"; ?>\n<!-- d -->\n// e\n", 5, 2, 0},
      {php, "a line comment ends at the tag", "<?php // a ?> it's\n<?php /* b */ ?>\n", 2, 0, 0},
      {php, "heredoc", "<?php $a = <<<EOT\n// b \"\nEOTX\n  EOT;\n# c\n", 4, 1, 0},
      {php, "nowdoc", "<?php $a = <<<'X'\n/* b\nX;\n# c\n", 3, 1, 0},
      {php, "attributes are code", "<?php\n#[A]\n# b\n", 2, 1, 0},
      {lua, "long brackets", "--[[ a\nb ]] c = 1 -- d\n--[==[ ]]\n]==] e = [[\n-- f\n]]\n-- g\n", 4, 3, 0},
      {haskell, "nesting and operators", "{- a {- b -}\n-}\n--> c\n-- d\nf x = x --e\n{-# LANGUAGE X #-}\n", 3, 3, 0},
      {haskell, "names with quotes", "foldl' '\"' a -- b\n-- c\n", 1, 1, 0},
      {ocaml, "nesting", "(* a (* b *)\n*) let c = \"(*\"\n(* d *)\n", 1, 2, 0},
      {lisp, "three kinds", "; a\n#| b #| c |#\n|# (d \"; e\n\") #\\; \\\" ; f\n", 2, 2, 0},
      {cmake, "bracket comment", "#[[ a\nb ]]\n#[=[ c ]] ]=] d()\n# e\nf(\"\n# g\n\")\n", 4, 3, 0},
      {f_sharp, "the operator in parentheses", "let a = (*) 1 2\n(* b\n*)\n// c\n", 1, 3, 0},
      {pascal, "directives are code", "{$IFDEF A}\n{ b }\n(* c\n*)\nd := '{'; // e\n", 2, 3, 0},
      {sql, "blank lines in strings", "select '\n\n'\n", 2, 0, 1},
      {julia, "nested block comment", "#= a #= b =#\n=# c = 'd' # e\n", 1, 1, 0},
      {handlebars, "two kinds", "{{!-- a }}\n--}}\n{{! b }}\n{{c}}\n", 1, 3, 0},
  });
}
