// SPDX-License-Identifier: Apache-2.0
#include "analyzer/import_scanner.hpp"

#include "counting.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace analysis;

namespace {

struct importing_text {
  language id;
  std::string text;
  std::vector<std::string> targets;
};

std::vector<std::string> targets_of(const std::vector<import_edge>& edges) {
  std::vector<std::string> targets;
  for (const import_edge& edge : edges) targets.push_back(edge.target);
  return targets;
}

}  // namespace

TEST_CASE("import_scanner.finds_what_each_language_imports") {
  using enum language;
  const std::vector<importing_text> table{
      {cpp, "#include <a/b.h>\n  #  include \"c.h\" // d\n#include_next <e.h>\n#import \"f.h\"\n#include MACRO\n#includes <g>\n",
       {"a/b.h", "c.h", "e.h", "f.h"}},
      {cpp, "/* x */ #include <a.h>\n// #include <b.h>\n/*\n#include <c.h>\n*/\nauto x = R\"(\n#include <d.h>\n)\";\n", {"a.h"}},
      {c, "#include <unclosed\n#include \"also unclosed\n#include\n#\n", {}},
      {python, "import a, b.c as d\nfrom e.f import g\nfrom . import h\n  from .i import (\n  j)\nimportant = 1\nfrom_x()\nfrom k\n",
       {"a", "b.c", "e.f", ".", ".i"}},
      {python, "\"\"\"\nimport a\n\"\"\"\n# import b\nx = 'import c'\nimport d # import e\n", {"d"}},
      {java_script, "import a from 'a'\nimport 'b'\nimport {\n c\n} from\n 'c'\nexport * from \"d\"\nconst e = require ( 'e' )\nimport('f')\n",
       {"a", "b", "c", "d", "e", "f"}},
      {java_script, "// import 'a'\nx.require('b'); Array.from('c'); $require('d'); notfrom 'e'\nfrom('f'); `import 'g'`; require(h)\n", {}},
      {type_script, "import type { A } from './a'\nimport b = require('./b')\n", {"./a", "./b"}},
      {java, "import a.b.C;\nimport static d.E.*;\n  import f.G; // h\nimportant();\n", {"a.b.C", "d.E.*", "f.G"}},
      {kotlin, "import a.b as c\nimport d.*\n", {"a.b", "d.*"}},
      {scala, "import a.b.{c, d}\nimport e._\n", {"a.b", "e._"}},
      {swift, "import A\nimport struct B.C\n@testable import D\n", {"A", "B.C", "D"}},
      {d, "import std.stdio : writeln;\n", {"std.stdio"}},
      {protobuf, "import \"a.proto\";\nimport public \"b.proto\";\n", {"a.proto", "b.proto"}},
      {go, "import \"a\"\nimport b \"c\"\nimport (\n  \"d\"\n  e \"f\" // \"x\"\n  . \"g\"\n  _ \"h\"\n)\nvar i = \"j\"\nimport `k`\n",
       {"a", "c", "d", "f", "g", "h", "k"}},
      {rust, "use a::b;\npub use c::{d, e};\npub(crate) use f as g;\nmod h;\nmod i { }\nextern crate j;\nuser();\n",
       {"a::b", "c", "f", "h", "j"}},
      {c_sharp, "using A.B;\nusing static C;\nglobal using D;\nusing E = F.G;\nusing (var h = i) {}\nusing var j = k;\n",
       {"A.B", "C", "D", "F.G"}},
      {ruby, "require 'a'\nrequire_relative(\"b\")\n# require 'c'\nrequired 'd'\n", {"a", "b"}},
      {php, "<?php\nuse A\\B;\nuse function C\\d;\nrequire_once __DIR__ . '/e.php';\ninclude('f.php');\n// use G;\n",
       {"A\\B", "C\\d", "/e.php", "f.php"}},
      {perl, "use strict;\nuse A::B qw(c);\nrequire 'd.pl';\nuse 5.010;\nuse v5.36;\n", {"strict", "A::B", "d.pl"}},
      {lua, "local a = require 'a'\nlocal b = require(\"b\")\n-- require 'c'\n", {"a", "b"}},
      {shell, ". ./a.sh\nsource \"b.sh\" x\n./c.sh\n# . d\n", {"./a.sh", "b.sh"}},
      {haskell, "import A.B (c)\nimport qualified D as E\n", {"A.B", "D"}},
      {dart, "import 'a.dart' as b;\nexport \"c.dart\";\npart 'd.dart';\n", {"a.dart", "c.dart", "d.dart"}},
      {scss, "@use \"a\";\n@import url(b.css);\n@import 'c', 'd';\n@media x {}\n", {"a", "b.css", "c"}},
      {cmake, "include(a)\nadd_subdirectory( \"b\" )\nfind_package(C REQUIRED)\nset(d)\n", {"a", "b", "C"}},
      {make, "include a.mk b.mk\n-include c.mk # d\n", {"a.mk", "b.mk", "c.mk"}},
      {julia, "using A, B: c\ninclude(\"d.jl\")\n", {"A", "B", "d.jl"}},
  };
  for (const importing_text& row : table) {
    CAPTURE(row.id);
    CAPTURE(row.text);
    CHECK(targets_of(tests::imports(row.id, row.text)) == row.targets);
    CHECK(targets_of(tests::imports(row.id, row.text, {1})) == row.targets);
  }
}

TEST_CASE("import_scanner.tells_kind_and_line") {
  using enum edge_kind;
  CHECK(tests::imports(language::cpp, "\n#include <a>\r\n\r\n#include \"b\"\r\n") ==
        std::vector<import_edge>{{angled_include, 2, "a"}, {quoted_include, 4, "b"}});
  CHECK(tests::imports(language::rust, "use a;\nmod b;\n") == std::vector<import_edge>{{import, 1, "a"}, {submodule, 2, "b"}});
}

TEST_CASE("import_scanner.keeps_no_more_edges_than_allowed") {
  std::string text;
  for (int i = 0; i < 10; ++i) text += "#include \"a" + std::to_string(i) + "\"\n";
  import_scanner scanner(language::cpp, {.edges_per_file = 3, .target_bytes = 512});
  line_counter counter(language::cpp, &scanner);
  counter.feed(text);
  counter.finish();
  CHECK(scanner.truncated());
  CHECK(targets_of(scanner.edges()) == std::vector<std::string>{"a0", "a1", "a2"});
}

TEST_CASE("import_scanner.cuts_a_long_target") {
  import_scanner scanner(language::cpp, {.edges_per_file = 3, .target_bytes = 4});
  line_counter counter(language::cpp, &scanner);
  counter.feed("#include \"abcd\"\n#include \"abcde\"\n");
  counter.finish();
  CHECK(scanner.truncated());
  CHECK(targets_of(scanner.edges()) == std::vector<std::string>{"abcd", "abcd"});
}

TEST_CASE("import_scanner.ignores_a_line_that_is_too_long_to_be_an_import") {
  const std::string name(100'000, 'x');
  CHECK(tests::imports(language::cpp, "#include \"" + name + "\"\n").empty());
  CHECK(tests::imports(language::java_script, "import '" + name + "'\n", {1000}).size() == 1);
}
