// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/service_config.hpp"

#include "support/temp_dir.hpp"

#include <spillway/core/config_reader.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

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

TEST_CASE("service_config.reads_where_the_database_is") {
  const spillway::tests::temp_dir dir;
  const auto file = dir.write("c.json", R"({"database": {"url": "postgresql://a@h/d", "keep_months": 12, "max_replica_lag": "3s"},
                                            "replica_urls": ["postgresql://a@i/d", "postgresql://a@j/d"]})");
  const auto config = load_service_config(file);
  CHECK(config.database_url == "postgresql://a@h/d");
  CHECK(config.replica_urls == std::vector<std::string>{"postgresql://a@i/d", "postgresql://a@j/d"});
  CHECK(config.keep_months == 12);
  CHECK(config.max_replica_lag == std::chrono::seconds{3});
  const auto text = dir.write("d.json", R"({"database": {"url": "postgres://h/d"}, "replica_urls": "postgres://i/d, postgres://j/d"})");
  CHECK(load_service_config(text).replica_urls == std::vector<std::string>{"postgres://i/d", "postgres://j/d"});
  CHECK(load_service_config(dir.write("e.json", R"({"database": {"url": "postgres://h/d"}, "replica_urls": ""})")).replica_urls.empty());
  CHECK(load_service_config("").database_url.empty());
}

TEST_CASE("service_config.a_wrong_database_is_explained_and_no_password_shown") {
  const spillway::tests::temp_dir dir;
  const auto problems_of = [&](const char* text) {
    try {
      (void)load_service_config(dir.write("c.json", text));
    } catch (const spillway::config_error& failure) {
      CHECK(std::string{failure.what()}.find("sesame") == std::string::npos);
      return failure.problems();
    }
    FAIL("accepted");
    return std::vector<std::string>{};
  };
  const auto says = [&](const char* text, const char* part) {
    CAPTURE(text);
    const auto problems = problems_of(text);
    REQUIRE(problems.size() == 1);
    CAPTURE(problems[0]);
    CHECK(problems[0].find(part) != std::string::npos);
  };
  says(R"({"database": {"url": "mysql://a:sesame@h/d"}})", "database.url does not begin with postgresql:// or postgres://; allowed: a URL such as");
  says(R"({"database": {"url": "host=h password=sesame"}})", "database.url does not begin with");
  says(R"({"database": {"url": "postgresql://a:open sesame@h/d"}})", "database.url contains a space");
  says(R"({"replica_urls": "postgresql://a:sesame@h/d"})", "replica_urls is given without SPILLWAY_DATABASE_URL; allowed: ");
  says(R"({"database": {"url": "postgresql://h/d"}, "replica_urls": "postgresql://i/d,,postgresql://j/d"})", "replica_urls: number 2 does not begin with");
  says(R"({"database": {"keep_months": -1}})", "database.keep_months is '-1'; allowed: a whole number in [0, 1200]");
  says(R"({"database": {"max_replica_lag": "1ms"}})", "[100ms, 1d]");
}
