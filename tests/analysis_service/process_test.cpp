// SPDX-License-Identifier: Apache-2.0
// The program as a user runs it: started, signalled, killed.
#include "server_process.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <latch>
#include <string>
#include <thread>
#include <vector>

using namespace analysis::tests;
namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

child_process analyze(const temp_dir& dir, std::vector<std::string> arguments) {
  std::vector<std::string> command{ANALYSIS_SERVICE_PROGRAM, "analyze"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return child_process{command, {"XDG_STATE_HOME=" + dir.path().string()}};
}

}  // namespace

TEST_CASE("analysis_service_process.sigterm_under_load_loses_no_request") {
  const temp_dir dir;
  fs::create_directories(dir.path() / "root");
  server_process server{dir, {}};
  std::atomic<int> answered{0};
  std::atomic<int> lost{0};
  std::latch warm{8};
  std::vector<std::jthread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      http_client client{server.port()};
      for (int i = 0;; ++i) {
        if (i == 50) warm.count_down();
        const auto answer = client.request("GET", c % 2 == 0 ? "/v1/projects" : "/readyz");
        if (!answer) {
          ++lost;
          return;
        }
        ++answered;
        if (const auto close = answer->headers.find("connection"); close != answer->headers.end() && close->second == "close") return;
      }
    });
  }
  warm.wait();
  server.child().signal(SIGTERM);
  clients.clear();
  CHECK(server.child().wait() == 0);
  CHECK(lost == 0);
  CHECK(answered >= 8 * 50);
}

TEST_CASE("analysis_service_process.its_metrics_pass_promtool") {
  const temp_dir dir;
  fs::create_directories(dir.path() / "root");
  const server_process server{dir, {}};
  http_client client{server.port()};
  REQUIRE(client.request("GET", "/readyz").has_value());
  const auto metrics = client.request("GET", "/metrics");
  REQUIRE(metrics->status == 200);
  for (const auto* name : {"spillway_pool_resources", "db_client_connections", "http_server_request_duration_seconds"}) {
    CAPTURE(name);
    CHECK(metrics->body.find(name) != std::string::npos);
  }
  const auto file = dir.write("metrics.txt", metrics->body);
  const auto said = (dir.path() / "said.txt").string();
  const int status = std::system(("promtool check metrics < " + file + " > " + said + " 2>&1").c_str());
  std::ifstream in{said};
  const std::string words{std::istreambuf_iterator<char>{in}, {}};
  CHECK(words == "");
  CHECK(status == 0);
}

TEST_CASE("analysis_service_process.a_wrong_configuration_names_every_mistake") {
  child_process child{{ANALYSIS_SERVICE_PROGRAM}, {"SPILLWAY_HTTP_PORT=http", "SPILLWAY_ROOOT=/"}};
  CHECK(child.wait() == 2);
  CHECK(child.errors().find("SPILLWAY_HTTP_PORT is 'http'; allowed: a whole number in [0, 65535]") != std::string::npos);
  CHECK(child.errors().find("SPILLWAY_ROOOT is unknown; did you mean SPILLWAY_ROOT?") != std::string::npos);
}

TEST_CASE("analysis_service_process.a_root_that_is_missing_is_named") {
  const temp_dir dir;
  child_process child{{ANALYSIS_SERVICE_PROGRAM}, {"SPILLWAY_ROOT=" + dir.path().string() + "/nowhere", "SPILLWAY_DATA_DIR=" + dir.path().string()}};
  CHECK(child.wait() == 1);
  CHECK(child.errors().find("/nowhere") != std::string::npos);
}

TEST_CASE("analysis_service_process.analyze_prints_a_table_or_json") {
  const temp_dir dir;
  dir.write("tree/a.cpp", "int x;\n// y\n\n");
  dir.write("tree/b.py", "x = 1\n");
  const auto tree = (dir.path() / "tree").string();
  auto table = analyze(dir, {tree});
  CHECK(table.wait() == 0);
  CHECK(table.output().find("Python") != std::string::npos);
  CHECK(table.output().find("2 files in") != std::string::npos);
  auto text = analyze(dir, {tree, "--json", "--no-cache", "--threads", "1"});
  CHECK(text.wait() == 0);
  const auto report = json::parse(text.output()).as_object();
  CHECK(report.at("totals").at("code").to_number<int>() == 2);
  CHECK(report.at("files_read").to_number<int>() == 2);
}

TEST_CASE("analysis_service_process.analyze_says_what_is_wrong") {
  const temp_dir dir;
  auto missing = analyze(dir, {"/nowhere/at/all"});
  CHECK(missing.wait() == 1);
  CHECK(missing.errors().find("/nowhere/at/all") != std::string::npos);
  auto option = analyze(dir, {"/", "--thread", "9"});
  CHECK(option.wait() == 2);
}

TEST_CASE("analysis_service_process.an_interrupted_analyze_keeps_nothing") {
  const temp_dir dir;
  add_endless_file(dir);
  auto child = analyze(dir, {(dir.path() / "root").string(), "--max-file-bytes", "1TiB"});
  // It has begun once its database is there.
  while (!fs::exists(dir.path() / "spillway/analysis_service/analyze.db-wal")) std::this_thread::yield();
  child.signal(SIGINT);
  CHECK(child.wait() == 130);
  CHECK(child.output().empty());
  dir.write("root/endless/endless.c", "int x;\n");
  auto again = analyze(dir, {(dir.path() / "root").string(), "--json"});
  CHECK(again.wait() == 0);
  CHECK(json::parse(again.output()).at("totals").at("code").to_number<int>() == 1);
}
