// SPDX-License-Identifier: Apache-2.0
#include "layers/layer_rule.hpp"
#include "layers/licence_rule.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>

using spillway::testing::check_layers;
using spillway::tests::temp_dir;

namespace {

/// What the check says of one file with one include, empty if nothing.
std::string verdict(std::string_view file, const std::string& include) {
  const temp_dir tree;
  tree.write(file, "// SPDX-License-Identifier: Apache-2.0\n\n#include " + include + "\n");
  const auto findings = check_layers(tree.path());
  REQUIRE(findings.size() <= 1);
  return findings.empty() ? "" : to_string(findings.front());
}

}  // namespace

TEST_CASE("layers.a_planted_include_is_named_by_file_line_and_text") {
  CHECK(verdict("src/cache/tier.cpp", "<spillway/pool/pool.hpp>") ==
        "src/cache/tier.cpp:3: #include <spillway/pool/pool.hpp>: 'cache' stands on level 1 and 'pool' on level 1; includes only go down");
}

TEST_CASE("layers.includes_that_go_down_or_stay_are_allowed") {
  CHECK(verdict("include/spillway/cache/a.hpp", "<spillway/core/clock.hpp>") == "");
  CHECK(verdict("include/spillway/cache/a.hpp", "<spillway/cache/b.hpp>") == "");
  CHECK(verdict("src/db/a.cpp", "<spillway/health/health_check.hpp>") == "");
  CHECK(verdict("src/http/a.cpp", "<spillway/db/database.hpp>") == "");
  CHECK(verdict("src/db/a.cpp", "\"db/session_queue_core.hpp\"") == "");
  CHECK(verdict("src/db/a.cpp", "<vector>") == "");
  CHECK(verdict("src/cache/backends/redis/tier.cpp", "<spillway/redis/client.hpp>") == "");
  CHECK(verdict("include/spillway/testing/fake.hpp", "<spillway/pool/pool.hpp>") == "");
}

TEST_CASE("layers.includes_that_go_up_or_sideways_are_refused") {
  CHECK(verdict("src/core/a.cpp", "<spillway/health/health_check.hpp>") != "");
  CHECK(verdict("src/metrics/a.cpp", "<spillway/health/health_check.hpp>") != "");
  CHECK(verdict("src/db/a.cpp", "<spillway/redis/client.hpp>") != "");
  CHECK(verdict("src/db/a.cpp", "<spillway/http/http_server.hpp>") != "");
  CHECK(verdict("src/cache/backends/redis/tier.cpp", "<spillway/http/http_server.hpp>") != "");
  CHECK(verdict("src/core/a.cpp", "<spillway/testing/manual_clock.hpp>") != "");
  CHECK(verdict("src/core/a.cpp", "<spillway/nowhere/a.hpp>") != "");
  CHECK(verdict("src/core/a.cpp", "\"../../include/spillway/http/a.hpp\"").find("level 3") != std::string::npos);
}

TEST_CASE("layers.private_headers_stay_inside_their_module") {
  CHECK(verdict("src/health/a.cpp", "\"core/config_value.hpp\"").find("private to the module 'core'") != std::string::npos);
  CHECK(verdict("src/health/a.cpp", "\"../core/config_value.hpp\"").find("private to the module 'core'") != std::string::npos);
  CHECK(verdict("src/core/a.cpp", "\"../../tests/a.hpp\"").find("leaves the tree") != std::string::npos);
  CHECK(verdict("src/db/backends/sqlite/a.cpp", "\"../../row_data.hpp\"") == "");
  CHECK(verdict("include/spillway/core/a.hpp", "\"core/config_value.hpp\"").find("private one") != std::string::npos);
}

TEST_CASE("layers.engine_headers_are_known_to_their_backend_alone") {
  CHECK(verdict("src/db/backends/sqlite/driver.cpp", "<sqlite3.h>") == "");
  CHECK(verdict("src/db/database.cpp", "<sqlite3.h>") != "");
  CHECK(verdict("include/spillway/db/sqlite.hpp", "<sqlite3.h>") != "");
  CHECK(verdict("src/db/backends/postgres/pg_channel.hpp", "<libpq-fe.h>") == "");
  CHECK(verdict("src/db/database.cpp", "<libpq-fe.h>") != "");
  CHECK(verdict("include/spillway/db/postgres.hpp", "<libpq-fe.h>") != "");
  CHECK(verdict("include/spillway/db/pqxx_lease.hpp", "<pqxx/pqxx>") == "");
  CHECK(verdict("include/spillway/db/postgres.hpp", "<pqxx/pqxx>") != "");
  CHECK(verdict("include/spillway/db/pqxx_lease.hpp", "<libpq-fe.h>") != "");
  CHECK(verdict("src/metrics/a.cpp", "<prometheus/registry.h>") == "");
  CHECK(verdict("include/spillway/metrics/a.hpp", "<prometheus/registry.h>") != "");
  CHECK(verdict("src/jobs/backends/redis/store.cpp", "<hiredis/hiredis.h>") == "");
  CHECK(verdict("src/jobs/store.cpp", "<hiredis/hiredis.h>") != "");
  CHECK(verdict("src/core/a.cpp", "<fmt/format.h>") == "");
  CHECK(verdict("include/spillway/core/a.hpp", "<fmt/format.h>") != "");
  CHECK(verdict("src/http/a.cpp", "<spdlog/spdlog.h>") != "");
  CHECK(verdict("include/spillway/http/a.hpp", "<boost/beast/http.hpp>") != "");
}

TEST_CASE("layers.comments_and_strings_are_not_includes") {
  const temp_dir tree;
  tree.write("src/core/a.cpp", "// #include <spillway/http/a.hpp>\n/*\n#include <spillway/http/a.hpp>\n*/\nauto s = R\"(\n#include <sqlite3.h>\n)\";\n");
  CHECK(check_layers(tree.path()).empty());
}

TEST_CASE("layers.a_folder_that_is_no_module_is_named") {
  const temp_dir tree;
  tree.write("src/misc/a.cpp", "");
  const auto findings = check_layers(tree.path());
  REQUIRE(findings.size() == 1);
  CHECK(to_string(findings.front()).find("src/misc/a.cpp:1: misc") == 0);
}

TEST_CASE("licence.a_source_file_without_the_line_is_named") {
  const temp_dir tree;
  tree.write("src/core/good.cpp", "// SPDX-License-Identifier: Apache-2.0\n");
  tree.write("scripts/good", "#!/usr/bin/env bash\n# SPDX-License-Identifier: Apache-2.0\n");
  tree.write("src/core/late.cpp", "#include <vector>\n// SPDX-License-Identifier: Apache-2.0\n");
  tree.write("scripts/bad", "#!/usr/bin/env bash\nset -e\n");
  tree.write("docs/page.md", "# Page\n");
  const auto findings = spillway::testing::check_licence_lines(tree.path());
  REQUIRE(findings.size() == 2);
  CHECK(findings[0].file == "scripts/bad");
  CHECK(findings[1].file == "src/core/late.cpp");
}
