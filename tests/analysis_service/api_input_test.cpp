// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/api_input.hpp"
#include "analysis_service/json_text.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <random>

using namespace analysis;

namespace {

std::string refused(std::string_view body, std::optional<std::string_view> type = "application/json") {
  const auto input = parse_project(body, type);
  return input ? "accepted" : std::to_string(input.error().status) + " " + input.error().detail;
}

}  // namespace

TEST_CASE("api_input.reads_a_project") {
  const auto input = parse_project(R"({"path": "a/b", "name": "größe"})", "Application/JSON; charset=utf-8");
  REQUIRE(input.has_value());
  CHECK(input->path == "a/b");
  CHECK(input->name == "größe");
  CHECK(parse_project(R"({"path": "a"})", "application/json")->name.empty());
}

TEST_CASE("api_input.each_wrong_body_gets_a_reason") {
  CHECK(refused("{}").starts_with("422 'path' is missing"));
  CHECK(refused(R"({"path": 1})") == "422 'path' must be text");
  CHECK(refused(R"({"path": "a", "nmae": "b"})") == "422 'nmae' is unknown; allowed: path, name");
  CHECK(refused(R"({"path": "a", "name": ""})").starts_with("422 'name' is empty"));
  CHECK(refused(R"({"path": "a", "name": "a\u0000b"})") == "422 'name' contains control characters");
  CHECK(refused(R"({"path": "a", "name": ")" + std::string(201, 'n') + "\"}") == "422 'name' is 201 bytes long; at most 200 are allowed");
  CHECK(refused("[]").starts_with("422 the body must be a JSON object"));
  CHECK(refused("").starts_with("400 the body is not valid JSON"));
  CHECK(refused("{").starts_with("400 the body is not valid JSON"));
  CHECK(refused(std::string(100, '[') + std::string(100, ']')).starts_with("400 the body is not valid JSON"));
  CHECK(refused("{\"path\": \"\xff\"}").starts_with("400 the body is not valid JSON"));
  CHECK(refused(R"({"path": "a"})", std::nullopt) == "415 the body must be application/json");
  CHECK(refused("{}", "text/plain") == "415 the body must be application/json");
  CHECK(refused("{}", "application/jsonx") == "415 the body must be application/json");
}

TEST_CASE("api_input.no_bytes_make_it_stumble") {
  std::mt19937_64 generator{21};
  const std::string good{R"({"path": "a/b", "name": "x"})"};
  for (int i = 0; i < 20'000; ++i) {
    auto body = good;
    for (auto edits = 1 + generator() % 4; edits > 0; --edits) body[generator() % body.size()] = static_cast<char>(generator());
    const auto input = parse_project(body, "application/json");
    if (input.has_error()) REQUIRE_FALSE(input.error().detail.empty());
  }
}

TEST_CASE("api_input.an_id_is_a_positive_whole_number") {
  CHECK(parse_id("42") == 42);
  for (const auto* text : {"", "0", "-1", "1.0", "0x1", " 1", "9223372036854775808", "one"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_id(text).has_value());
  }
}

TEST_CASE("json_text.times_are_utc_with_milliseconds") {
  CHECK(utc_text(0) == "1970-01-01T00:00:00.000Z");
  CHECK(utc_text(951'827'696'789) == "2000-02-29T12:34:56.789Z");
}

TEST_CASE("json_text.hostile_names_stay_valid_json") {
  project_record project{1, "a\"b\\\n\xff", "x", 0};
  CHECK(to_json(project) == "{\"id\":1,\"name\":\"a\\\"b\\\\\\u000a\xEF\xBF\xBD\",\"path\":\"x\",\"created_at\":\"1970-01-01T00:00:00.000Z\"}");
}

TEST_CASE("api_input.a_token_is_checked_against_the_system_it_is_for") {
  const spillway::consistency_token token{7, 1, 100};
  CHECK(parse_token(std::nullopt, 7)->empty());
  CHECK(parse_token("", 7)->empty());
  CHECK(*parse_token(token.to_string(), 7) == token);
  CHECK(parse_token(token.to_string(), std::nullopt)->empty());  // no replicas, nothing to ask for
  const auto foreign = parse_token(token.to_string(), 8);
  REQUIRE(foreign.has_error());
  CHECK(foreign.error().status == 400);
  CHECK(foreign.error().detail == "header 'X-Consistency-Token': the token belongs to another database system");
  for (const auto system : {std::optional<std::uint64_t>{7}, std::optional<std::uint64_t>{}}) {
    const auto wrong = parse_token("nonsense", system);
    REQUIRE(wrong.has_error());
    CHECK(wrong.error().status == 400);
    CHECK(wrong.error().detail.find("header 'X-Consistency-Token': ") == 0);
  }
}
