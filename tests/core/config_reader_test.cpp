// SPDX-License-Identifier: Apache-2.0
#include <spillway/core/config_reader.hpp>

#include "support/temp_dir.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

using namespace spillway;
using namespace std::chrono_literals;

namespace {

config_sources environment(std::vector<std::string> lines) {
  config_sources sources;
  sources.environment = std::move(lines);
  return sources;
}

/// What `use` makes the reader complain about.
template <class Use>
std::vector<std::string> problems(const config_sources& sources, Use use) {
  try {
    config_reader read{sources};
    use(read);
    read.finish();
  } catch (const config_error& failure) {
    return failure.problems();
  }
  return {};
}

}  // namespace

TEST_CASE("config_reader.a_value_that_nobody_gave_stays_the_default") {
  int port{8080};
  std::chrono::seconds idle{30};
  CHECK(problems(environment({"PATH=/bin", "HOME=/"}), [&](config_reader& read) {
          read("http.port", port, 0, 65'535);
          read("http.idle", idle, 1s, 1h);
        }).empty());
  CHECK(port == 8080);
  CHECK(idle == 30s);
}

TEST_CASE("config_reader.reads_each_kind_of_value_from_the_environment") {
  int port{0};
  unsigned small{0};
  std::chrono::milliseconds wait{0};
  double share{0};
  bool on{false};
  std::string name;
  std::uint64_t size{0};
  enum class mode { fast, safe } chosen{mode::fast};
  CHECK(problems(environment({"SPILLWAY_HTTP_PORT=81", "SPILLWAY_SMALL=7", "SPILLWAY_WAIT=1.5s", "SPILLWAY_SHARE=0.25",
                              "SPILLWAY_ON=true", "SPILLWAY_NAME=a=b", "SPILLWAY_SIZE=64KiB", "SPILLWAY_MODE=safe"}),
                 [&](config_reader& read) {
                   read("http.port", port, 0, 65'535);
                   read("small", small);
                   read("wait", wait, 0ms, 1h);
                   read("share", share, 0.0, 1.0);
                   read("on", on);
                   read("name", name);
                   read.bytes("size", size, 1, 1 << 20);
                   read.choice("mode", chosen, {{"fast", mode::fast}, {"safe", mode::safe}});
                 }).empty());
  CHECK(port == 81);
  CHECK(small == 7);
  CHECK(wait == 1'500ms);
  CHECK(share == doctest::Approx(0.25));
  CHECK(on);
  CHECK(name == "a=b");
  CHECK(size == 65'536);
  CHECK(chosen == mode::safe);
}

TEST_CASE("config_reader.each_mistake_names_variable_value_and_legal_range") {
  int port{8080};
  std::chrono::milliseconds wait{5};
  double share{0};
  bool on{false};
  std::uint64_t size{1};
  int chosen{0};
  const auto found = problems(environment({"SPILLWAY_HTTP_PORT=70000", "SPILLWAY_WAIT=soon", "SPILLWAY_SHARE=nan", "SPILLWAY_ON=yes",
                                           "SPILLWAY_SIZE=2GiB", "SPILLWAY_MODE=slow"}),
                              [&](config_reader& read) {
                                read("http.port", port, 0, 65'535);
                                read("wait", wait, 1ms, 1min);
                                read("share", share, 0.0, 1.0);
                                read("on", on);
                                read.bytes("size", size, 1, 1 << 30);
                                read.choice("mode", chosen, {{"fast", 1}, {"safe", 2}});
                              });
  REQUIRE(found.size() == 6);
  CHECK(found[0] == "SPILLWAY_HTTP_PORT is '70000'; allowed: a whole number in [0, 65535]");
  CHECK(found[1] == "SPILLWAY_WAIT is 'soon'; allowed: a duration such as 250ms or 30s in [1ms, 1m]");
  CHECK(found[2] == "SPILLWAY_SHARE is 'nan'; allowed: a number in [0, 1]");
  CHECK(found[3] == "SPILLWAY_ON is 'yes'; allowed: true, false, 1, 0, on or off");
  CHECK(found[4] == "SPILLWAY_SIZE is '2GiB'; allowed: a size such as 64KiB or 2MiB in [1, 1GiB]");
  CHECK(found[5] == "SPILLWAY_MODE is 'slow'; allowed: fast, safe");
  CHECK(port == 8080);
  CHECK(wait == 5ms);
}

TEST_CASE("config_reader.values_that_are_no_values_are_refused") {
  for (const auto* text : {"", " 1", "1 ", "1x", "0x1", "99999999999999999999", "1e3", "--1"}) {
    CAPTURE(text);
    int value{3};
    CHECK(problems(environment({std::string{"SPILLWAY_N="} + text}), [&](config_reader& read) { read("n", value); }).size() == 1);
    CHECK(value == 3);
  }
  for (const auto* text : {"", "5", "ms", "-1s", "1.2.3s", "1 s", "1S", "99999999999d"}) {
    CAPTURE(text);
    std::chrono::nanoseconds value{3};
    CHECK(problems(environment({std::string{"SPILLWAY_N="} + text}), [&](config_reader& read) {
            read("n", value, 0ns, std::chrono::nanoseconds::max());
          }).size() == 1);
    CHECK(value == 3ns);
  }
}

TEST_CASE("config_reader.an_unknown_variable_is_an_error_with_the_nearest_name") {
  int value{0};
  const auto found = problems(environment({"SPILLWAY_MAX_SISE=4"}), [&](config_reader& read) { read("max.size", value); });
  REQUIRE(found.size() == 1);
  CHECK(found[0] == "SPILLWAY_MAX_SISE is unknown; did you mean SPILLWAY_MAX_SIZE?");
}

TEST_CASE("config_reader.the_environment_wins_over_the_file") {
  const tests::temp_dir dir;
  config_sources sources = environment({"SPILLWAY_HTTP_PORT=1"});
  sources.file = dir.write("config.json", R"({
    // comments and trailing commas are fine
    "http": {"port": 2, "hosts": ["a", "b"]}, "wait": "3s",
  })");
  int port{0};
  std::string hosts;
  std::chrono::seconds wait{0};
  CHECK(problems(sources, [&](config_reader& read) {
          read("http.port", port);
          read("http.hosts", hosts);
          read("wait", wait, 0s, 1h);
        }).empty());
  CHECK(port == 1);
  CHECK(hosts == "a,b");
  CHECK(wait == 3s);
}

TEST_CASE("config_reader.mistakes_in_the_file_name_file_and_key") {
  const tests::temp_dir dir;
  config_sources sources = environment({});
  sources.file = dir.write("config.json", R"({"http": {"port": 99999, "idel": 1, "backlog": [8080]}, "gone": null})");
  int port{0};
  int backlog{7};
  int idle{0};
  const auto found = problems(sources, [&](config_reader& read) {
    read("http.port", port, 0, 65'535);
    read("http.idle", idle);
    read("http.backlog", backlog);
  });
  REQUIRE(found.size() == 4);
  CHECK(found[0] == sources.file + ": gone is null; allowed: text, a number, true, false, or a list of those");
  CHECK(found[1] == sources.file + ": http.port is '99999'; allowed: a whole number in [0, 65535]");
  CHECK(found[2].starts_with(sources.file + ": http.backlog is a list, '8080'; allowed: a whole number in ["));
  CHECK(found[3] == sources.file + ": http.idel is unknown; did you mean http.idle?");
  CHECK(backlog == 7);
}

TEST_CASE("config_reader.a_file_that_is_no_configuration_is_refused_whole") {
  const tests::temp_dir dir;
  for (const auto* text : {"", "[1]", "{", "{\"a\":}", "nonsense"}) {
    CAPTURE(text);
    config_sources sources = environment({});
    sources.file = dir.write("config.json", text);
    CHECK_THROWS_AS(config_reader{sources}, config_error);
  }
  config_sources missing = environment({});
  missing.file = dir.path() / "missing.json";
  CHECK_THROWS_WITH_AS(config_reader{missing}, doctest::Contains("cannot be opened"), config_error);
  config_sources large = environment({});
  large.file = dir.write("large.json", std::string(1'100'000, ' '));
  CHECK_THROWS_WITH_AS(config_reader{large}, doctest::Contains("larger than 1 MiB"), config_error);
}

TEST_CASE("config_reader.a_secret_comes_from_a_file_and_stays_out_of_messages") {
  const tests::temp_dir dir;
  const auto path = dir.write("token", "s3cret\n");
  std::string token;
  CHECK(problems(environment({"SPILLWAY_TOKEN_FILE=" + path}), [&](config_reader& read) { read("token", token); }).empty());
  CHECK(token == "s3cret");
  const auto found = problems(environment({"SPILLWAY_TOKEN_FILE=" + path + ".gone"}), [&](config_reader& read) { read("token", token); });
  REQUIRE(found.size() == 1);
  CHECK(found[0] == "SPILLWAY_TOKEN_FILE is " + path + ".gone: cannot be opened");
}

TEST_CASE("config_reader.reads_the_environment_of_the_process_by_default") {
  ::setenv("SPILLWAYTEST_PORT", "12", 1);
  config_sources sources;
  sources.prefix = "SPILLWAYTEST_";
  int port{0};
  CHECK(problems(sources, [&](config_reader& read) { read("port", port); }).empty());
  ::unsetenv("SPILLWAYTEST_PORT");
  CHECK(port == 12);
}
