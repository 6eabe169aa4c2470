// SPDX-License-Identifier: Apache-2.0
#include "layers/co_await_rule.hpp"

#include <doctest/doctest.h>

namespace {

/// Number of findings in `body`, taken as a coroutine's body.
std::size_t found(const std::string& body) {
  return spillway::testing::check_co_await("a.cpp", "asio::awaitable<void> f(int a) {\n" + body + "\n}\n").size();
}

}  // namespace

TEST_CASE("co_await_rule.a_planted_lambda_is_named_by_line_and_text") {
  const auto findings = spillway::testing::check_co_await("a.cpp", "task f() {\n  int a = 0;\n  co_await retry([a] { return a; });\n}\n");
  REQUIRE(findings.size() == 1);
  CHECK(to_string(findings.front()).find("a.cpp:3: co_await retry([a] { return a; });: a capturing lambda") == 0);
}

TEST_CASE("co_await_rule.copying_captures_are_refused") {
  CHECK(found("co_await retry([conn]{ conn->ping(); });") == 1);
  CHECK(found("co_await retry([=]{});") == 1);
  CHECK(found("co_await retry([&, conn]{});") == 1);
  CHECK(found("co_await retry([c = std::move(conn)]() mutable {});") == 1);
  CHECK(found("co_await co_spawn(ex, [self]() -> asio::awaitable<void> { co_await self->run(); }, use_awaitable);") == 1);
  CHECK(found("co_await (a() && retry([v]{ return v; }));") == 1);
  CHECK(found("co_await [t]() -> asio::awaitable<int> { co_return t; }();") == 1);
  CHECK(found("const auto n = g([t] { return t; }, co_await h());") == 1);
  CHECK(found("if (co_await retry([t] { return t; })) return;") == 1);
}

TEST_CASE("co_await_rule.braced_temporaries_are_refused") {
  CHECK(found("co_await f(options{.name = s});") == 1);
  CHECK(found("co_await f({});") == 1);
  CHECK(found("co_await f(std::array<std::string, 2>{a, b});") == 1);
  CHECK(found("aggregate x{co_await a(), co_await b()};") == 1);
  CHECK(found("aggregate x{co_await a()};") == 1);
  CHECK(found("co_return pair{co_await a(), 1};") == 1);
  CHECK(found("while (co_await f(options{a})) g();") == 1);
  CHECK(found("auto [e, n] = co_await f(\n    x, options{\n      a});") == 1);
}

TEST_CASE("co_await_rule.what_is_named_first_is_allowed") {
  CHECK(found("auto op = [conn]{ conn->ping(); };\nco_await retry(std::move(op));") == 0);
  CHECK(found("options o{.name = s};\nco_await f(std::move(o));") == 0);
  CHECK(found("options o{.name = s};\n*p = co_await f(o);") == 0);
  CHECK(found("if (x) { g(options{1}); }\nco_await f();") == 0);
  CHECK(found("if (x) { g(options{1}); }\n(void)co_await f();") == 0);
  CHECK(found("for (auto& each : all) { co_await each.run(); }") == 0);
  CHECK(found("if (const auto n = co_await f(); n > 0) { g(options{n}); } else { h(options{2}); }") == 0);
  CHECK(found("while (co_await f()) { g([a]{ return a; }); }") == 0);
  CHECK(found("switch (co_await f()) { case 1: g(options{1}); }") == 0);
  CHECK(found("co_await f([] { return options{1}; });") == 0);
  CHECK(found("co_await f([&] { auto g = [a]{ return a; }; return g(); });") == 0);
  CHECK(found("co_await f([this, &a] { return a; });") == 0);
  CHECK(found("x[0] = co_await f(y[a]);") == 0);
  CHECK(found("co_spawn(ex, [self]() -> asio::awaitable<void> { co_await self->run(); }, asio::detached);") == 0);
  CHECK(found("co_spawn(ex, [self]() mutable noexcept(true) -> asio::awaitable<void> { co_await self->run(); }, asio::detached);") == 0);
  CHECK(found("auto g = [a]<class T>(T t) -> asio::awaitable<T> { co_return co_await t(a); };") == 0);
  CHECK(found("try { co_await f(); } catch (...) { g(options{1}); }") == 0);
  CHECK(found("do { co_await f(); } while (x);") == 0);
  CHECK(found("// co_await f(options{a});\nconst auto* s = \"co_await f({})\";") == 0);
}

TEST_CASE("co_await_rule.types_and_functions_around_are_no_temporaries") {
  CHECK(spillway::testing::check_co_await("a.cpp", "struct s : base {\n  asio::awaitable<void> f() const noexcept { co_await g(); }\n};\n").empty());
  CHECK(spillway::testing::check_co_await("a.cpp", "auto f() -> asio::awaitable<std::vector<int>> { co_return co_await g(); }\n").empty());
  CHECK(spillway::testing::check_co_await("a.cpp", "#define RUN(x) co_await f({x})\nnamespace a {\nvoid f() {}\n}\n").empty());
}
