// SPDX-License-Identifier: Apache-2.0
/// @file
/// Everything about the server that can be set from outside.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace analysis {

/// Read from SPILLWAY_... variables and a JSON file by `load_service_config`; the key stands at each field.
struct service_config {
  std::string root{"."};   ///< `root`: projects lie below this directory.
  std::string data_dir;    ///< `data_dir`: where the database of SQLite lives, and the lock of this server; created if missing. Default: `default_data_dir()`.

  std::string database_url{};                              ///< `database.url`: a PostgreSQL server, the primary or any of its replicas. Empty: SQLite.
  std::vector<std::string> replica_urls{};                 ///< `replica_urls`: the other servers, separated by commas.
  std::chrono::milliseconds max_replica_lag{10'000};       ///< `database.max_replica_lag`: more is degraded; in [100ms, 1d].
  unsigned keep_months{0};                                 ///< `database.keep_months`: full months of results that are kept; in [0, 1200]; 0: all.

  std::string host{"127.0.0.1"};                  ///< `http.host`: address to listen on.
  std::uint16_t port{8080};                       ///< `http.port`: in [0, 65535]; 0 takes a free one and prints it.
  std::size_t http_threads{0};                    ///< `http.threads`: in [0, 256]; 0 means one for each processor.
  std::size_t max_connections{10'000};            ///< `http.max_connections`: in [1, 1000000].
  std::chrono::milliseconds idle_timeout{60'000}; ///< `http.idle_timeout`: in [100ms, 1h].
  std::uint64_t max_body_bytes{64 * 1024};        ///< `http.max_body`: in [1KiB, 16MiB].
  std::chrono::milliseconds drain_timeout{10'000};///< `drain_timeout`: how long a stop waits for requests; in [0s, 10m].

  std::chrono::milliseconds drain_delay{0};       ///< `drain_delay`: between "not ready" and closing the door, for a balancer to notice; in [0s, 5m].
  bool health_details{false};                     ///< `health.details`: tell everyone about each check, not just the sum.

  std::size_t analysis_threads{0};                ///< `analysis.threads`: for one analysis, in [0, 256]; 0 means one for each processor.
  std::size_t concurrent_analyses{1};             ///< `analysis.concurrent`: in [1, 64].
  std::size_t max_queued_analyses{1'000};         ///< `analysis.max_queued`: in [1, 100000]; more are refused with 503.
  std::uint64_t max_file_bytes{4ULL << 30U};      ///< `analysis.max_file_bytes`: larger files are reported, not read; in [1KiB, 1TiB].
  std::uint64_t max_files{5'000'000};             ///< `analysis.max_files`: a larger tree fails; in [1, 100000000].

  std::string access_log{"-"};                    ///< `access_log`: a file in a folder that exists, `-` for standard output, or `off`.
};

/// `$XDG_STATE_HOME/spillway/analysis_service`, or the same below `~/.local/state`, or `./spillway-data` without a home.
[[nodiscard]] std::string default_data_dir();

/// `file` may be empty. Throws spillway::config_error with every mistake found.
[[nodiscard]] service_config load_service_config(const std::string& file);

}  // namespace analysis
