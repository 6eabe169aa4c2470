// SPDX-License-Identifier: Apache-2.0
#include <spillway/health/health_error.hpp>
#include <spillway/health/system_sensors.hpp>

#include "support/temp_dir.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <string>
#include <vector>

using namespace spillway;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t mib{1'048'576};

/// A tree that stands for / of a machine.
class fake_root {
 public:
  fake_root() {
    put("/proc/meminfo", "MemTotal:        8192 kB\nMemFree:          100 kB\nMemAvailable:    2048 kB\n");
    put("/proc/stat", "cpu  100 20 30 800 50 4 6 10 99 99\ncpu0 1 2 3 4\n");
  }
  void put(const std::string& file, const std::string& text) const { folder_.write(file.substr(1), text); }
  [[nodiscard]] memory_reading memory() const { return linux_sensors(path())->memory().value(); }
  [[nodiscard]] std::vector<cpu_reading> cpu() const { return linux_sensors(path())->cpu().value(); }
  [[nodiscard]] std::string path() const { return folder_.path().string(); }

 private:
  tests::temp_dir folder_;
};

}  // namespace

TEST_CASE("linux_sensors.without_a_limit_memory_is_that_of_the_machine") {
  const fake_root root;
  CHECK(root.memory().limit_bytes == 8 * mib);
  CHECK(root.memory().used_bytes == 6 * mib);
  root.put("/proc/self/cgroup", "0::/service\n");
  root.put("/sys/fs/cgroup/service/memory.max", "max\n");
  root.put("/sys/fs/cgroup/service/memory.current", "12345\n");
  CHECK(root.memory().limit_bytes == 8 * mib);
}

TEST_CASE("linux_sensors.a_control_group_of_version_2_limits_memory_and_caches_do_not_count") {
  const fake_root root;
  root.put("/proc/self/cgroup", "0::/system.slice/app.service\n");
  root.put("/sys/fs/cgroup/system.slice/app.service/memory.max", "4194304\n");
  root.put("/sys/fs/cgroup/system.slice/app.service/memory.current", "3145728\n");
  root.put("/sys/fs/cgroup/system.slice/app.service/memory.stat", "anon 1\ninactive_file 786432\nactive_file 262144\n");
  CHECK(root.memory().limit_bytes == 4 * mib);
  CHECK(root.memory().used_bytes == 2 * mib);
}

TEST_CASE("linux_sensors.of_several_limits_the_one_closest_to_being_reached_counts") {
  const fake_root root;
  root.put("/proc/self/cgroup", "0::/a/b\n");
  root.put("/sys/fs/cgroup/a/b/memory.max", "4194304\n");
  root.put("/sys/fs/cgroup/a/b/memory.current", "1048576\n");
  root.put("/sys/fs/cgroup/a/memory.max", "3145728\n");
  root.put("/sys/fs/cgroup/a/memory.current", "2097152\n");
  CHECK(root.memory().limit_bytes == 3 * mib);
  CHECK(root.memory().used_bytes == 2 * mib);
  root.put("/sys/fs/cgroup/a/b/memory.current", "4000000\n");
  CHECK(root.memory().limit_bytes == 4 * mib);
  CHECK(root.memory().used_bytes == 4'000'000);
}

