// SPDX-License-Identifier: Apache-2.0
// What the server does on PostgreSQL alone: tokens, replicas that are behind, months, and what is said of wrong URLs.
#include "analysis_service/analysis_run.hpp"
#include "analysis_service/months.hpp"
#include "analysis_service/postgres_database.hpp"
#include "analysis_service/project_root.hpp"
#include "analysis_service/service.hpp"

#include "postgres_engine.hpp"
#include "server_process.hpp"
#include "test_engine.hpp"

#include <spillway/core/config_reader.hpp>
#include <spillway/db/consistency_token.hpp>
#include <spillway/db/partitions.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <utility>

using namespace analysis;
using namespace analysis::tests;
using namespace std::chrono_literals;
using spillway::tests::http_answer;
namespace json = boost::json;

namespace {

struct server {
  explicit server(service_config config = {}) {
    dir.write("root/app/main.cpp", "int main() {}\n");
    config.root = (dir.path() / "root").string();
    config.data_dir = (dir.path() / "data").string();
    config.port = 0;
    config.health_details = true;
    if (config.database_url.empty()) engine.use(config);
    running.emplace(config, spillway::http_access_sink{}, spillway::log_sink{});
    running->start();
  }
  ~server() { (void)running->stop(); }

  [[nodiscard]] http_answer ask(std::string_view method, const std::string& target, std::string_view body = {}, const std::string& token = {}) const {
    http_client client{running->endpoint().port};
    const auto answer = client.request(method, target, body, std::string{json_content} + (token.empty() ? "" : "X-Consistency-Token: " + token + "\r\n"));
    REQUIRE(answer.has_value());
    return *answer;
  }

  test_engine engine;
  temp_dir dir;
  std::optional<service> running;
};

std::string token_of(const http_answer& answer) {
  REQUIRE(answer.headers.contains("x-consistency-token"));
  return answer.headers.at("x-consistency-token");
}

/// Replicas that show everything half a minute later, while this lives.
struct late_replicas {
  late_replicas() {
    for (const int node : {1, 2}) postgres_nodes().lag(node, 30);
  }
  ~late_replicas() {
    for (const int node : {1, 2}) postgres_nodes().lag(node, 0);
  }
};

/// What a check says at the moment.
spillway::health_result answer_of(const spillway::async_health_check& check) {
  spillway::health_result said;
  check({{}, {}}, [&said](spillway::health_result result) { said = std::move(result); });
  return said;
}

spillway::database open_all(const test_engine& engine) {
  service_config config;
  engine.use(config);
  return open_postgres_database(config, {});
}

}  // namespace

TEST_CASE("postgres_service.who_sends_the_token_of_a_write_sees_it_though_replicas_are_behind") {
  const server s;
  const late_replicas late;
  const auto created = s.ask("POST", "/v1/projects", R"({"path":"app"})");
  REQUIRE(created.status == 201);
  const auto token = token_of(created);
  CHECK(s.ask("GET", "/v1/projects/1", {}, token).status == 200);
  CHECK(json::parse(s.ask("GET", "/v1/projects", {}, token).body).at("items").as_array().size() == 1);
  CHECK(s.ask("GET", "/v1/projects/1").status == 404);  // without it a replica answers

  // A change is decided by what the primary has, whether the client sends a token or not.
  CHECK(s.ask("POST", "/v1/projects", R"({"path":"app"})").status == 409);
  const auto started = s.ask("POST", "/v1/projects/1/analyses");
  REQUIRE(started.status == 202);
  CHECK_FALSE(token_of(started).empty());
  // What happens in the background is nobody's write, and everybody sees it.
  std::string status;
  while (status != "complete") {
    const auto answer = s.ask("GET", "/v1/analyses/1");
    REQUIRE(answer.status == 200);
    status = json::parse(answer.body).at("status").as_string().c_str();
    REQUIRE((status == "queued" || status == "running" || status == "complete"));
  }
  CHECK(s.ask("GET", "/v1/analyses/1/summary").status == 200);
  CHECK(json::parse(s.ask("GET", "/v1/analyses/1/files").body).at("items").as_array().size() == 1);
  const auto refused = s.ask("DELETE", "/v1/analyses/1");
  CHECK(refused.status == 409);
  CHECK_FALSE(token_of(refused).empty());
  CHECK_FALSE(s.ask("GET", "/v1/analyses/1").headers.contains("x-consistency-token"));
}

