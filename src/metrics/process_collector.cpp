// SPDX-License-Identifier: Apache-2.0
#include <spillway/metrics/process_collector.hpp>

#include "metrics/process_numbers.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>

namespace spillway {

namespace {

std::string read_file(const std::string& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

std::optional<double> count_open_files(const std::string& proc_root) {
  std::error_code failed;
  std::filesystem::directory_iterator entry{proc_root + "/self/fd", failed};
  double count{-1};  // the directory itself is open while it is read
  for (; !failed && entry != std::filesystem::directory_iterator{}; entry.increment(failed)) ++count;
  return failed ? std::nullopt : std::optional{count};
}

}  // namespace

process_collector::process_collector(std::string proc_root) : proc_root_{std::move(proc_root)} {}

void write_metrics(const process_collector& process, std::string_view, metric_writer& out) {
  const auto gauge = [&out](std::string_view name, std::string_view help, std::optional<double> value) {
    if (value) out.gauge(name, help, {}, *value);
  };
  const auto ticks_per_second = static_cast<double>(::sysconf(_SC_CLK_TCK));
  if (const auto numbers = detail::parse_process_stat(read_file(process.proc_root() + "/self/stat"))) {
    gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.",
          numbers->resident_pages * static_cast<double>(::sysconf(_SC_PAGESIZE)));
    gauge("process_virtual_memory_bytes", "Address space of the process.", numbers->virtual_bytes);
    gauge("process_threads", "Threads of the process.", numbers->threads);
    out.counter("process_cpu_seconds_total", "Processor time spent in user and system mode.", {}, numbers->cpu_ticks / ticks_per_second);
    if (const auto boot = detail::parse_boot_time(read_file(process.proc_root() + "/stat"))) {
      gauge("process_start_time_seconds", "When the process started, in seconds since 1970.",
            *boot + numbers->started_ticks / ticks_per_second);
    }
  }
  gauge("process_open_fds", "File descriptors that are open.", count_open_files(process.proc_root()));
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    gauge("process_max_fds", "File descriptors that may be open.", static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace spillway
