// SPDX-License-Identifier: Apache-2.0
// The whole server in this process, asked over real connections.
#include "analysis_service/analysis_queue.hpp"
#include "analysis_service/api.hpp"
#include "analysis_service/project_root.hpp"
#include "analysis_service/service.hpp"
#include "analysis_service/store.hpp"

#include "support/http_client.hpp"
#include "support/temp_dir.hpp"
#include "test_engine.hpp"

#include <spillway/core/io_runner.hpp>
#include <spillway/http/http_server.hpp>
#include <spillway/testing/manual_clock.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace analysis;
using spillway::tests::http_answer;
using spillway::tests::http_client;
namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr std::string_view json_type{"Content-Type: application/json\r\n"};

struct server {
  explicit server(service_config config = {}) {
    dir.write("root/app/main.cpp", "// hello\n#include <vector>\nint main() {}\n");
    dir.write("root/app/lib/util.py", "import os\n\nprint(1)\n");
    dir.write("root/app/notes.bin", std::string("\0\1\2", 3));
    dir.write("outside/secret.cpp", "int secret;\n");
    fs::create_directory_symlink(dir.path() / "outside", dir.path() / "root/link");
    config.root = (dir.path() / "root").string();
    config.data_dir = (dir.path() / "data").string();
    config.port = 0;
    config.http_threads = 2;
    config.health_details = true;
    engine.use(config);
    running = std::make_unique<service>(config, spillway::http_access_sink{}, spillway::log_sink{});
    running->start();
  }
  ~server() { (void)running->stop(); }

  [[nodiscard]] http_client client() const { return http_client{running->endpoint().port}; }
  [[nodiscard]] http_answer ask(std::string_view method, std::string_view target, std::string_view body = {},
                                std::string_view headers = json_type) const {
    http_client connection{running->endpoint().port};
    auto answer = connection.request(method, target, body, std::string{headers} + (token.empty() ? "" : "X-Consistency-Token: " + token + "\r\n"));
    REQUIRE(answer.has_value());
    if (const auto given = answer->headers.find("x-consistency-token"); given != answer->headers.end()) token = given->second;
    return *answer;
  }

  /// Waits, by asking, until the analysis has ended, and returns it.
  json::object ended(std::int64_t id) const {
    auto connection = client();
    for (;;) {
      const auto answer = connection.request("GET", "/v1/analyses/" + std::to_string(id));
      REQUIRE(answer.has_value());
      auto analysis = json::parse(answer->body).as_object();
      if (const auto status = analysis.at("status").as_string(); status != "queued" && status != "running") return analysis;
      std::this_thread::yield();
    }
  }

  std::string status_of(std::int64_t id) const {
    return json::parse(ask("GET", "/v1/analyses/" + std::to_string(id)).body).at("status").as_string().c_str();
  }

  std::int64_t analysed_project() const {
    REQUIRE(ask("POST", "/v1/projects", R"({"path":"app"})").status == 201);
    const auto started = ask("POST", "/v1/projects/1/analyses");
    REQUIRE(started.status == 202);
    const auto id = json::parse(started.body).at("id").to_number<std::int64_t>();
    REQUIRE(ended(id).at("status").as_string() == "complete");
    return id;
  }

  analysis::tests::test_engine engine;
  spillway::tests::temp_dir dir;
  mutable std::string token;  ///< Of what was written for this client.
  std::unique_ptr<service> running;
};

std::string detail_of(const http_answer& answer) { return json::parse(answer.body).at("detail").as_string().c_str(); }

/// A configuration under which `add_endless_file` keeps the only worker busy until it is told to stop.
service_config endless_files() {
  service_config config;
  config.concurrent_analyses = 1;
  config.max_file_bytes = 1ULL << 40U;
  return config;
}

