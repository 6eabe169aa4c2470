// SPDX-License-Identifier: Apache-2.0
/// @file
/// Analyses waiting and running in the background.
#pragma once

#include "analysis_service/project_root.hpp"
#include "analysis_service/store.hpp"

#include <spillway/core/clock.hpp>
#include <spillway/core/log.hpp>
#include <spillway/core/metric_writer.hpp>
#include <spillway/core/result.hpp>
#include <spillway/db/consistency_token.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace analysis {

struct analysis_queue_config {
  std::size_t threads{0};                  ///< For one analysis; 0 means one for each processor.
  std::size_t concurrent{1};               ///< Analyses at the same time.
  std::size_t max_queued{1'000};           ///< More are refused.
  std::uint64_t max_file_bytes{4ULL << 30U};
  std::uint64_t max_files{5'000'000};
  spillway::log_sink log;
};

/// How far a running analysis is.
struct progress_snapshot {
  std::uint64_t files_found{0};
  std::uint64_t files_done{0};
  std::uint64_t files_read{0};
  std::uint64_t bytes_read{0};
};

enum class submit_failure : std::uint8_t {
  queue_full,      ///< Try later.
  already_active,  ///< The project has one that is queued or running.
  stopping,
  database,
};

struct submit_refusal {
  submit_failure kind;
  db_error error;  ///< With `database`.
};

/// Runs the analyses of a store, oldest first.
///
/// Threads:  every member may be called from any thread.
/// Lifetime: `records`, `root` and `clock` outlive it. The destructor stops.
class analysis_queue {
 public:
  analysis_queue(store& records, const project_root& root, const analysis_queue_config& config,
                 const spillway::clock_source& clock = spillway::system_clock_source());
  ~analysis_queue();
  analysis_queue(const analysis_queue&) = delete;
  analysis_queue& operator=(const analysis_queue&) = delete;

  /// Takes up what an earlier run of the program left, and starts working. Once.
  spillway::result<void, db_error> start();

  /// `options` are for the store; the token in them then stands for the new analysis, too.
  spillway::result<analysis_record, submit_refusal> submit(std::int64_t project_id, const session_options& options = {});

  /// True if it was queued or running.
  spillway::result<bool, db_error> cancel(std::int64_t analysis_id, const session_options& options = {});

  /// Nothing unless it is running here.
  [[nodiscard]] std::optional<progress_snapshot> progress(std::int64_t analysis_id) const;

  /// Stands for all that it has recorded of its analyses. Without it a client, who cannot have the token of what happens in the background, could see
  /// an analysis complete and a moment later running, from a replica that is behind.
  [[nodiscard]] spillway::consistency_token recorded() const;

  /// Ends the running analyses at their next chunk and puts them back into the queue, for the next start. Safe to call again.
  void stop() noexcept;

 private:
  friend void write_metrics(const analysis_queue& queue, std::string_view name, spillway::metric_writer& out);
  struct impl;
  std::unique_ptr<impl> impl_;
};

void write_metrics(const analysis_queue& queue, std::string_view name, spillway::metric_writer& out);

}  // namespace analysis
