// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/analyze_command.hpp"
#include "analysis_service/service.hpp"
#include "analysis_service/say.hpp"
#include "support/access_log.hpp"

#include <spillway/core/config_reader.hpp>
#include <spillway/core/io_runner.hpp>
#include <spillway/core/version.hpp>
#include <spillway/http/shutdown_signal.hpp>

#include <CLI/CLI.hpp>

#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

namespace {

using analysis::say;

int serve(const std::string& config_file) {
  const auto config = analysis::load_service_config(config_file);
  const bool log_requests = config.access_log != "off";
  spillway::examples::access_log_config log_config;
  if (log_requests && config.access_log != "-") log_config.file = config.access_log;
  spillway::examples::access_log log{log_config};
  spillway::io_runner_config one_thread;
  one_thread.threads = 1;
  one_thread.thread_name = "signals";
  spillway::io_runner signals{one_thread};
  spillway::shutdown_signal signal{signals.executor()};
  signals.start();

  analysis::service service{config, log_requests ? log.sink() : spillway::http_access_sink{}, log.events()};
  service.start();
  const auto endpoint = service.endpoint();
  const bool v6 = endpoint.address.find(':') != std::string::npos;
  say("analysis_service: listening on http://{}{}{}:{}\n", v6 ? "[" : "", endpoint.address, v6 ? "]" : "", endpoint.port);

  const int number = signal.wait();
  say("analysis_service: {}; finishing what is in flight\n", number == SIGTERM ? "SIGTERM" : "SIGINT");
  const auto report = service.stop();
  for (const auto& request : report.unfinished) {
    say("analysis_service: cut off {} {} (request {}) after {} ms\n", request.method, request.route, request.request_id,
               request.age.count());
  }
  return report.unfinished_count == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Analyses source trees: lines of code, comment and blank by language, imports, file by file."};
  app.set_version_flag("--version", std::string{spillway::version()});
  app.require_subcommand(0, 1);

  std::string config_file;
  auto* serve_command = app.add_subcommand("serve", "Run the server (the default). Configured by variables such as SPILLWAY_ROOT and SPILLWAY_HTTP_PORT, or a file.");
  serve_command->add_option("--config", config_file, "JSON file with the configuration");

  analysis::analyze_arguments arguments;
  arguments.data_dir = analysis::default_data_dir();
  bool no_cache{false};
  auto* analyze_command = app.add_subcommand("analyze", "Analyse one directory and print a report");
  analyze_command->add_option("path", arguments.path, "The directory")->required();
  analyze_command->add_flag("--json", arguments.json, "Print JSON instead of a table");
  analyze_command->add_option("--threads", arguments.threads, "Threads that read and count; 0: one for each processor")->check(CLI::Range(0, 256));
  analyze_command->add_option("--max-file-bytes", arguments.max_file_bytes, "Larger files are reported, not read")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  analyze_command->add_option("--data-dir", arguments.data_dir, "Where earlier results are kept")->envname("SPILLWAY_DATA_DIR")->capture_default_str();
  analyze_command->add_flag("--no-cache", no_cache, "Read every file, and keep nothing");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong) == 0 ? 0 : 2;
  }

  try {
    if (!*analyze_command) return serve(config_file);
    if (no_cache) arguments.data_dir.clear();
    return analysis::analyze(arguments);
  } catch (const spillway::config_error& failure) {
    say("analysis_service: {}\n", failure.what());
    return 2;
  } catch (const std::exception& failure) {
    say("analysis_service: {}\n", failure.what());
    return 1;
  }
}
