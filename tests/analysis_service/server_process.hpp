// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/child_process.hpp"
#include "support/http_client.hpp"
#include "support/temp_dir.hpp"

#include <boost/json.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace analysis::tests {

using spillway::tests::child_process;
using spillway::tests::http_client;
using spillway::tests::temp_dir;

inline constexpr std::string_view json_content{"Content-Type: application/json\r\n"};

/// The server as a process.
class server_process {
 public:
  /// `more` are variables of its environment.
  server_process(const temp_dir& dir, std::vector<std::string> more) : child_{{ANALYSIS_SERVICE_PROGRAM, "serve"}, environment(dir, std::move(more))} {
    const auto line = child_.wait_for_error_line("listening on");
    REQUIRE_FALSE(line.empty());
    port_ = static_cast<std::uint16_t>(std::stoi(line.substr(line.rfind(':') + 1)));
  }
  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  child_process& child() noexcept { return child_; }

  boost::json::object analysis(int id) const {
    http_client client{port_};
    const auto answer = client.request("GET", "/v1/analyses/" + std::to_string(id));
    REQUIRE(answer.has_value());
    return boost::json::parse(answer->body).as_object();
  }
  std::string status(int id) const { return analysis(id).at("status").as_string().c_str(); }

 private:
  static std::vector<std::string> environment(const temp_dir& dir, std::vector<std::string> more) {
    for (const auto& each : {"SPILLWAY_ROOT=" + (dir.path() / "root").string(), "SPILLWAY_DATA_DIR=" + (dir.path() / "data").string()}) more.push_back(each);
    for (const auto* each : {"SPILLWAY_HTTP_PORT=0", "SPILLWAY_ACCESS_LOG=off", "SPILLWAY_ANALYSIS_MAX_FILE_BYTES=1TiB"}) more.emplace_back(each);
    return more;
  }

  child_process child_;
  std::uint16_t port_{0};
};

inline void add_endless_file(const temp_dir& dir) {
  std::filesystem::resize_file(dir.write("root/endless/endless.c", std::string(10'000, 'x')), 1ULL << 39U);
}

inline void start_endless_analysis(const server_process& server) {
  http_client client{server.port()};
  REQUIRE(client.request("POST", "/v1/projects", R"({"path":"endless"})", json_content)->status == 201);
  REQUIRE(client.request("POST", "/v1/projects/1/analyses")->status == 202);
  while (server.status(1) != "running") std::this_thread::yield();
}

}  // namespace analysis::tests
