// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/service_config.hpp"

#include "support/temp_dir.hpp"

#include <spillway/core/config_reader.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace analysis;

TEST_CASE("service_config.reads_a_file") {
  const spillway::tests::temp_dir dir;
  const auto file = dir.write("c.json", R"({"root": "/srv", "http": {"port": 0, "max_body": "1MiB", "idle_timeout": "2s"}, "analysis": {"threads": 3}})");
  const auto config = load_service_config(file);
  CHECK(config.root == "/srv");
  CHECK(config.port == 0);
  CHECK(config.max_body_bytes == 1024 * 1024);
  CHECK(config.idle_timeout == std::chrono::seconds{2});
  CHECK(config.analysis_threads == 3);
  CHECK_FALSE(config.data_dir.empty());
}

TEST_CASE("service_config.every_wrong_value_is_reported_at_once") {
  const spillway::tests::temp_dir dir;
  const auto file = dir.write("c.json", R"({"http": {"host": "localhost", "port": 65536, "threads": -1, "idle_timeout": "0s"}, "analysis": {"concurrent": 0, "max_file_bytes": "1"}, "rot": "/", "access_log": "/nowhere/at/all.log"})");
  try {
    (void)load_service_config(file);
    FAIL("accepted");
  } catch (const spillway::config_error& failure) {
    CHECK(failure.problems().size() == 8);
    for (const auto* part : {"http.host is 'localhost'; allowed: an IPv4", "access_log is '/nowhere/at/all.log'; allowed: -", "http.port is '65536'", "http.threads is '-1'", "[100ms, 1h]", "[1, 64]", "[1KiB, 1TiB]", "did you mean root?"}) {
      CAPTURE(part);
      CHECK(std::ranges::any_of(failure.problems(), [&](const auto& problem) { return problem.find(part) != std::string::npos; }));
    }
  }
}
