// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/analyze_command.hpp"

#include "analysis_service/analysis_run.hpp"
#include "analysis_service/data_directory.hpp"
#include "analysis_service/project_root.hpp"
#include "analysis_service/report_table.hpp"
#include "analysis_service/say.hpp"
#include "analysis_service/store.hpp"

#include <spillway/core/io_runner.hpp>
#include <spillway/db/sqlite.hpp>
#include <spillway/http/shutdown_signal.hpp>

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <thread>

#include <unistd.h>

namespace analysis {

namespace {

using namespace std::chrono_literals;

/// Draws the progress on standard error ten times a second, while it lives and that is a terminal.
class progress_display {
 public:
  explicit progress_display(const analysis_progress& progress) {
    if (::isatty(STDERR_FILENO) == 0) return;
    thread_ = std::jthread{[&progress](const std::stop_token& stop) {
      std::mutex mutex;
      std::condition_variable_any wake;
      const auto start = std::chrono::steady_clock::now();
      std::unique_lock lock{mutex};
      while (!wake.wait_for(lock, stop, 100ms, [] { return false; }) && !stop.stop_requested()) {
        const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
        say("\r\033[K{}", progress_line(progress, elapsed.count(), 79));
        std::fflush(stderr);
      }
      say("\r\033[K");
    }};
  }

 private:
  std::jthread thread_;
};

/// Asks for a stop at the first SIGINT or SIGTERM.
class interrupt_watch {
 public:
  interrupt_watch() {
    signal_.async_wait([this](int number) {
      if (number != 0) source_.request_stop();
    });
    runner_.start();
  }
  [[nodiscard]] std::stop_token token() const noexcept { return source_.get_token(); }

 private:
  static spillway::io_runner_config one_thread() {
    spillway::io_runner_config config;
    config.threads = 1;
    return config;
  }
  std::stop_source source_;
  spillway::io_runner runner_{one_thread()};
  spillway::shutdown_signal signal_{runner_.executor()};
};

store open_store(const data_directory& directory) {
  spillway::sqlite_config config;
  config.path = directory.file("analyze.db");
  config.readers = 2;
  config.database.name = "analyze";
  store records{spillway::open_sqlite(config).value()};
  records.prepare().value();
  return records;
}

/// The project of a path; made if it is the first time.
project_record project_of(store& records, const std::string& path, unix_ms now) {
  if (const auto known = records.project_at(path).value()) return *known;
  return records.add_project(path.empty() ? "/" : path, path, now).value();
}

run_report analyze_with_store(const std::string& data_dir, project_directory directory, const run_options& options,
                              const std::stop_token& stop) {
  const auto& clock = spillway::system_clock_source();
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(clock.wall_now().time_since_epoch()).count();
  const data_directory data{data_dir, "analyze.lock"};
  auto records = open_store(data);
  for (const auto& left : records.recover(now).value()) {
    records.abandon(left.id, analysis_status::cancelled, "the program ended early", now).value();
  }
  const auto project = project_of(records, directory.path, now);
  const auto added = records.add_analysis(project.id, now).value();
  records.begin(added.id, now).value();
  const auto analysis = records.analysis(added.id).value().value();
  const auto report = run_analysis(records, analysis, std::move(directory.fd), options, clock, stop);
  if (report.summary.outcome != tree_outcome::completed) {
    const bool cancelled = report.summary.outcome == tree_outcome::cancelled;
    records.abandon(analysis.id, cancelled ? analysis_status::cancelled : analysis_status::failed, report.summary.message, now).value();
  }
  return report;
}

}  // namespace

int analyze(const analyze_arguments& arguments) {
  std::error_code failure;
  const auto path = std::filesystem::canonical(arguments.path, failure);
  if (failure) {
    say("analysis_service: '{}': {}\n", arguments.path, failure.message());
    return 1;
  }
  const project_root everything{"/"};
  auto directory = everything.open(path.string());
  if (!directory) {
    say("analysis_service: '{}': {}\n", arguments.path, directory.error().reason);
    return 1;
  }
  const interrupt_watch interrupt;
  analysis_progress progress;
  const run_options options{arguments.threads, arguments.max_file_bytes, arguments.max_files, &progress, {}};
  run_report report;
  {
    const progress_display display{progress};
    report = arguments.data_dir.empty()
                 ? run_analysis(std::move(directory->fd), options, spillway::system_clock_source(), interrupt.token())
                 : analyze_with_store(arguments.data_dir, std::move(*directory), options, interrupt.token());
  }
  switch (report.summary.outcome) {
    case tree_outcome::completed: fmt::print("{}{}", arguments.json ? to_json(report) : to_table(report), arguments.json ? "\n" : ""); return 0;
    case tree_outcome::cancelled: say("analysis_service: interrupted; nothing was kept\n"); return 130;
    case tree_outcome::failed: break;
  }
  say("analysis_service: the analysis failed: {}\n", report.summary.message);
  return 1;
}

}  // namespace analysis
