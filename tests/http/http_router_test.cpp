// SPDX-License-Identifier: Apache-2.0
#include <spillway/http/http_router.hpp>

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <vector>

using namespace spillway;

namespace {

http_response nothing(const http_request&) { return http_response{204}; }

http_router projects() {
  http_router router;
  router.get("/", nothing);
  router.get("/v1/projects", nothing);
  router.post("/v1/projects", nothing);
  router.get("/v1/projects/{id}", nothing);
  router.del("/v1/projects/{id}", nothing);
  router.get("/v1/projects/new", nothing);
  router.post("/v1/projects/{id}/analyses", nothing);
  router.get("/v1/projects/{id}/analyses/{analysis}", nothing);
  router.get("/files/{path*}", nothing);
  router.get("/files/readme", nothing);
  return router;
}

}  // namespace

TEST_CASE("http_router.finds_the_route_of_a_path") {
  struct row {
    http_method method;
    std::string path;
    int status;
    std::string pattern;
    std::vector<std::pair<std::string, std::string>> parameters;
  };
  const std::vector<row> table{
      {http_method::get, "/", 200, "/", {}},
      {http_method::get, "/v1/projects", 200, "/v1/projects", {}},
      {http_method::post, "/v1/projects", 200, "/v1/projects", {}},
      {http_method::get, "/v1/projects/", 404, "", {}},
      {http_method::get, "/V1/projects", 404, "", {}},
      {http_method::get, "/v1/projects/7", 200, "/v1/projects/{id}", {{"id", "7"}}},
      {http_method::get, "/v1/projects/a%20b%2Fc", 200, "/v1/projects/{id}", {{"id", "a b/c"}}},
      {http_method::get, "/v1/%70rojects/7", 200, "/v1/projects/{id}", {{"id", "7"}}},
      {http_method::del, "/v1/projects/7", 200, "/v1/projects/{id}", {{"id", "7"}}},
      {http_method::get, "/v1/projects/new", 200, "/v1/projects/new", {}},
      {http_method::del, "/v1/projects/new", 200, "/v1/projects/{id}", {{"id", "new"}}},
      {http_method::post, "/v1/projects/new/analyses", 200, "/v1/projects/{id}/analyses", {{"id", "new"}}},
      {http_method::get, "/v1/projects/7/analyses/9", 200, "/v1/projects/{id}/analyses/{analysis}", {{"id", "7"}, {"analysis", "9"}}},
      {http_method::head, "/v1/projects/7", 200, "/v1/projects/{id}", {{"id", "7"}}},
      {http_method::get, "/files/", 200, "/files/{path*}", {{"path", ""}}},
      {http_method::get, "/files/a/b/c.txt", 200, "/files/{path*}", {{"path", "a/b/c.txt"}}},
      {http_method::get, "/files/a%2Fb/c", 200, "/files/{path*}", {{"path", "a/b/c"}}},
      {http_method::get, "/files/readme", 200, "/files/readme", {}},
      {http_method::get, "/files/readme/x", 200, "/files/{path*}", {{"path", "readme/x"}}},
      {http_method::get, "/files", 404, "", {}},
      {http_method::put, "/v1/projects/7", 405, "", {}},
      {http_method::get, "/files/../etc/passwd", 400, "", {}},
      {http_method::get, "/files/%2e%2E/etc/passwd", 400, "", {}},
      {http_method::get, "/files/..%2F..%2Fetc%2Fpasswd", 400, "", {}},
      {http_method::get, "/files/a%2F%2e%2e%2Fb", 400, "", {}},
      {http_method::get, "/files/a%2f.", 400, "", {}},
      {http_method::get, "/v1/projects/..%2F7", 400, "", {}},
      {http_method::get, "/files//etc/passwd", 404, "", {}},
      {http_method::get, "/files/%2Fetc/passwd", 404, "", {}},
      {http_method::get, "/files/%2fetc%2fpasswd", 404, "", {}},
      {http_method::get, "/files/a//b..c/...", 200, "/files/{path*}", {{"path", "a//b..c/..."}}},
      {http_method::get, "/files/%", 400, "", {}},
      {http_method::get, "/files/%zz", 400, "", {}},
      {http_method::get, "/files/a%00b", 400, "", {}},
      {http_method::get, "no-slash", 400, "", {}},
      {http_method::get, std::string(200, '/'), 400, "", {}},
  };
  const auto router = projects();
  for (const auto& row : table) {
    CAPTURE(row.path);
    const auto match = router.match(row.method, row.path);
    CHECK(match.status == row.status);
    CHECK(match.pattern == row.pattern);
    CHECK(match.parameters == row.parameters);
  }
}