/// A source file of half a terabyte, all of it a hole but for a beginning that does not look binary.
void add_endless_file(const spillway::tests::temp_dir& dir) {
  const auto path = dir.write("root/endless/endless.c", std::string(10'000, 'x'));
  fs::resize_file(path, 1ULL << 39U);
}

/// Waits, by asking, until the analysis reports progress.
void wait_until_read(const server& s, std::int64_t id) {
  auto connection = s.client();
  for (;;) {
    const auto analysis = json::parse(connection.request("GET", "/v1/analyses/" + std::to_string(id))->body).as_object();
    const auto* progress = analysis.if_contains("progress");
    if (progress != nullptr && progress->at("bytes_read").to_number<std::int64_t>() > 0) return;
    std::this_thread::yield();
  }
}

}  // namespace

TEST_CASE("analysis_service.a_project_is_registered_analysed_and_read") {
  const server s;
  const auto created = s.ask("POST", "/v1/projects", R"({"path":"app","name":"The App"})");
  CHECK(created.status == 201);
  CHECK(created.headers.at("location") == "/v1/projects/1");
  const auto project = json::parse(created.body).as_object();
  CHECK(project.at("name").as_string() == "The App");
  CHECK(project.at("path").as_string() == "app");
  CHECK(s.ask("GET", "/v1/projects/1").body == created.body);

  const auto started = s.ask("POST", "/v1/projects/1/analyses");
  CHECK(started.status == 202);
  CHECK(started.headers.at("location") == "/v1/analyses/1");
  const auto analysis = s.ended(1);
  CHECK(analysis.at("status").as_string() == "complete");
  CHECK(analysis.at("attempts").to_number<int>() == 1);

  const auto summary = json::parse(s.ask("GET", "/v1/analyses/1/summary").body).as_object();
  CHECK(json::serialize(summary) == json::serialize(analysis.at("result")));
  const auto& totals = summary.at("totals").as_object();
  CHECK(totals.at("files").to_number<int>() == 2);
  CHECK(totals.at("code").to_number<int>() == 4);
  CHECK(totals.at("comment").to_number<int>() == 1);
  CHECK(totals.at("blank").to_number<int>() == 1);
  CHECK(summary.at("files_by_status").at("binary").to_number<int>() == 1);

  const auto files = json::parse(s.ask("GET", "/v1/analyses/1/files?fields=path,code,imports&sort=-code").body).as_object();
  CHECK(json::serialize(files) ==
        R"({"items":[{"path":"main.cpp","code":2,"imports":[{"kind":"angled_include","target":"vector","line":2}]},)"
        R"({"path":"lib/util.py","code":2,"imports":[{"kind":"import","target":"os","line":1}]},)"
        R"({"path":"notes.bin","code":0,"imports":[]}],"next_cursor":null})");
}

TEST_CASE("analysis_service.a_second_analysis_reads_no_file_again") {
  const server s;
  const auto first = s.analysed_project();
  // The files are as new as the first analysis itself: those it may have seen half-written are read once more.
  for (int run = 0;; ++run) {
    REQUIRE(run < 1000);
    const auto id = json::parse(s.ask("POST", "/v1/projects/1/analyses").body).at("id").to_number<std::int64_t>();
    const auto result = s.ended(id).at("result").as_object();
    if (result.at("files_read").to_number<int>() == 0) {
      CHECK(result.at("files_unchanged").to_number<int>() == 3);
      break;
    }
  }
  CHECK(json::parse(s.ask("GET", "/v1/analyses/" + std::to_string(first) + "/files?fields=path").body).at("items").as_array().size() == 3);
}

TEST_CASE("analysis_service.pages_follow_each_other") {
  const server s;
  for (int i = 0; i < 25; ++i) s.dir.write("root/app/many/" + std::to_string(i) + ".c", std::string(static_cast<std::size_t>(i % 4), '\n'));
  const auto id = s.analysed_project();
  auto connection = s.client();
  std::set<std::string> seen;
  std::string cursor;
  int pages{0};
  do {
    const auto target = "/v1/analyses/" + std::to_string(id) + "/files?limit=7&sort=-blank&fields=path" + (cursor.empty() ? "" : "&cursor=" + cursor);
    const auto page = json::parse(connection.request("GET", target)->body).as_object();
    for (const auto& item : page.at("items").as_array()) CHECK(seen.insert(item.at("path").as_string().c_str()).second);
    cursor = page.at("next_cursor").is_null() ? "" : page.at("next_cursor").as_string().c_str();
    ++pages;
  } while (!cursor.empty());
  CHECK(seen.size() == 28);
  CHECK(pages == 4);
}

TEST_CASE("analysis_service.hostile_requests_get_a_clear_answer_and_leave_nothing") {
  const server s;
  const auto id = s.analysed_project();
  const auto files = "/v1/analyses/" + std::to_string(id) + "/files";
  struct hostile {
    const char* method;
    std::string target;
    std::string body;
    int status;
    const char* says;
  };
  const std::vector<hostile> requests{
      {"POST", "/v1/projects", R"({"path":".."})", 422, "'..'"},
      {"POST", "/v1/projects", R"({"path":"app/../../outside"})", 422, "'..'"},
      {"POST", "/v1/projects", R"({"path":"/etc"})", 422, "outside the configured root"},
      {"POST", "/v1/projects", R"({"path":"link"})", 422, "symbolic link"},
      {"POST", "/v1/projects", R"({"path":"link/x"})", 422, "symbolic link"},
      {"POST", "/v1/projects", R"({"path":"app\u0000/x"})", 422, "NUL"},
      {"POST", "/v1/projects", R"({"path":""})", 422, "empty"},
      {"POST", "/v1/projects", R"({"path":"missing"})", 422, "does not exist"},
      {"POST", "/v1/projects", R"({"path":"app/main.cpp"})", 422, "not a directory"},
      {"POST", "/v1/projects", "{\"path\":\"" + std::string(5000, 'a') + "\"}", 422, "at most 4096"},
      {"POST", "/v1/projects", R"({"path":["app"]})", 422, "must be text"},
      {"POST", "/v1/projects", R"({"path":"app","admin":true})", 422, "'admin' is unknown"},
      {"POST", "/v1/projects", R"({"path":"app")", 400, "not valid JSON"},
      {"POST", "/v1/projects", std::string(3000, '['), 400, "not valid JSON"},
      {"POST", "/v1/projects", R"({"path":"app","name":"other"})", 409, "project 1 has this path"},
      {"POST", "/v1/projects", R"({"path":"app/lib","name":"app"})", 409, "called 'app'"},
      {"POST", "/v1/projects/1/analyses", R"({"x":1})", 422, "no body"},
      {"POST", "/v1/projects/99/analyses", "", 404, "no project 99"},
      {"GET", "/v1/projects/-1", "", 404, "positive whole number"},
      {"GET", "/v1/projects/1%27%20OR%201=1", "", 404, "positive whole number"},
      {"GET", "/v1/projects?limit=0", "", 400, "[1, 1000]"},
      {"GET", "/v1/projects?cursor=abc", "", 400, "'cursor'"},
      {"GET", "/v1/analyses/999999999999999999999", "", 404, "positive whole number"},
      {"GET", files + "?fields=path,password", "", 400, "'password' is no field"},
      {"GET", files + "?sort=code;drop%20table%20file", "", 400, "is no sort order"},
      {"GET", files + "?cursor=00", "", 400, "not a cursor"},
      {"GET", files + "?cursor=" + std::string(2000, 'f'), "", 400, "not a cursor"},
      {"GET", files + "?limit=1e9", "", 400, "'1e9' is not a whole number"},
      {"GET", files + "?feilds=path", "", 400, "'feilds': it is unknown here; allowed: fields, sort, limit, cursor"},
      {"GET", files + "?limit=5&limit=9", "", 400, "'limit': it is given twice"},
      {"GET", files + "?fields=imports&limit=1000", "", 400, "[1, 20]"},
      {"DELETE", "/v1/analyses/" + std::to_string(id), "", 409, "only a queued or running one"},
  };
  for (const auto& hostile : requests) {
    CAPTURE(hostile.target);
    CAPTURE(hostile.body);
    const auto answer = s.ask(hostile.method, hostile.target, hostile.body);
    CHECK(answer.status == hostile.status);
    CHECK(answer.headers.at("content-type") == "application/problem+json");
    CHECK(detail_of(answer).find(hostile.says) != std::string::npos);
    CHECK(answer.headers.contains("x-request-id"));
  }
  CHECK(json::parse(s.ask("GET", "/v1/projects").body).at("items").as_array().size() == 1);
  CHECK(json::parse(s.ask("GET", "/v1/projects/1/analyses").body).at("items").as_array().size() == 1);
  CHECK(s.ask("POST", "/v1/projects", "{}", "Content-Type: text/xml\r\n").status == 415);
  CHECK(s.ask("POST", "/v1/projects", R"({"path":"app/lib"})", "").status == 415);
  CHECK(s.ask("PUT", "/v1/projects").status == 405);
  CHECK(s.ask("GET", "/v2").status == 404);
  CHECK(s.ask("POST", "/v1/projects", std::string(70'000, ' ')).status == 413);
}

TEST_CASE("analysis_service.paths_may_be_long_and_names_of_any_script") {
  const server s;
  std::string deep;
  for (int i = 0; i < 15; ++i) deep += std::string(200, static_cast<char>('a' + i)) + "/";  // an index of PostgreSQL would not take it
  s.dir.write("root/" + deep + "\xC3\xA4.c", "int x;\n");
  REQUIRE(s.ask("POST", "/v1/projects", R"({"path":")" + deep + R"(","name":"\u4e16\u754c"})").status == 201);
  CHECK(s.ask("POST", "/v1/projects", R"({"path":")" + deep + R"(","name":"another"})").status == 409);
  REQUIRE(s.ask("POST", "/v1/projects", R"({"path":".","name":"all"})").status == 201);
  CHECK(s.ask("GET", "/v1/projects/2").status == 200);  // the refused one has used up no number
  REQUIRE(s.ask("POST", "/v1/projects/2/analyses").status == 202);
  REQUIRE(s.ended(1).at("status").as_string() == "complete");
  const auto files = json::parse(s.ask("GET", "/v1/analyses/1/files?fields=path").body).at("items").as_array();
  REQUIRE(!files.empty());
  CHECK(files.at(0).at("path").as_string() == deep + "\xC3\xA4.c");
}

TEST_CASE("analysis_service.a_consistency_token_that_is_none_is_refused") {
  const server s;
  for (const auto* method : {"GET", "POST"}) {
    for (const auto* text : {"nonsense", "1-1-1", "'; DROP TABLE file"}) {
      CAPTURE(text);
      http_client client{s.running->endpoint().port};
      const auto answer = client.request(method, "/v1/projects", R"({"path":"app"})", std::string{json_type} + "X-Consistency-Token: " + text + "\r\n");
      REQUIRE(answer);
      CHECK(answer->status == 400);
      CHECK(answer->headers.at("content-type") == "application/problem+json");
      CHECK(detail_of(*answer).find("header 'X-Consistency-Token'") == 0);
    }
  }
  CHECK(json::parse(s.ask("GET", "/v1/projects", {}, "X-Consistency-Token: \r\n").body).at("items").as_array().empty());
}

TEST_CASE("analysis_service.results_are_shown_only_when_complete") {
  const server s{endless_files()};
  add_endless_file(s.dir);
  REQUIRE(s.ask("POST", "/v1/projects", R"({"path":"endless"})").status == 201);
  REQUIRE(s.ask("POST", "/v1/projects", R"({"path":"app"})").status == 201);
  REQUIRE(s.ask("POST", "/v1/projects/1/analyses").status == 202);
  REQUIRE(s.ask("POST", "/v1/projects/2/analyses").status == 202);  // waits behind the other
  wait_until_read(s, 1);
  CHECK(s.status_of(2) == "queued");
  for (const auto* id : {"1", "2"}) {
    for (const auto* part : {"/summary", "/files"}) {
      const auto answer = s.ask("GET", std::string{"/v1/analyses/"} + id + part);
      CHECK(answer.status == 409);
      CHECK(detail_of(answer).find("results once it is complete") != std::string::npos);
    }
  }
  const auto second = s.ask("POST", "/v1/projects/1/analyses");
  CHECK(second.status == 409);
  CHECK(detail_of(second) == "project 1 has an analysis that is queued or running");

  CHECK(s.ask("DELETE", "/v1/analyses/1").status == 204);
  CHECK(s.ended(1).at("status").as_string() == "cancelled");
  CHECK(s.ended(2).at("status").as_string() == "complete");
  CHECK(s.ask("GET", "/v1/analyses/1/files").status == 409);
  CHECK(s.ask("POST", "/v1/projects/1/analyses").status == 202);  // the project is free again
}

TEST_CASE("analysis_service.a_queued_analysis_can_be_cancelled") {
  const server s{endless_files()};
  add_endless_file(s.dir);
  REQUIRE(s.ask("POST", "/v1/projects", R"({"path":"endless"})").status == 201);
  REQUIRE(s.ask("POST", "/v1/projects", R"({"path":"app"})").status == 201);
  REQUIRE(s.ask("POST", "/v1/projects/1/analyses").status == 202);
  REQUIRE(s.ask("POST", "/v1/projects/2/analyses").status == 202);
  wait_until_read(s, 1);
  CHECK(s.ask("DELETE", "/v1/analyses/2").status == 204);
  CHECK(s.status_of(2) == "cancelled");
  CHECK(s.ask("DELETE", "/v1/analyses/2").status == 409);
}

TEST_CASE("analysis_service.a_full_queue_refuses_with_503") {
  auto config = endless_files();
  config.max_queued_analyses = 1;
  const server s{config};
  add_endless_file(s.dir);
  fs::create_directories(s.dir.path() / "root/third");
  for (const auto* path : {"endless", "app", "third"}) REQUIRE(s.ask("POST", "/v1/projects", "{\"path\":\"" + std::string{path} + "\"}").status == 201);
  REQUIRE(s.ask("POST", "/v1/projects/1/analyses").status == 202);
  wait_until_read(s, 1);
  REQUIRE(s.ask("POST", "/v1/projects/2/analyses").status == 202);
  const auto refused = s.ask("POST", "/v1/projects/3/analyses");
  CHECK(refused.status == 503);
  CHECK(refused.headers.contains("retry-after"));
  CHECK(json::parse(s.ask("GET", "/v1/projects/3/analyses").body).at("items").as_array().empty());
}

TEST_CASE("analysis_service.tells_of_its_health_and_its_numbers") {
  const server s;
  s.analysed_project();
  CHECK(s.ask("GET", "/healthz").status == 200);
  // The first round of checks runs right after the start.
  auto connection = s.client();
  http_answer ready;
  do ready = connection.request("GET", "/readyz").value();
  while (ready.body.find(R"("starting")") != std::string::npos || ready.body.find("unknown") != std::string::npos);
  CHECK(ready.status == 200);
  CHECK(ready.body.find("\"database\"") != std::string::npos);
  CHECK(s.ask("GET", "/startupz").status == 200);
  auto metrics = s.ask("GET", "/metrics");
  CHECK(metrics.status == 200);
  // It counts a moment after the analysis is seen to be complete.
  while (metrics.body.find("analysis_finished_total{status=\"complete\"} 1") == std::string::npos) metrics = s.ask("GET", "/metrics");
  for (const auto* name : {"process_resident_memory_bytes", "http_server_request_duration_seconds_bucket", "db_client_", "spillway_health_",
                           "spillway_build_info", "http_route=\"/v1/projects/{id}/analyses\""}) {
    CAPTURE(name);
    CHECK(metrics.body.find(name) != std::string::npos);
  }
}

TEST_CASE("analysis_service.a_request_whose_time_is_over_is_not_begun_and_the_database_hears_of_it") {
  const spillway::tests::temp_dir dir;
  dir.write("root/app/main.cpp", "int main() {}\n");
  const analysis::tests::test_engine engine;
  auto records = engine.open(dir.path());
  const project_root root{(dir.path() / "root").string()};
  analysis_queue queue{records, root, {}};
  boost::asio::io_context blocking;  // the test itself is its thread
  const auto guard = boost::asio::make_work_guard(blocking);
  spillway::testing::manual_clock clock;
  spillway::http_router router;
  add_api_routes(router, {records, queue, root, blocking.get_executor(), clock});
  spillway::io_runner_config one_thread;
  one_thread.threads = 1;
  spillway::io_runner network{one_thread};
  spillway::http_server_config config;
  config.request_timeout = std::chrono::milliseconds{1};
  spillway::http_server http{config, std::move(router), network, clock};
  http.start();
  network.start();
  http_client client{http.local_endpoint().port};

  client.send("POST /v1/projects HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"path\":\"app\"}");
  while (http.stats().requests_active == 0) std::this_thread::yield();
  clock.advance(std::chrono::milliseconds{1});
  blocking.run_one();
  const auto late = client.receive();
  REQUIRE(late);
  CHECK(late->status == 503);
  CHECK(late->headers.contains("retry-after"));
  CHECK(records.projects(0, 10)->empty());

  // In time by the clock of this server, which is at its beginning, but not by that of the database.
  client.send("GET /v1/projects HTTP/1.1\r\nHost: a\r\n\r\n");
  blocking.run_one();
  const auto refused = client.receive();
  REQUIRE(refused);
  CHECK(refused->status == 504);
}

TEST_CASE("analysis_service.destroyed_without_a_stop_it_ends_what_it_does") {
  const analysis::tests::test_engine engine;
  for (int round = 0; round < 5; ++round) {
    const spillway::tests::temp_dir dir;
    fs::create_directories(dir.path() / "root");
    service_config config;
    config.root = (dir.path() / "root").string();
    config.data_dir = (dir.path() / "data").string();
    config.port = 0;
    engine.use(config);
    std::optional<service> running{std::in_place, config, spillway::http_access_sink{}, spillway::log_sink{}};
    running->start();
    http_client client{running->endpoint().port};
    for (int i = 0; i < 200; ++i) client.send("GET /v1/projects HTTP/1.1\r\nHost: a\r\n\r\nGET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE(client.receive());  // many more are on their way
    running.reset();
  }
}

TEST_CASE("analysis_service.two_servers_cannot_share_a_data_directory") {
  const server s;
  service_config config;
  config.root = (s.dir.path() / "root").string();
  config.data_dir = (s.dir.path() / "data").string();
  config.port = 0;
  CHECK_THROWS_WITH_AS(service(config, {}, {}), doctest::Contains("is in use by another process"), std::runtime_error);
}

TEST_CASE("analysis_service.what_was_running_at_a_stop_is_taken_up_after_the_next_start") {
  const spillway::tests::temp_dir dir;
  add_endless_file(dir);
  auto config = endless_files();
  config.root = (dir.path() / "root").string();
  config.data_dir = (dir.path() / "data").string();
  config.port = 0;
  const analysis::tests::test_engine engine;
  engine.use(config);
  const auto status_at = [](const service& running) {
    http_client client{running.endpoint().port};
    return json::parse(client.request("GET", "/v1/analyses/1")->body).as_object();
  };
  {
    service first{config, {}, {}};
    first.start();
    http_client client{first.endpoint().port};
    REQUIRE(client.request("POST", "/v1/projects", R"({"path":"endless"})", json_type)->status == 201);
    REQUIRE(client.request("POST", "/v1/projects/1/analyses")->status == 202);
    while (status_at(first).at("status").as_string() != "running") std::this_thread::yield();
    CHECK(first.stop().unfinished_count == 0);
  }
  dir.write("root/endless/endless.c", "int x;\n");  // it can end now
  service second{config, {}, {}};
  second.start();
  auto analysis = status_at(second);
  while (analysis.at("status").as_string() != "complete") {
    REQUIRE((analysis.at("status").as_string() == "queued" || analysis.at("status").as_string() == "running"));
    analysis = status_at(second);
  }
  CHECK(analysis.at("attempts").to_number<int>() == 1);
  CHECK(analysis.at("result").at("totals").at("code").to_number<int>() == 1);
  (void)second.stop();
}
