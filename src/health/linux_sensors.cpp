// SPDX-License-Identifier: Apache-2.0
#include <spillway/health/health_error.hpp>
#include <spillway/health/system_sensors.hpp>

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway {

system_sensors::~system_sensors() = default;

namespace {

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file{path};
  if (!file) return std::nullopt;
  return std::string{std::istreambuf_iterator<char>{file}, {}};
}

/// The number at the beginning of `text`, blanks skipped.
std::optional<std::uint64_t> number(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return std::nullopt;
  std::uint64_t value{0};
  const auto read = std::from_chars(text.data() + begin, text.data() + text.size(), value);
  return read.ec == std::errc{} ? std::optional{value} : std::nullopt;
}

std::optional<std::uint64_t> number_in(const std::string& path) {
  const auto text = read_file(path);
  return text ? number(*text) : std::nullopt;
}

/// The number that follows `key` at the beginning of a line.
std::optional<std::uint64_t> number_after(const std::string& text, std::string_view key) {
  for (std::size_t line = 0; line < text.size(); line = text.find('\n', line) + 1) {
    if (std::string_view{text}.substr(line).starts_with(key)) return number(std::string_view{text}.substr(line + key.size()));
    if (text.find('\n', line) == std::string::npos) break;
  }
  return std::nullopt;
}

/// The process' control group in the hierarchy whose line in /proc/self/cgroup contains `:controller:`, and all above it, innermost first.
std::vector<std::string> group_paths(const std::string& root, const std::string& mount, std::string_view controller) {
  const auto groups = read_file(root + "/proc/self/cgroup");
  if (!groups) return {};
  const auto key = ":" + std::string{controller} + ":";
  const auto found = groups->find(key);
  if (found == std::string::npos) return {};
  const auto begin = found + key.size();
  auto path = groups->substr(begin, groups->find('\n', begin) - begin);
  std::vector<std::string> paths;
  for (;;) {
    while (path.ends_with('/')) path.pop_back();
    paths.push_back(root + mount + path);
    if (path.empty()) return paths;
    path.erase(path.rfind('/'));
  }
}

/// Files of one version of control groups that tell of memory.
struct memory_files {
  std::string_view controller, mount, limit, used;
  std::array<std::string_view, 2> caches;  // lines of memory.stat
};
constexpr std::array<memory_files, 2> memory_versions{
    {{"", "/sys/fs/cgroup", "/memory.max", "/memory.current", {"inactive_file ", "active_file "}},
     {"memory", "/sys/fs/cgroup/memory", "/memory.limit_in_bytes", "/memory.usage_in_bytes",
      {"total_inactive_file ", "total_active_file "}}}};

class linux_system_sensors final : public system_sensors {
 public:
  explicit linux_system_sensors(const std::string& root) : root_{root} {}

  [[nodiscard]] result<memory_reading> memory() const override {
    const auto text = read_file(root_ + "/proc/meminfo");
    const auto total_kib = text ? number_after(*text, "MemTotal:") : std::nullopt;
    const auto free_kib = text ? number_after(*text, "MemAvailable:") : std::nullopt;
    if (!total_kib || !free_kib || *total_kib == 0 || *free_kib > *total_kib) return error_code{health_errc::unreadable};
    const memory_reading machine{(*total_kib - *free_kib) * 1'024, *total_kib * 1'024};
    std::optional<memory_reading> tightest;
    for (const auto& files : memory_versions) {
      for (const auto& group : group_paths(root_, std::string{files.mount}, files.controller)) {
        const auto limit = number_in(group + std::string{files.limit});  // "max" is no number
        if (!limit || *limit == 0 || *limit >= machine.limit_bytes) continue;
        const auto used = used_by(group, files);
        if (used && (!tightest || share({*used, *limit}) > share(*tightest))) tightest = {*used, *limit};
      }
    }
    return tightest.value_or(machine);
  }

  [[nodiscard]] result<std::vector<cpu_reading>> cpu() const override {
    const auto text = read_file(root_ + "/proc/stat");
    if (!text || !text->starts_with("cpu ")) return error_code{health_errc::unreadable};
    if (auto limited = limited_cpu(processors_in(*text)); !limited.empty()) return limited;
    // user nice system idle iowait irq softirq steal; what follows is part of user and nice.
    std::array<std::uint64_t, 8> ticks{};
    std::string_view rest = std::string_view{*text}.substr(4);
    for (auto& field : ticks) {
      const auto value = number(rest);
      if (!value) return error_code{health_errc::unreadable};
      field = *value;
      rest.remove_prefix(rest.find_first_not_of(' '));
      rest.remove_prefix(std::min(rest.find(' '), rest.size()));
    }
    std::uint64_t all{0};
    for (const auto field : ticks) all += field;
    constexpr std::size_t idle{3}, iowait{4};
    return std::vector{cpu_reading{as_time(all - ticks[idle] - ticks[iowait]), as_time(all), {}}};
  }

  [[nodiscard]] result<disk_reading> disk(const std::string& path) const override {
    struct statvfs read {};
    if (::statvfs(path.c_str(), &read) != 0) return error_code{errno, boost::system::system_category()};
    return disk_reading{(read.f_blocks - read.f_bfree) * read.f_frsize, read.f_bavail * read.f_frsize};
  }

 private:
  static std::chrono::nanoseconds as_time(std::uint64_t ticks) {
    static const auto per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    return std::chrono::nanoseconds{static_cast<std::int64_t>(ticks * (1'000'000'000 / per_second))};
  }

  static std::optional<std::uint64_t> used_by(const std::string& group, const memory_files& files) {
    const auto used = number_in(group + std::string{files.used});
    const auto detail = read_file(group + "/memory.stat");
    if (!used) return std::nullopt;
    std::uint64_t cached{0};
    for (const auto key : files.caches) cached += detail ? number_after(*detail, key).value_or(0) : 0;
    return *used - std::min(*used, cached);
  }

  static double share(const memory_reading& read) { return static_cast<double>(read.used_bytes) / static_cast<double>(read.limit_bytes); }

  /// Lines "cpu0", "cpu1" and so on, one a processor that is online.
  static double processors_in(const std::string& stat) {
    double count{0};
    for (auto at = stat.find("\ncpu"); at != std::string::npos; at = stat.find("\ncpu", at + 1)) ++count;
    return count;
  }

  /// What the process' control groups allow it and what they used; a quota no less than what the machine has limits nothing.
  [[nodiscard]] std::vector<cpu_reading> limited_cpu(double processors) const {
    std::vector<cpu_reading> limited;
    for (const auto& group : group_paths(root_, "/sys/fs/cgroup", "")) {
      const auto text = read_file(group + "/cpu.max");  // quota and period in microseconds; "max" is no number
      const auto quota = text ? number(*text) : std::nullopt;
      const auto period = quota ? number(std::string_view{*text}.substr(std::min(text->find(' '), text->size()))) : std::nullopt;
      if (!quota || !period || *period == 0) continue;
      const auto allowed = static_cast<double>(*quota) / static_cast<double>(*period);
      if (allowed >= processors) continue;
      const auto stat = read_file(group + "/cpu.stat");
      const auto used_us = stat ? number_after(*stat, "usage_usec ") : std::nullopt;
      if (!used_us) continue;
      const std::chrono::duration<double, std::nano> elapsed{std::chrono::steady_clock::now().time_since_epoch()};
      limited.push_back({std::chrono::microseconds{*used_us}, std::chrono::nanoseconds{static_cast<std::int64_t>(elapsed.count() * allowed)},
                         group + ' ' + *text});
    }
    return limited;
  }

  const std::string root_;
};

}  // namespace

std::shared_ptr<const system_sensors> linux_sensors(const std::string& root) { return std::make_shared<linux_system_sensors>(root); }

}  // namespace spillway
