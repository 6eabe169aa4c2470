// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/error.hpp>
#include <spillway/http/http_response.hpp>

#include <doctest/doctest.h>

#include <stdexcept>

using namespace spillway;

TEST_CASE("http_response.headers_are_set_added_and_removed_in_any_case") {
  auto response = http_response::text("hello").set("ETag", "1").set("etag", "2");
  CHECK(response.header("ETAG") == "2");
  CHECK(response.header("content-type") == "text/plain; charset=utf-8");
  response.add("Set-Cookie", "a=1").add("Set-Cookie", "b=2");
  CHECK(response.headers().size() == 4);
  response.remove("set-cookie");
  CHECK(response.headers().size() == 2);
  CHECK_FALSE(response.header("Set-Cookie"));
}

TEST_CASE("http_response.a_header_can_be_set_from_one_of_the_same_response") {
  auto response = http_response{}.set("X-First", "first").set("X-Second", "other");
  response.set("X-First", *response.header("X-First"));
  CHECK(response.header("X-First") == "first");
  response.set(response.headers().front().name, "new");
  CHECK(response.header("X-Second") == "new");
  CHECK(response.headers().size() == 2);
}

TEST_CASE("http_response.a_header_that_would_break_the_message_is_refused") {
  http_response response;
  CHECK_THROWS_WITH_AS(response.set("X-Name", "a\r\nSet-Cookie: b"),
                       "http_response: the value of the header 'X-Name' has a control character", std::invalid_argument);
  CHECK_THROWS_AS(response.add("X-Name", std::string_view{"a\0b", 3}), std::invalid_argument);
  CHECK_THROWS_WITH_AS(response.set("X Name", "a"), "http_response: 'X Name' is not a header name", std::invalid_argument);
  CHECK_THROWS_AS(response.set("", "a"), std::invalid_argument);
  CHECK_THROWS_WITH_AS(response.set("content-LENGTH", "5"), "http_response: the header 'content-LENGTH' is set by the server",
                       std::invalid_argument);
  CHECK_THROWS_AS(response.set("Transfer-Encoding", "chunked"), std::invalid_argument);
  CHECK(response.headers().empty());
}

TEST_CASE("http_response.a_status_no_response_can_have_is_refused") {
  CHECK_THROWS_WITH_AS(http_response{199}, "http_response: the status 199 is not in [200, 599]", std::invalid_argument);
  CHECK_THROWS_AS(http_response::text("", 600), std::invalid_argument);
  http_response response;
  CHECK_THROWS_AS(response.status(101), std::invalid_argument);
  CHECK(response.status() == 200);
}

TEST_CASE("http_response.a_shared_body_is_not_copied") {
  const auto body = std::make_shared<const std::string>("shared");
  const auto response = http_response::shared("text/plain", body);
  CHECK(response.body().data() == body->data());
}

TEST_CASE("http_status_of.answers_by_condition") {
  static constexpr error_entry entries[]{{1, "", errc::overloaded},    {2, "", errc::timed_out},  {3, "", errc::unavailable},
                                         {4, "", errc::shutting_down}, {5, "", errc::cancelled},  {6, "", errc::invalid},
                                         {7, "", errc::not_found},     {8, "", errc::conflict},   {9, "", errc::permission_denied},
                                         {10, "", errc::internal}};
  static const auto& category = make_error_category("spillway.http_test", 0x7350'696c'ffff'0001u, entries);
  constexpr int expected[]{503, 504, 503, 503, 503, 400, 404, 409, 403, 500};
  for (int value = 1; value <= 10; ++value) CHECK(http_status_of({value, category}) == expected[value - 1]);
  CHECK(http_status_of(boost::system::errc::make_error_code(boost::system::errc::io_error)) == 500);
}
