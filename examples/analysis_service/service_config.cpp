// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/service_config.hpp"

#include <spillway/core/config_reader.hpp>

#include <boost/asio/ip/address.hpp>

#include <cstdlib>
#include <filesystem>

namespace analysis {

using namespace std::chrono_literals;

namespace {

bool is_address(const std::string& text) {
  boost::system::error_code not_an_address;
  (void)boost::asio::ip::make_address(text, not_an_address);
  return !not_an_address;
}

bool is_access_log(const std::string& text) {
  if (text == "-" || text == "off") return true;
  const auto folder = std::filesystem::absolute(text).parent_path();
  std::error_code failure;
  return !text.empty() && std::filesystem::is_directory(folder, failure) && !std::filesystem::is_directory(text, failure);
}

}  // namespace

std::string default_data_dir() {
  const auto* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return std::string{state} + "/spillway/analysis_service";
  const auto* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return std::string{home} + "/.local/state/spillway/analysis_service";
  return "spillway-data";
}

service_config load_service_config(const std::string& file) {
  service_config config;
  config.data_dir = default_data_dir();
  spillway::config_sources sources;
  sources.file = file;
  spillway::config_reader read{sources};
  read("root", config.root);
  read("data_dir", config.data_dir);
  read.text("http.host", config.host, is_address, "an IPv4 or IPv6 address in digits");
  read("http.port", config.port);
  read("http.threads", config.http_threads, 0, 256);
  read("http.max_connections", config.max_connections, 1, 1'000'000);
  read("http.idle_timeout", config.idle_timeout, 100ms, 1h);
  read.bytes("http.max_body", config.max_body_bytes, 1024, 16ULL << 20U);
  read("drain_timeout", config.drain_timeout, 0ms, 10min);
  read("drain_delay", config.drain_delay, 0ms, 5min);
  read("health.details", config.health_details);
  read("analysis.threads", config.analysis_threads, 0, 256);
  read("analysis.concurrent", config.concurrent_analyses, 1, 64);
  read("analysis.max_queued", config.max_queued_analyses, 1, 100'000);
  read.bytes("analysis.max_file_bytes", config.max_file_bytes, 1024, 1ULL << 40U);
  read("analysis.max_files", config.max_files, 1, 100'000'000);
  read.text("access_log", config.access_log, is_access_log, "- (standard output), off, or a file in a folder that exists");
  read.finish();
  return config;
}

}  // namespace analysis
