// SPDX-License-Identifier: Apache-2.0
// The server is killed and started again: what became of its analyses, whichever engine keeps them.
#include "server_process.hpp"
#include "test_engine.hpp"

#include <csignal>

using namespace analysis::tests;
namespace json = boost::json;

TEST_CASE("analysis_service_process.an_analysis_survives_kill_9_of_the_server") {
  const temp_dir dir;
  const test_engine engine;
  add_endless_file(dir);
  {
    server_process server{dir, engine.environment()};
    start_endless_analysis(server);
    server.child().signal(SIGKILL);
    CHECK(server.child().wait() == -SIGKILL);
  }
  dir.write("root/endless/endless.c", "int x;\n");
  server_process server{dir, engine.environment()};
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
  const test_engine engine;
  add_endless_file(dir);
  for (int attempt = 1; attempt <= 3; ++attempt) {
    server_process server{dir, engine.environment()};
    if (attempt == 1) start_endless_analysis(server);
    while (server.analysis(1).at("attempts").to_number<int>() < attempt) std::this_thread::yield();
    server.child().signal(SIGKILL);
    CHECK(server.child().wait() == -SIGKILL);
  }
  const server_process server{dir, engine.environment()};
  CHECK(server.status(1) == "failed");
  http_client client{server.port()};
  CHECK(client.request("GET", "/v1/analyses/1/files")->status == 409);
  CHECK(client.request("POST", "/v1/projects/1/analyses")->status == 202);
}

TEST_CASE("analysis_service_process.killed_at_random_moments_it_never_shows_half_an_analysis") {
  const temp_dir dir;
  const test_engine engine;
  constexpr int count = 600;
  for (int i = 0; i < count; ++i) dir.write("root/tree/" + std::to_string(i % 20) + "/" + std::to_string(i) + ".c", "int x;\n// c\n");
  int next_analysis{1};
  for (int round = 0; round < 12; ++round) {
    server_process server{dir, engine.environment()};
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
  server_process server{dir, engine.environment()};
  while (server.status(next_analysis - 1) == "queued" || server.status(next_analysis - 1) == "running") std::this_thread::yield();
  server.child().signal(SIGTERM);
  CHECK(server.child().wait() == 0);
}
