// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/service_config.hpp"

#include <spillway/core/config_reader.hpp>

#include <boost/asio/ip/address.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string_view>

namespace analysis {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t most_replicas{63};  // beside the one of database.url, as many as a cluster may have

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

/// Who of several sources gave a value, as the messages about others say it.
std::string source_of(const std::string& file, const std::string& variable, const std::string& key) {
  for (const auto& name : {variable, variable + "_FILE"}) {
    if (std::getenv(name.c_str()) != nullptr) return name;
  }
  return fmt::format("{}: {}", file, key);
}

/// What is wrong with a URL, never saying any of it: it may hold a password.
std::optional<std::string> fault_of(std::string_view url) {
  constexpr std::string_view form{"allowed: a URL such as postgresql://user@host:port/database"};
  if (!url.starts_with("postgresql://") && !url.starts_with("postgres://")) return fmt::format("does not begin with postgresql:// or postgres://; {}", form);
  if (url.size() > 4'096) return fmt::format("is {} bytes long; allowed: at most 4096", url.size());
  if (std::ranges::any_of(url, [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; })) {
    return fmt::format("contains a space or control character, which is written %20 and so on; {}", form);
  }
  return std::nullopt;
}

/// The parts between commas, without the spaces around them; none of an empty text.
std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; !text.empty() && begin <= text.size();) {
    const auto end = std::min(text.find(',', begin), text.size());
    auto part = text.substr(begin, end - begin);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    parts.emplace_back(part);
    begin = end + 1;
  }
  return parts;
}

void read_database(spillway::config_reader& read, const std::string& file, service_config& config) {
  std::string replicas;
  read("database.url", config.database_url);
  read("replica_urls", replicas);
  read("database.max_replica_lag", config.max_replica_lag, 100ms, 24h);
  read("database.keep_months", config.keep_months, 0, 1'200);
  config.replica_urls = split(replicas);
  const auto url_source = source_of(file, "SPILLWAY_DATABASE_URL", "database.url");
  const auto replicas_source = source_of(file, "SPILLWAY_REPLICA_URLS", "replica_urls");
  if (!config.database_url.empty()) {
    if (const auto fault = fault_of(config.database_url)) read.problem(fmt::format("{} {}", url_source, *fault));
  } else if (!config.replica_urls.empty()) {
    read.problem(fmt::format("{} is given without SPILLWAY_DATABASE_URL; allowed: replicas beside a database.url, or none", replicas_source));
  }
  if (config.replica_urls.size() > most_replicas) {
    read.problem(fmt::format("{} names {} servers; allowed: at most {}", replicas_source, config.replica_urls.size(), most_replicas));
  }
  for (std::size_t i = 0; i < config.replica_urls.size(); ++i) {
    if (const auto fault = fault_of(config.replica_urls[i])) read.problem(fmt::format("{}: number {} {}", replicas_source, i + 1, *fault));
  }
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
  read_database(read, file, config);
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