TEST_CASE("linux_sensors.a_control_group_of_version_1_limits_memory") {
  const fake_root root;
  root.put("/proc/self/cgroup", "9:name=systemd:/\n4:memory:/box\n0::/\n");
  root.put("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "5242880\n");
  root.put("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "2097152\n");
  root.put("/sys/fs/cgroup/memory/box/memory.stat", "cache 5\ninactive_file 7\ntotal_inactive_file 524288\ntotal_active_file 524288\n");
  root.put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  CHECK(root.memory().limit_bytes == 5 * mib);
  CHECK(root.memory().used_bytes == 1 * mib);
}

TEST_CASE("linux_sensors.inside_a_container_the_groups_of_the_host_are_not_visible") {
  const fake_root root;
  root.put("/proc/self/cgroup", "0::/docker/0123\n");
  root.put("/sys/fs/cgroup/memory.max", "2097152\n");
  root.put("/sys/fs/cgroup/memory.current", "1048576\n");
  CHECK(root.memory().limit_bytes == 2 * mib);
}

TEST_CASE("linux_sensors.processor_time_is_that_of_the_machine_without_waiting") {
  const fake_root root;
  const auto read = root.cpu().at(0);
  CHECK(read.busy * 1'020 == read.capacity * 170);  // 100+20+30+4+6+10 of all eight
  CHECK(read.busy > 0ns);
}

TEST_CASE("linux_sensors.a_quota_of_a_control_group_is_the_capacity") {
  const fake_root root;
  root.put("/proc/self/cgroup", "0::/app\n");
  root.put("/sys/fs/cgroup/app/cpu.max", "50000 100000\n");
  root.put("/sys/fs/cgroup/app/cpu.stat", "usage_usec 2000000\nuser_usec 1\n");
  const auto sensors = linux_sensors(root.path());
  const auto start = std::chrono::steady_clock::now();
  const auto before = sensors->cpu().value().at(0);
  root.put("/sys/fs/cgroup/app/cpu.stat", "usage_usec 2250000\nuser_usec 1\n");
  const auto after = sensors->cpu().value().at(0);
  const auto elapsed = std::chrono::steady_clock::now() - start;
  CHECK(before.busy == 2s);
  CHECK(after.busy - before.busy == 250ms);
  CHECK(after.capacity > before.capacity);
  CHECK(after.capacity - before.capacity <= elapsed);  // half of it passed
  root.put("/sys/fs/cgroup/app/cpu.max", "max 100000\n");
  CHECK(sensors->cpu().value().at(0).busy != 2250ms);  // no quota: the machine's
  CHECK(sensors->cpu().value().at(0).limit != after.limit);
}

TEST_CASE("linux_sensors.each_quota_above_the_process_is_read_and_a_changed_one_is_another_limit") {
  const fake_root root;
  root.put("/proc/self/cgroup", "0::/a/b\n");
  root.put("/sys/fs/cgroup/a/b/cpu.max", "25000 100000\n");
  root.put("/sys/fs/cgroup/a/b/cpu.stat", "usage_usec 1000000\n");
  root.put("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
  root.put("/sys/fs/cgroup/a/cpu.stat", "usage_usec 3000000\n");
  const auto before = root.cpu();
  REQUIRE(before.size() == 2);
  CHECK(before[0].busy == 1s);
  CHECK(before[1].busy == 3s);
  CHECK(before[1].capacity > before[0].capacity);
  root.put("/sys/fs/cgroup/a/b/cpu.max", "30000 100000\n");
  const auto after = root.cpu();
  REQUIRE(after.size() == 2);
  CHECK(after[0].limit != before[0].limit);
  CHECK(after[1].limit == before[1].limit);
}

TEST_CASE("linux_sensors.a_quota_above_what_the_machine_has_limits_nothing") {
  const fake_root root;
  root.put("/proc/self/cgroup", "0::/app\n");
  root.put("/sys/fs/cgroup/app/cpu.max", "100000 100000\n");  // one processor, as the machine
  root.put("/sys/fs/cgroup/app/cpu.stat", "usage_usec 2000000\n");
  CHECK(root.cpu().at(0).limit.empty());
  root.put("/proc/stat", "cpu  100 20 30 800 50 4 6 10 99 99\ncpu0 1 2 3 4\ncpu1 1 2 3 4\nintr 5\n");
  CHECK(root.cpu().at(0).busy == 2s);
}

TEST_CASE("linux_sensors.what_cannot_be_read_is_an_error") {
  const fake_root root;
  for (const auto* text : {"", "MemTotal: x kB\n", "MemTotal: 10 kB\n", "MemTotal: 10 kB\nMemAvailable: 11 kB\n",
                           "MemTotal: 0 kB\nMemAvailable: 0 kB\n"}) {
    root.put("/proc/meminfo", text);
    CHECK(linux_sensors(root.path())->memory().error() == health_errc::unreadable);
  }
  for (const auto* text : {"", "cpu 1 2 3\n", "cpu a b c d e f g h\n", "cpu"}) {
    root.put("/proc/stat", text);
    CHECK(linux_sensors(root.path())->cpu().error() == health_errc::unreadable);
  }
  CHECK(linux_sensors("/nonexistent")->memory().error() == errc::unavailable);
  CHECK(linux_sensors()->disk("/nonexistent/path").error().value() == ENOENT);
}

TEST_CASE("linux_sensors.this_machine_can_be_read") {
  const auto sensors = linux_sensors();
  const auto memory = sensors->memory().value();
  CHECK(memory.used_bytes > 0);
  CHECK(memory.used_bytes < memory.limit_bytes);
  const auto before = sensors->cpu().value().at(0);
  const auto after = sensors->cpu().value().at(0);
  CHECK(after.busy >= before.busy);
  CHECK(after.capacity >= before.capacity);
  const auto disk = sensors->disk("/").value();
  CHECK(disk.used_bytes + disk.available_bytes > 0);
}