TEST_CASE("http_router.lists_all_methods_that_a_path_answers") {
  const auto router = projects();
  CHECK(router.match(http_method::put, "/v1/projects").allow == "GET, HEAD, POST, OPTIONS");
  CHECK(router.match(http_method::put, "/v1/projects/new").allow == "GET, HEAD, DELETE, OPTIONS");  // of both patterns
}

TEST_CASE("http_router.a_path_that_leads_nowhere_by_text_is_tried_by_parameter") {
  http_router router;
  router.get("/a/b/c", nothing);
  router.get("/a/{x}/d", nothing);
  router.get("/{rest*}", nothing);
  CHECK(router.match(http_method::get, "/a/b/c").pattern == "/a/b/c");
  CHECK(router.match(http_method::get, "/a/b/d").pattern == "/a/{x}/d");
  CHECK(router.match(http_method::get, "/a/b/e").parameters.at(0).second == "a/b/e");
  CHECK(router.match(http_method::get, "/").pattern == "/{rest*}");
}

TEST_CASE("http_router.two_routes_for_one_request_are_refused") {
  auto router = projects();
  CHECK_THROWS_WITH_AS(router.get("/v1/projects/new", nothing),
                       "http_router: GET '/v1/projects/new' conflicts with '/v1/projects/new', which is registered already",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(router.put("/v1/projects/{name}", nothing),
                       "http_router: '/v1/projects/{name}' conflicts with '/v1/projects/{id}': one place in the path would be called both "
                       "'name' and 'id'",
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS(router.get("/files/{other*}", nothing),
                       "http_router: '/files/{other*}' conflicts with '/files/{path*}': one place in the path would be called both 'other' "
                       "and 'path'",
                       std::invalid_argument);
}

TEST_CASE("http_router.a_malformed_pattern_is_refused_with_its_reason") {
  const std::vector<std::pair<std::string, std::string>> table{
      {"", "does not begin with a slash"},
      {"v1", "does not begin with a slash"},
      {"/a//b", "has an empty segment"},
      {"/a/../b", "has a dot segment, which no request can have"},
      {"/{a*}/b", "has a rest that is not its last segment"},
      {"/{}", "has a parameter whose name is not letters, digits and underscores"},
      {"/{1a}", "has a parameter whose name is not letters, digits and underscores"},
      {"/{a-b}", "has a parameter whose name is not letters, digits and underscores"},
      {"/{a}/{a}", "has two parameters of one name"},
      {"/x{a}", "has a character that is not allowed in text; parameters are whole segments, and text is written decoded"},
      {"/a?b", "has a character that is not allowed in text; parameters are whole segments, and text is written decoded"},
      {"/a%20b", "has a character that is not allowed in text; parameters are whole segments, and text is written decoded"},
  };
  for (const auto& [pattern, why] : table) {
    http_router router;
    const auto message = "http_router: the pattern '" + pattern + "' " + why;
    CHECK_THROWS_WITH_AS(router.get(pattern, nothing), message.c_str(), std::invalid_argument);
  }
}

TEST_CASE("http_router.bad_options_are_refused") {
  http_router router;
  http_route_options options;
  options.timeout = std::chrono::milliseconds{0};
  CHECK_THROWS_WITH_AS(router.get("/a", nothing, options), "http_route_options.timeout of '/a' is 0 ms; it must be above zero",
                       std::invalid_argument);
  options = {};
  options.max_body_bytes = std::uint64_t{1} << 41;
  CHECK_THROWS_AS(router.get("/a", nothing, options), std::invalid_argument);
  CHECK_THROWS_AS(router.route(http_method::connect, "/a", nothing), std::invalid_argument);
}