TEST_CASE("postgres_service.a_token_of_another_system_is_refused_and_changes_nothing") {
  const server s;
  const auto foreign = spillway::consistency_token{42, 1, 1}.to_string();
  for (const auto* method : {"GET", "POST"}) {
    const auto answer = s.ask(method, "/v1/projects", R"({"path":"app"})", foreign);
    CHECK(answer.status == 400);
    CHECK(json::parse(answer.body).at("detail").as_string() == "header 'X-Consistency-Token': the token belongs to another database system");
  }
  CHECK(s.ask("POST", "/v1/projects", R"({"path":"app"})").status == 201);
}

TEST_CASE("postgres_service.one_server_is_enough_and_any_may_be_named_first") {
  service_config config;
  const test_engine engine;
  engine.use(config);
  SUBCASE("one server") { config.replica_urls.clear(); }
  SUBCASE("a replica first") { std::swap(config.database_url, config.replica_urls[0]); }
  const server s{config};
  const auto created = s.ask("POST", "/v1/projects", R"({"path":"app"})");
  CHECK(created.status == 201);
  CHECK(s.ask("GET", "/v1/projects/1", {}, token_of(created)).status == 200);
}

TEST_CASE("postgres_service.goes_on_when_a_replica_becomes_the_primary") {
  spillway::tests::postgres_cluster nodes{1};  // its own, as it is not the same afterwards
  service_config config;
  config.database_url = nodes.url(0);
  config.replica_urls = {nodes.url(1)};
  const server s{config};
  const auto before = token_of(s.ask("POST", "/v1/projects", R"({"path":"app"})"));
  while (s.ask("GET", "/v1/projects/1").status != 200) std::this_thread::yield();  // the replica has it: nothing is lost
  nodes.halt(0, "KILL");
  nodes.promote(1);
  http_answer started;
  do started = s.ask("POST", "/v1/projects/1/analyses");
  while (started.status == 503 || started.status == 504);
  REQUIRE(started.status == 202);
  CHECK(s.ask("GET", "/v1/projects/1", {}, before).status == 200);
  while (json::parse(s.ask("GET", "/v1/analyses/1").body).at("status").as_string() != "complete") std::this_thread::yield();
  CHECK(json::parse(s.ask("GET", "/v1/analyses/1/files", {}, token_of(started)).body).at("items").as_array().size() == 1);
}

TEST_CASE("postgres_service.readiness_and_metrics_tell_of_the_servers_and_the_partitions") {
  const server s;
  http_answer ready;
  do ready = s.ask("GET", "/readyz");
  while (ready.body.find(R"("starting")") != std::string::npos || ready.body.find("unknown") != std::string::npos);
  CHECK(ready.status == 200);
  for (const auto* check : {"\"database\"", "\"primary\"", "\"replicas\""}) CHECK(ready.body.find(check) != std::string::npos);
  const auto metrics = s.ask("GET", "/metrics").body;
  for (const auto* name : {"db_client_", "partition"}) CHECK(metrics.find(name) != std::string::npos);
}

TEST_CASE("postgres_service.late_replicas_degrade_and_never_fail") {
  const test_engine engine;
  auto db = open_all(engine);
  const auto check = replica_check(db, 500ms);
  while (answer_of(check).state != spillway::health_state::ok) std::this_thread::yield();
  {
    const late_replicas late;
    std::string said;
    for (int i = 0; said.find(" ms behind, more than 500 ms") == std::string::npos; ++i) {
      // There must be something that they lack.
      db.write([&](spillway::write_session& session) { return session.execute("CREATE TABLE lacking" + std::to_string(i) + " ()"); }).value();
      std::this_thread::sleep_for(20ms);
      const auto result = answer_of(check);
      REQUIRE((result.state == spillway::health_state::ok || result.state == spillway::health_state::degraded));
      said = result.message;
    }
  }
  while (answer_of(check).state != spillway::health_state::ok) std::this_thread::yield();
}

