// SPDX-License-Identifier: Apache-2.0
#include "access_log.hpp"

#include <boost/json/parse.hpp>

#include <doctest/doctest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace spillway;
using namespace spillway::examples;
using namespace std::chrono_literals;

namespace {

class temporary_file {
 public:
  temporary_file() {
    const auto fd = ::mkstemp(path_.data());
    REQUIRE(fd >= 0);
    ::close(fd);
  }
  ~temporary_file() { std::filesystem::remove(path_); }

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::vector<boost::json::object> lines() const {
    std::ifstream file{path_};
    std::vector<boost::json::object> all;
    for (std::string line; std::getline(file, line);) all.push_back(boost::json::parse(line).as_object());
    return all;
  }

 private:
  std::string path_{std::filesystem::temp_directory_path() / "spillway_access_log_XXXXXX"};
};

http_access_record record_of(std::string_view target) {
  http_access_record record;
  record.at = wall_time_point{1'000'000'000s + 45ms};
  record.duration = 1500us;
  record.method_name = "GET";
  record.status = 200;
  record.target = target;
  record.route = "/a/{b}";
  record.request_id = "id";
  return record;
}

}  // namespace

TEST_CASE("access_log.writes_a_json_object_a_line") {
  const temporary_file file;
  access_log log{{.file = file.path()}};
  auto record = record_of("/a/1");
  log.sink()(record);
  record.outcome = http_outcome::rejected;
  record.reason = "malformed";
  log.sink()(record);
  const std::array<log_field, 1> fields{{{"error", "no \"quotes\""}}};
  log.events()({log_level::warning, "http", "something happened", fields});
  log.flush();
  const auto lines = file.lines();
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].at("at").as_string() == "2001-09-09T01:46:40.045Z");
  CHECK(lines[0].at("route").as_string() == "/a/{b}");
  CHECK(lines[0].at("status").as_int64() == 200);
  CHECK(lines[0].at("duration_us").as_int64() == 1500);
  CHECK(lines[0].at("outcome").as_string() == "completed");
  CHECK_FALSE(lines[0].contains("reason"));
  CHECK(lines[1].at("reason").as_string() == "malformed");
  CHECK(lines[2].at("level").as_string() == "warning");
  CHECK(lines[2].at("error").as_string() == "no \"quotes\"");
}

TEST_CASE("access_log.any_bytes_of_a_client_stay_within_their_line") {
  const temporary_file file;
  access_log log{{.file = file.path()}};
  const auto sink = log.sink();
  std::mt19937 generator{5};
  std::uniform_int_distribution<int> byte{0, 255};
  for (int i = 0; i < 2'000; ++i) {
    std::string target(30, ' ');
    for (char& c : target) c = static_cast<char>(byte(generator));
    auto record = record_of(target);
    record.user_agent = target;
    record.method_name = target;
    sink(record);
  }
  log.flush();
  CHECK(file.lines().size() == 2'000);  // each parsed
}

TEST_CASE("access_log.loses_nothing_from_several_threads") {
  const temporary_file file;
  {
    access_log log{{.file = file.path(), .write_every = 1ms}};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([sink = log.sink()] {
        for (int i = 0; i < 1'000; ++i) sink(record_of("/x"));
      });
    }
    for (auto& thread : threads) thread.join();
    CHECK(log.dropped() == 0);
  }  // the destructor writes what is pending
  CHECK(file.lines().size() == 4'000);
}

TEST_CASE("access_log.counts_and_tells_what_it_had_to_drop") {
  const temporary_file file;
  http_access_sink sink;
  {
    access_log log{{.file = file.path(), .max_pending_bytes = 1'000, .write_every = 1h}};
    sink = log.sink();
    for (int i = 0; i < 100; ++i) sink(record_of("/x"));
    const auto lost = log.dropped();
    CHECK(lost > 90);
    CHECK(lost < 100);
    log.flush();
    const auto lines = file.lines();
    REQUIRE(lines.size() == 100 - lost + 1);
    CHECK(lines.back().at("count").to_number<std::uint64_t>() == lost);
  }
  sink(record_of("/x"));  // the log is gone: dropped without harm
}
