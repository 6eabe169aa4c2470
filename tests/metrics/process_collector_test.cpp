// SPDX-License-Identifier: Apache-2.0
#include <spillway/metrics/metrics_registry.hpp>
#include <spillway/metrics/process_collector.hpp>

#include "metrics/process_numbers.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <string>

using namespace spillway;

namespace {

double value_of(const std::string& text, const std::string& name) {
  const auto at = ("\n" + text).find("\n" + name + " ");
  REQUIRE_MESSAGE(at != std::string::npos, name);
  return std::stod(text.substr(at + name.size() + 1));
}

}  // namespace

TEST_CASE("process_numbers.reads_a_program_name_with_spaces_and_parentheses") {
  const auto numbers = detail::parse_process_stat(
      "4211 (a (b) c) S 1 4211 4211 0 -1 4194560 1500 0 3 0 250 50 0 0 20 0 7 0 123456 1073741824 2048 18446744073709551615 1 1 0\n");
  REQUIRE(numbers);
  CHECK(numbers->cpu_ticks == 300);
  CHECK(numbers->threads == 7);
  CHECK(numbers->started_ticks == 123456);
  CHECK(numbers->virtual_bytes == 1073741824);
  CHECK(numbers->resident_pages == 2048);
}

TEST_CASE("process_numbers.refuses_what_is_cut_short") {
  CHECK_FALSE(detail::parse_process_stat(""));
  CHECK_FALSE(detail::parse_process_stat("1 (a)"));
  CHECK_FALSE(detail::parse_process_stat("1 (a) S 1 2 3"));
  CHECK_FALSE(detail::parse_process_stat("1 (a) S 1 2 x 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21"));
  CHECK_FALSE(detail::parse_boot_time("cpu 1 2 3\n"));
  CHECK(detail::parse_boot_time("cpu 1 2 3\nbtime 1700000000\nprocesses 5\n") == 1700000000.0);
}

TEST_CASE("process_collector.tells_of_this_process") {
  metrics_registry registry;
  const process_collector process;
  const auto binding = bind(registry, "process", process);
  const auto text = expose(registry);
  CHECK(value_of(text, "process_resident_memory_bytes") > 1e6);
  CHECK(value_of(text, "process_virtual_memory_bytes") >= value_of(text, "process_resident_memory_bytes"));
  CHECK(value_of(text, "process_threads") >= 1);
  CHECK(value_of(text, "process_cpu_seconds_total") >= 0);
  CHECK(value_of(text, "process_max_fds") >= value_of(text, "process_open_fds"));
  const auto now = std::chrono::duration<double>{std::chrono::system_clock::now().time_since_epoch()}.count();
  const auto started = value_of(text, "process_start_time_seconds");
  CHECK(started <= now + 1);
  CHECK(started > now - 3'600);
}

TEST_CASE("process_collector.counts_open_files_exactly") {
  metrics_registry registry;
  const process_collector process;
  const auto binding = bind(registry, "process", process);
  const auto before = value_of(expose(registry), "process_open_fds");
  double open{0};
  for (int fd = 0; fd < 1'024; ++fd) open += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  CHECK(before == open);
  const int more = ::dup(0);
  REQUIRE(more >= 0);
  CHECK(value_of(expose(registry), "process_open_fds") == before + 1);
  ::close(more);
}

TEST_CASE("process_collector.leaves_out_what_it_cannot_read") {
  metrics_registry registry;
  const process_collector process{"/nonexistent"};
  const auto binding = bind(registry, "process", process);
  const auto text = expose(registry);
  CHECK(text.find("process_resident_memory_bytes") == std::string::npos);
  CHECK(text.find("process_open_fds") == std::string::npos);
  CHECK(text.find("process_max_fds") != std::string::npos);
}
