// SPDX-License-Identifier: Apache-2.0
// The log of an example server: one JSON object a line, written by spdlog on a thread of its own.
#pragma once

#include <spillway/core/log.hpp>
#include <spillway/http/http_access_record.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace spillway::examples {

struct access_log_config {
  std::string file;                                ///< Appended to. Empty: standard output.
  std::size_t max_pending_bytes{8 * 1024 * 1024};  ///< Not yet written; lines beyond are dropped and counted.
  std::chrono::milliseconds write_every{200};      ///< How long a line may wait.
};

/// Takes in records and events, and writes them behind the caller's back.
///
/// Threads:  every member, and the sinks, may be used from any thread.
/// Lifetime: the sinks may outlive the log; what they are then given is dropped. The destructor writes what is pending.
/// Errors:   the constructor throws spdlog::spdlog_ex if the file cannot be opened.
/// Cost:     a line is formatted where it arises, under half a microsecond, and appended under a lock; no system call, no wake-up.
class access_log {
 public:
  explicit access_log(const access_log_config& config);
  ~access_log();
  access_log(const access_log&) = delete;
  access_log& operator=(const access_log&) = delete;

  /// For http_server_config::access.
  [[nodiscard]] http_access_sink sink() const;
  /// For http_server_config::log, and the other modules'.
  [[nodiscard]] log_sink events() const;

  /// Lines lost because writing could not keep up.
  [[nodiscard]] std::uint64_t dropped() const noexcept;
  /// Waits until everything taken in so far is written.
  void flush();

 private:
  struct impl;
  std::shared_ptr<impl> impl_;
};

}  // namespace spillway::examples