TEST_CASE("postgres_service.a_server_that_hangs_is_told_of") {
  const test_engine engine;
  auto db = open_all(engine);
  const auto replicas = replica_check(db, 10s);
  const auto primary = primary_check(db);
  const auto& clock = spillway::system_clock_source();
  const auto ask_primary = [&] { return primary({spillway::deadline::after(clock.now(), 500ms), {}}); };
  while (answer_of(replicas).state != spillway::health_state::ok) std::this_thread::yield();
  CHECK(ask_primary().state == spillway::health_state::ok);
  postgres_nodes().halt(2, "STOP");
  while (answer_of(replicas).state != spillway::health_state::degraded) std::this_thread::yield();
  CHECK(ask_primary().state == spillway::health_state::ok);
  postgres_nodes().resume(2);
  postgres_nodes().halt(0, "STOP");
  CHECK(ask_primary().state == spillway::health_state::failed);
  postgres_nodes().resume(0);
  while (ask_primary().state != spillway::health_state::ok) std::this_thread::yield();
}

TEST_CASE("postgres_service.files_lie_in_the_month_of_their_analysis_and_old_months_are_dropped") {
  const temp_dir dir;
  dir.write("root/app/same.cpp", "int a;\n#include <x>\n");
  dir.write("root/app/changed.cpp", "int b;\n");
  const test_engine engine;
  service_config config;
  engine.use(config);
  config.root = (dir.path() / "root").string();
  config.data_dir = (dir.path() / "data").string();
  config.port = 0;
  const auto wall = spillway::system_clock_source().wall_now();
  const auto ms = [](auto time) { return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count(); };
  const auto quarter_ago = wall - 92 * 24h;
  {
    auto records = engine.open(dir.path());
    spillway::partition_config partitions{.table = "file"};
    partitions.now = [&] { return quarter_ago; };
    spillway::partition_manager{records.database(), partitions}.run().value();
    const project_root root{config.root};
    const auto project = records.add_project("app", "app", ms(quarter_ago)).value();
    const auto analyse_at = [&](unix_ms at) {
      const auto added = records.add_analysis(project.id, at).value();
      REQUIRE(records.begin(added.id, at).value());
      const auto analysis = records.analysis(added.id).value().value();
      const auto report = run_analysis(records, analysis, std::move(root.open("app")->fd), {2, 1 << 20, 1'000, nullptr, {}, {}},
                                       spillway::system_clock_source(), {});
      CHECK(report.summary.outcome == tree_outcome::completed);
      return report;
    };
    const auto count = [&](unix_ms from, unix_ms to) {
      return records.database().read([&](spillway::read_session& session) {
        return session.query_one<int>("SELECT count(*) FROM file WHERE found_at >= $1 AND found_at < $2", from, to).value().value();
      }).value();
    };
    analyse_at(ms(quarter_ago));
    CHECK(count(ms(quarter_ago), month_of(ms(wall))) == 2);
    dir.write("root/app/changed.cpp", "int b;\nint c;\n");
    analyse_at(ms(wall));
    CHECK(count(month_of(ms(wall)), INT64_MAX) == 2);  // the one that changed, and a copy of the other
    analyse_at(ms(wall));
    CHECK(count(month_of(ms(wall)), INT64_MAX) == 2);
    const auto first = records.analysis(1).value().value();
    CHECK(records.files(first, {}).value().size() == 2);
  }
  config.keep_months = 1;
  service running{config, {}, {}};
  running.start();
  http_client client{running.endpoint().port};
  const auto gone = client.request("GET", "/v1/analyses/1/files").value();
  CHECK(gone.status == 410);
  CHECK(json::parse(gone.body).at("detail").as_string() == "the files of analysis 1 are no longer kept; its summary is");
  CHECK(client.request("GET", "/v1/analyses/1/summary")->status == 200);
  for (const auto* id : {"2", "3"}) {
    const auto files = json::parse(client.request("GET", std::string{"/v1/analyses/"} + id + "/files?fields=path,code,imports")->body).at("items");
    CHECK(json::serialize(files) == R"([{"path":"changed.cpp","code":2,"imports":[]},)"
                                    R"({"path":"same.cpp","code":2,"imports":[{"kind":"angled_include","target":"x","line":2}]}])");
  }
  (void)running.stop();
}

TEST_CASE("postgres_service.an_analysis_whose_old_month_is_dropped_meanwhile_fails_and_the_next_is_whole") {
  const temp_dir dir;
  dir.write("app/a.cpp", "int a;\n");
  const test_engine engine;
  auto records = engine.open(dir.path());
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(spillway::system_clock_source().wall_now().time_since_epoch()).count();
  constexpr unix_ms january_2001{978'307'200'000};
  records.database().write([](spillway::write_session& session) {
    return session.execute("CREATE TABLE old PARTITION OF file FOR VALUES FROM (978307200000) TO (980985600000)");
  }).value();
  const auto project = records.add_project("app", "app", january_2001).value();
  const project_root root{dir.path().string()};
  const auto analyse_at = [&](unix_ms at, std::function<bool()> may_complete) {
    const auto added = records.add_analysis(project.id, at).value();
    REQUIRE(records.begin(added.id, at).value());
    const auto analysis = records.analysis(added.id).value().value();
    const auto report = run_analysis(records, analysis, std::move(root.open("app")->fd), {2, 1 << 20, 1'000, nullptr, std::move(may_complete), {}},
                                     spillway::system_clock_source(), {});
    if (report.summary.outcome != tree_outcome::completed) records.abandon(added.id, analysis_status::failed, report.summary.message, at).value();
    return std::pair{analysis, report};
  };
  CHECK(analyse_at(january_2001, {}).second.summary.outcome == tree_outcome::completed);
  SUBCASE("a file that stays") {}
  SUBCASE("a file that changed") { dir.write("app/a.cpp", "int a;\nint b;\n"); }
  const auto drop = [&] {
    records.database().write([](spillway::write_session& session) { return session.execute("DROP TABLE old"); }).value();
    return true;
  };
  const auto failed = analyse_at(now, drop).second.summary;
  CHECK(failed.outcome == tree_outcome::failed);
  CHECK(failed.message.find("files of an old month were dropped") != std::string::npos);
  const auto [next, report] = analyse_at(now, {});
  CHECK(report.summary.outcome == tree_outcome::completed);
  CHECK(records.files(next, {}).value().size() == 1);
}

TEST_CASE("postgres_service.wrong_urls_are_explained_and_no_password_shown") {
  const temp_dir dir;
  std::filesystem::create_directories(dir.path() / "root");
  const auto said_of = [&](std::vector<std::string> variables, int code) {
    variables.push_back("SPILLWAY_ROOT=" + (dir.path() / "root").string());
    variables.push_back("SPILLWAY_DATA_DIR=" + (dir.path() / "data").string());
    child_process child{{ANALYSIS_SERVICE_PROGRAM}, std::move(variables)};
    CHECK(child.wait() == code);
    CAPTURE(child.errors());
    CHECK(child.errors().find("sesame") == std::string::npos);
    return child.errors();
  };
  const auto says = [&](std::vector<std::string> variables, int code, const char* part) {
    const auto said = said_of(std::move(variables), code);
    CAPTURE(said);
    CHECK(said.find(part) != std::string::npos);
  };
  says({"SPILLWAY_DATABASE_URL=sesame"}, 2, "SPILLWAY_DATABASE_URL does not begin with postgresql:// or postgres://; allowed: a URL such as");
  says({"SPILLWAY_REPLICA_URLS=postgresql://a:sesame@h/d"}, 2, "SPILLWAY_REPLICA_URLS is given without SPILLWAY_DATABASE_URL");
  says({"SPILLWAY_DATABASE_URL=postgresql://a:sesame@h:1,i:2/d"}, 2, "SPILLWAY_DATABASE_URL is no URL of a PostgreSQL server: it names several servers");
  says({"SPILLWAY_DATABASE_URL=postgresql://h/d", "SPILLWAY_REPLICA_URLS=postgresql://i/d,postgresql://a:sesame@h/d?nonsense=1"}, 2,
       "SPILLWAY_REPLICA_URLS: number 2 is no URL of a PostgreSQL server");
  says({"SPILLWAY_DATABASE_URL=postgresql://a:sesame@127.0.0.1:1/d"}, 1, "the database of SPILLWAY_DATABASE_URL cannot be opened: ");
  // A password in a file, as secrets are given.
  const test_engine engine;
  service_config config;
  engine.use(config);
  auto url = config.database_url;
  url.replace(url.find("spillway@"), 9, "guarded:sesame@");
  says({"SPILLWAY_DATABASE_URL_FILE=" + dir.write("url", url + "\n")}, 1, "the database of SPILLWAY_DATABASE_URL cannot be opened: ");
}
