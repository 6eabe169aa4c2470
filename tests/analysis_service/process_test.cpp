// SPDX-License-Identifier: Apache-2.0
// The program as a user runs it: started, signalled, killed.
#include "support/child_process.hpp"
#include "support/http_client.hpp"
#include "support/temp_dir.hpp"

#include <boost/json.hpp>

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

using spillway::tests::child_process;
using spillway::tests::http_client;
using spillway::tests::temp_dir;
namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr std::string_view json_content{"Content-Type: application/json\r\n"};

/// The server as a process.
class server_process {
 public:
  explicit server_process(const temp_dir& dir)
      : child_{{ANALYSIS_SERVICE_PROGRAM, "serve"},
               {"SPILLWAY_ROOT=" + (dir.path() / "root").string(), "SPILLWAY_DATA_DIR=" + (dir.path() / "data").string(), "SPILLWAY_HTTP_PORT=0",
                "SPILLWAY_ACCESS_LOG=off", "SPILLWAY_ANALYSIS_MAX_FILE_BYTES=1TiB"}} {
    const auto line = child_.wait_for_error_line("listening on");
    REQUIRE_FALSE(line.empty());
    port_ = static_cast<std::uint16_t>(std::stoi(line.substr(line.rfind(':') + 1)));
  }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  child_process& child() noexcept { return child_; }

  json::object analysis(int id) const {
    http_client client{port_};
    const auto answer = client.request("GET", "/v1/analyses/" + std::to_string(id));
    REQUIRE(answer.has_value());
    return json::parse(answer->body).as_object();
  }
  std::string status(int id) const { return analysis(id).at("status").as_string().c_str(); }

 private:
  child_process child_;
  std::uint16_t port_{0};
};

void add_endless_file(const temp_dir& dir) {
  fs::resize_file(dir.write("root/endless/endless.c", std::string(10'000, 'x')), 1ULL << 39U);
}

void start_endless_analysis(const server_process& server) {
  http_client client{server.port()};
  REQUIRE(client.request("POST", "/v1/projects", R"({"path":"endless"})", json_content)->status == 201);
  REQUIRE(client.request("POST", "/v1/projects/1/analyses")->status == 202);
  while (server.status(1) != "running") std::this_thread::yield();
}

child_process analyze(const temp_dir& dir, std::vector<std::string> arguments) {
  std::vector<std::string> command{ANALYSIS_SERVICE_PROGRAM, "analyze"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return child_process{command, {"XDG_STATE_HOME=" + dir.path().string()}};
}

}  // namespace

TEST_CASE("analysis_service_process.sigterm_under_load_loses_no_request") {
  const temp_dir dir;
  fs::create_directories(dir.path() / "root");
  server_process server{dir};
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
  const server_process server{dir};
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

TEST_CASE("analysis_service_process.an_analysis_survives_kill_9_of_the_server") {
  const temp_dir dir;
  add_endless_file(dir);
  {
    server_process server{dir};
    start_endless_analysis(server);
    server.child().signal(SIGKILL);
    CHECK(server.child().wait() == -SIGKILL);
  }
  dir.write("root/endless/endless.c", "int x;\n");
  server_process server{dir};
  auto analysis = server.analysis(1);
  while (analysis.at("status").as_string() != "complete") {
    REQUIRE((analysis.at("status").as_string() == "queued" || analysis.at("status").as_string() == "running"));
    analysis = server.analysis(1);
  }
  CHECK(analysis.at("attempts").to_number<int>() == 2);
  CHECK(analysis.at("result").at("totals").at("code").to_number<int>() == 1);
}

TEST_CASE("analysis_service_process.an_analysis_that_kills_the_server_thrice_is_marked_failed") {
  const temp_dir dir;
  add_endless_file(dir);
  for (int attempt = 1; attempt <= 3; ++attempt) {
    server_process server{dir};
    if (attempt == 1) start_endless_analysis(server);
    while (server.analysis(1).at("attempts").to_number<int>() < attempt) std::this_thread::yield();
    server.child().signal(SIGKILL);
    CHECK(server.child().wait() == -SIGKILL);
  }
  const server_process server{dir};
  CHECK(server.status(1) == "failed");
  http_client client{server.port()};
  CHECK(client.request("GET", "/v1/analyses/1/files")->status == 409);
  CHECK(client.request("POST", "/v1/projects/1/analyses")->status == 202);
}

TEST_CASE("analysis_service_process.killed_at_random_moments_it_never_shows_half_an_analysis") {
  const temp_dir dir;
  constexpr int count = 600;
  for (int i = 0; i < count; ++i) dir.write("root/tree/" + std::to_string(i % 20) + "/" + std::to_string(i) + ".c", "int x;\n// c\n");
  int next_analysis{1};
  for (int round = 0; round < 12; ++round) {
    server_process server{dir};
    http_client client{server.port()};
    if (round == 0) REQUIRE(client.request("POST", "/v1/projects", R"({"path":"tree"})", json_content)->status == 201);
    for (int id = 1; id < next_analysis; ++id) {
      const auto analysis = server.analysis(id);
      if (analysis.at("status").as_string() != "complete") continue;
      CHECK(analysis.at("result").at("totals").at("code").to_number<int>() == count);
      const auto page = json::parse(client.request("GET", "/v1/analyses/" + std::to_string(id) + "/files?limit=1000&fields=code")->body).as_object();
      CHECK(page.at("items").as_array().size() == count);
    }
    if (const auto started = client.request("POST", "/v1/projects/1/analyses"); started->status == 202) ++next_analysis;
    for (int ask = 0; ask < round * 3; ++ask) (void)server.status(next_analysis - 1);  // lets some time pass, more in each round
    server.child().signal(SIGKILL);
    CHECK(server.child().wait() == -SIGKILL);
  }
  server_process server{dir};
  while (server.status(next_analysis - 1) == "queued" || server.status(next_analysis - 1) == "running") std::this_thread::yield();
  server.child().signal(SIGTERM);
  CHECK(server.child().wait() == 0);
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
