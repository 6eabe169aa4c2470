// SPDX-License-Identifier: Apache-2.0
#include "analyzer/language.hpp"

#include "counting.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace analysis;

TEST_CASE("language.is_told_by_the_name") {
  using enum language;
  const std::vector<std::pair<const char*, language>> table{
      {"a.c", c},           {"a.cpp", cpp},          {"a.C", cpp},          {"a.h", c_header},
      {"a.hpp", c_header},  {"a.ipp", cpp},          {"a.inl", cpp},        {"a.py", python},
      {"a.js", java_script}, {"a.mjs", java_script}, {"a.jsx", jsx},        {"a.tsx", type_script},
      {"a.java", java},     {"a.go", go},            {"a.rs", rust},        {"a.cs", c_sharp},
      {"a.kt", kotlin},     {"a.swift", swift},      {"a.scala", scala},    {"a.rb", ruby},
      {"a.php", php},       {"a.pl", perl},          {"a.lua", lua},        {"a.sh", shell},
      {"a.bash", bash},     {"a.sql", sql},          {"a.html", html},      {"a.xml", xml},
      {"a.css", css},       {"a.scss", scss},        {"a.less", less},      {"a.json", json},
      {"a.yml", yaml},      {"a.toml", toml},        {"a.ini", ini},        {"a.md", markdown},
      {"a.cmake", cmake},   {"a.proto", protobuf},   {"a.hs", haskell},     {"a.s", assembly},
      {"a.txt", text},      {"CMakeLists.txt", cmake}, {"Makefile", make},  {"makefile", make},
      {"MAKEFILE", make},   {"Dockerfile", dockerfile}, {"Dockerfile.dev", dockerfile}, {"Rakefile", ruby},
      {"pom.xml", maven},   {"b/c.d/a.config.cmake.in", cmake}, {".a.py", python},
  };
  for (const auto& [name, id] : table) {
    CAPTURE(name);
    CHECK(language_of_name(name).id == id);
    CHECK_FALSE(language_of_name(name).needs_content);
  }
}

TEST_CASE("language.is_not_told_by_names_that_hold_no_source") {
  for (const char* name : {"README", "AUTHORS", "a.py~", "a.png", "a.so", "a.tar.gz", "a.csv", "a.1", "config.h.in", ".gitignore", ""}) {
    CAPTURE(name);
    CHECK(language_of_name(name).id == language::unknown);
    CHECK_FALSE(language_of_name(name).needs_content);
  }
}

TEST_CASE("language.is_told_by_the_content_where_the_name_does_not") {
  using enum language;
  struct row {
    const char* name;
    const char* head;
    language id;
  };
  const std::vector<row> table{
      {"run", "#!/bin/sh\n", shell},
      {"run", "#! /usr/bin/env python3\nx", python},
      {"run", "#!/usr/bin/perl -w\r\n", perl},
      {"run", "#!/usr/bin/env\n", unknown},
      {"run", "#!", unknown},
      {"run", "#!/opt/unheard-of", unknown},
      {"run.unheard", "#!/bin/bash\n", bash},
      {"a.unheard", "<?xml version=\"1.0\"?>\n<a/>", xml},
      {"a.unheard", "\n<?xml version=\"1.0\"?>", unknown},
      {"a.ts", "const a = 1", type_script},
      {"a.ts", "<?xml version=\"1.0\"?>\n<!DOCTYPE TS>\n<TS version=\"2.1\">", qt_linguist},
      {"a.inc", "<?php echo 1;", php},
      {"a.inc", "mov a, b", unknown},
      {"a.m", "#import <a.h>\n", objective_c},
      {"a.m", "% a\nb = 1;", matlab},
      {"a.m", "", unknown},
      {"run", "", unknown},
  };
  for (const row& expected : table) {
    CAPTURE(expected.name);
    CAPTURE(expected.head);
    CHECK(language_of_name(expected.name).needs_content);
    CHECK(language_of_content(expected.name, expected.head) == expected.id);
  }
}

TEST_CASE("language.names_lead_back_to_the_language") {
  for (const language_info& info : all_languages()) {
    CHECK(language_named(info.name) == info.id);
    CHECK(name_of(info.id) == info.name);
  }
  CHECK(language_named("C/C++ Header") == language::c_header);
  CHECK(language_named("no such language") == language::unknown);
}
